//! The side that takes connections, over either transport.

use std::{net::IpAddr, time::Duration};

use super::{CloseCode, Connection, ConnectionLost, memory, quic};

/// A listening side.
#[derive(Debug)]
pub enum Listener {
    /// Over UDP.
    Quic(quic::Listener),
    /// Within this process.
    Memory(memory::Listener),
}

/// A connection that has begun and is not yet established.
#[derive(Debug)]
pub enum Incoming {
    /// Over UDP.
    Quic(quic::Incoming),
    /// Within this process.
    Memory(memory::Connection),
}

impl Incoming {
    /// The peer's address, for logs.
    pub fn peer(&self) -> String {
        match self {
            Self::Quic(incoming) => incoming.peer().to_string(),
            Self::Memory(connection) => connection.peer().to_owned(),
        }
    }

    /// Where it comes from; nothing within this process.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Quic(incoming) => Some(incoming.address()),
            Self::Memory(_) => None,
        }
    }

    /// Whether the peer has shown that it receives what is sent to its address.
    pub fn is_validated(&self) -> bool {
        match self {
            Self::Quic(incoming) => incoming.is_validated(),
            Self::Memory(_) => true,
        }
    }

    /// Has the peer show that it receives what is sent to its address: it has to come again with a token that only this address is
    /// sent. Until then nothing is kept of it.
    pub fn validate(self) {
        if let Self::Quic(incoming) = self {
            incoming.validate();
        }
    }

    /// Takes no connection from the peer for now, and tells it so. Nothing is kept of it.
    pub fn refuse(self) {
        match self {
            Self::Quic(incoming) => incoming.refuse(),
            Self::Memory(connection) => connection.close(CloseCode::Limit, "too many connections at once"),
        }
    }

    /// Establishes the connection, which from then on ends on both sides after so much `silence`, of
    /// [`MAX_SILENCE`](crate::wire::limits::MAX_SILENCE) at most. Run it in a task of its own, with a time limit: it takes as long as
    /// the peer lets it. Cancel safe: dropping the future gives the connection up.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn establish(self, silence: Duration) -> Result<Connection, ConnectionLost> {
        match self {
            Self::Quic(incoming) => incoming.establish(silence).await.map(Connection::Quic),
            Self::Memory(connection) => {
                connection.establish(silence);
                Ok(Connection::Memory(connection))
            }
        }
    }
}

impl Listener {
    /// The next connection; `None` once the listener is closed. Cancel safe.
    pub async fn accept(&mut self) -> Option<Incoming> {
        match self {
            Self::Quic(listener) => listener.accept().await.map(Incoming::Quic),
            Self::Memory(listener) => listener.accept().await.map(Incoming::Memory),
        }
    }

    /// Accepts nothing more, and waits until the peers of closed connections have been told. At most a second.
    pub async fn close(&mut self) {
        match self {
            Self::Quic(listener) => listener.close().await,
            Self::Memory(listener) => listener.close(),
        }
    }
}
