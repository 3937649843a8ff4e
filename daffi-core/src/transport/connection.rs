//! A connection to one peer, over either transport.

use std::time::Duration;

use super::{Ceiling, CloseCode, ConnectionLost, PeerCertificate, RecvStream, SendStream, memory, quic};

/// A connection to one peer. Clones share it.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Over UDP.
    Quic(quinn::Connection),
    /// Within this process.
    Memory(memory::Connection),
}

impl Connection {
    /// Opens a stream both ways. The peer learns of it with the first byte.
    ///
    /// Waits while the peer allows no further streams. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        match self {
            Self::Quic(connection) => {
                connection.open_bi().await.map(quic::both).map_err(|error| quic::connection_lost(&error))
            }
            Self::Memory(connection) => {
                connection.open_bi().map(|(s, r)| (SendStream::Memory(s), RecvStream::Memory(r)))
            }
        }
    }

    /// Opens a stream to the peer. The peer learns of it with the first byte.
    ///
    /// Waits while the peer allows no further streams. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn open_uni(&self) -> Result<SendStream, ConnectionLost> {
        match self {
            Self::Quic(connection) => {
                connection.open_uni().await.map(SendStream::Quic).map_err(|error| quic::connection_lost(&error))
            }
            Self::Memory(connection) => connection.open_uni().map(SendStream::Memory),
        }
    }

    /// The next stream both ways that the peer opens. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        match self {
            Self::Quic(connection) => {
                connection.accept_bi().await.map(quic::both).map_err(|error| quic::connection_lost(&error))
            }
            Self::Memory(connection) => {
                connection.accept_bi().await.map(|(s, r)| (SendStream::Memory(s), RecvStream::Memory(r)))
            }
        }
    }

    /// The next stream that the peer opens towards this side. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn accept_uni(&self) -> Result<RecvStream, ConnectionLost> {
        match self {
            Self::Quic(connection) => {
                connection.accept_uni().await.map(RecvStream::Quic).map_err(|error| quic::connection_lost(&error))
            }
            Self::Memory(connection) => connection.accept_uni().await.map(RecvStream::Memory),
        }
    }

    /// Closes the connection and tells the peer why. What was written and not yet delivered is thrown away.
    pub fn close(&self, code: CloseCode, reason: &str) {
        match self {
            Self::Quic(connection) => connection.close((code as u32).into(), reason.as_bytes()),
            Self::Memory(connection) => connection.close(code, reason),
        }
    }

    /// Waits until the connection is gone, and says why. Cancel safe.
    pub async fn closed(&self) -> ConnectionLost {
        match self {
            Self::Quic(connection) => quic::connection_lost(&connection.closed().await),
            Self::Memory(connection) => connection.closed().await,
        }
    }

    /// Takes the peer of an accepted connection for one of ours: until this is called it is a stranger, and may send little and open
    /// one stream. From now on it may have so many streams both ways open at a time.
    pub fn admit(&self, streams: u32) {
        match self {
            Self::Quic(connection) => quic::admit(connection, streams),
            // Nobody is a stranger in one's own process.
            Self::Memory(_) => {}
        }
    }

    /// How much the connection may have on its way, to be lowered; nothing for one over a path on which it is the path that says so.
    pub(crate) fn ceiling(&self) -> Option<Ceiling> {
        match self {
            Self::Quic(connection) => Ceiling::of(connection),
            Self::Memory(_) => None,
        }
    }

    /// How long a round trip to the peer takes, as estimated now.
    pub fn rtt(&self) -> Duration {
        match self {
            Self::Quic(connection) => connection.rtt(),
            Self::Memory(connection) => connection.rtt(),
        }
    }

    /// The certificate that the peer has shown, if it has one and an authority that this side trusts vouches for it.
    pub fn peer_certificate(&self) -> Option<PeerCertificate> {
        match self {
            Self::Quic(connection) => PeerCertificate::of(connection),
            Self::Memory(_) => None,
        }
    }

    /// The peer's address, for logs.
    pub fn peer(&self) -> String {
        match self {
            Self::Quic(connection) => connection.remote_address().to_string(),
            Self::Memory(connection) => connection.peer().to_owned(),
        }
    }
}
