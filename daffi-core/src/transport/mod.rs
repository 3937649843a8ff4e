//! What moves the bytes: connections that carry ordered streams, over QUIC or in memory, behind one face.
//!
//! [`Connection`], [`SendStream`] and [`RecvStream`] are all that the rest of daffi sees. [`quic`] holds every TLS and QUIC
//! setting with its reason; [`memory`] is a network of one process for tests, with delay, broken links and partitions. An
//! enum and no trait object: the hot path goes through here, and there are two transports, not an open set.
//!
//! Nothing here knows what the bytes mean. Its users say which of them go first ([`Priority`]). Only [`CloseCode`] has a meaning
//! here: why a side closed a connection must be readable even by a peer whose protocol version differs, so it travels in QUIC's
//! own close frame.

mod assist;
mod authority;
mod certificate;
mod identity;
pub mod memory;
pub mod quic;
mod rotation;
mod state;
mod token;

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;

pub(crate) use self::assist::{Assisted, after_turn, assist, assists};
pub(crate) use self::quic::Ceiling;
pub use self::{
    authority::{Authority, IssueError, Validity},
    certificate::{Authorities, CertificateError, CertificateFault, PeerCertificate, read_identity},
    identity::{Identity, IdentityError},
    rotation::{Retiring, Tokens},
    state::{StateDir, StateError, read_secret},
    token::{InvalidToken, JoinToken},
};

/// The port that controllers listen on and nodes connect to unless told otherwise.
pub const DEFAULT_PORT: u16 = 8888;

/// Why one side closed a connection, as the other side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum CloseCode {
    /// Nothing went wrong: the side is done.
    Done = 0,
    /// The two sides speak different versions of the protocol.
    Version = 1,
    /// The join token is not the controller's.
    Token = 2,
    /// Another node has this name.
    NameTaken = 3,
    /// The node's or a callback's name is not one.
    InvalidName = 4,
    /// The controller is stopping.
    Stopping = 5,
    /// The side sent bytes that make no sense.
    Malformed = 6,
    /// The side exceeded a limit.
    Limit = 7,
    /// The side took too long to say who it is.
    Silent = 8,
    /// The node's certificate does not name it.
    Certificate = 9,
    /// The controller's rules do not allow what the node offers.
    NotAllowed = 10,
    /// A code that this version does not know.
    Unknown = u32::MAX,
}

impl CloseCode {
    /// Reads a code off the wire.
    pub fn from_wire(code: u64) -> Self {
        [
            Self::Done,
            Self::Version,
            Self::Token,
            Self::NameTaken,
            Self::InvalidName,
            Self::Stopping,
            Self::Malformed,
            Self::Limit,
            Self::Silent,
            Self::Certificate,
            Self::NotAllowed,
        ]
        .into_iter()
        .find(|known| *known as u64 == code)
        .unwrap_or(Self::Unknown)
    }
}

/// The connection is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionLost {
    /// The other side closed it and said why.
    #[error("the peer closed the connection: {reason} ({code:?})")]
    ClosedByPeer {
        /// For programs.
        code: CloseCode,
        /// For people.
        reason: String,
    },
    /// This side closed it.
    #[error("the connection was closed by this side")]
    ClosedHere,
    /// The controller took no further connection at that moment.
    #[error(
        "the controller takes no further connections at the moment: as many are not yet joined, or came within a second, as its \
         limits let it take"
    )]
    Refused,
    /// Nothing was heard of the other side for [`IDLE`](crate::wire::limits::IDLE).
    #[error("nothing was heard from the peer for {:?}", crate::wire::limits::IDLE)]
    TimedOut,
    /// The other side knows nothing of the connection any more: it was started again with its former state, or had heard nothing of this
    /// side for too long. Nobody but the other side can have said so.
    #[error(
        "the peer knows nothing of the connection any more: it was started again, or had heard nothing of this side for {:?}",
        crate::wire::limits::IDLE
    )]
    Forgotten,
    /// The other side refused this side's certificate, or the lack of one.
    #[error("the peer refused the connection: {0}")]
    CertificateRefused(CertificateFault),
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Failed(String),
}

/// A stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamLost {
    /// The sender gave the stream up.
    #[error("the sender reset the stream")]
    Reset,
    /// The receiver wants no more of it.
    #[error("the receiver stopped the stream")]
    Stopped,
    /// The other side took this one off the stream, because it finished nothing for too long.
    #[error("the other side took this one off the stream, because it finished nothing for too long")]
    Stalled,
    /// The other side took this one off the stream, because its rules allow it no more.
    #[error("the other side took this one off the stream, because its rules allow it no more")]
    NotAllowed,
    /// The whole connection is gone.
    #[error(transparent)]
    Connection(#[from] ConnectionLost),
}

/// Why one side gives a stream up: the code that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum GiveUp {
    /// It wants no more.
    #[default]
    Unwanted = 0,
    /// The other side finished nothing for too long.
    Stalled = 1,
    /// The rules have changed, and allow it no more.
    NotAllowed = 2,
}

impl GiveUp {
    /// What it means to the other side, if it is not that no more is wanted.
    fn lost(code: u64, unwanted: StreamLost) -> StreamLost {
        match code {
            code if code == Self::Stalled as u64 => StreamLost::Stalled,
            code if code == Self::NotAllowed as u64 => StreamLost::NotAllowed,
            _ => unwanted,
        }
    }
}

/// How many chunks one read takes at most: with datagrams of 64 KiB a burst of 2 MiB, with small ones of 46 KiB.
pub const READ_CHUNKS: usize = 32;

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

/// The sending side of a stream. Dropping it unfinished resets the stream.
#[derive(Debug)]
pub enum SendStream {
    /// Over UDP.
    Quic(quinn::SendStream),
    /// Within this process.
    Memory(memory::SendStream),
}

/// Which of the streams of a connection has its bytes sent first, when several have some: lower values wait for higher ones. What
/// waits for room in the connection's send window has no turn yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Much that is in no hurry: what a stream has unless told otherwise.
    #[default]
    Bulk,
    /// Items that are stale soon.
    Live,
    /// Small calls and their replies; large ones have streams of their own, which are bulk.
    Calls,
    /// Who is there, how far a receiver is, and how a stream ended.
    Control,
}

impl SendStream {
    /// Sets which streams this one waits for. Within one priority they take turns.
    pub fn set_priority(&self, priority: Priority) {
        match self {
            // The only error is that the stream has ended.
            Self::Quic(stream) => drop(stream.set_priority(priority as i32)),
            // Its streams do not share a path's capacity.
            Self::Memory(_) => {}
        }
    }

    /// Writes all chunks in order; waits while the peer's window is full. Prefer few large chunks: QUIC walks the list of
    /// unacknowledged ones for every packet.
    ///
    /// Not cancel safe: a dropped write may have written a part.
    ///
    /// # Errors
    ///
    /// [`StreamLost`].
    pub async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), StreamLost> {
        match self {
            Self::Quic(stream) => stream.write_all_chunks(chunks).await.map_err(|error| quic::write_lost(&error)),
            Self::Memory(stream) => stream.write(chunks).await,
        }
    }

    /// Ends the stream after what was written. Does not wait for anything to be delivered.
    pub fn finish(&mut self) {
        match self {
            // The only error is that the stream is finished or reset already.
            Self::Quic(stream) => drop(stream.finish()),
            Self::Memory(stream) => stream.finish(),
        }
    }

    /// Gives the stream up: the peer's read fails, what was not delivered is dropped.
    pub fn reset(&mut self, why: GiveUp) {
        match self {
            Self::Quic(stream) => drop(stream.reset((why as u32).into())),
            Self::Memory(stream) => stream.reset(why),
        }
    }

    /// Waits until the peer's transport has all bytes of a finished stream, or cannot get them any more. It does not mean
    /// that the peer's program has read them. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StreamLost`]: the peer wants no more, or the connection is gone. Of a stream that was reset it says nothing useful.
    pub async fn settled(&mut self) -> Result<(), StreamLost> {
        match self {
            Self::Quic(stream) => quic::settled(stream.stopped().await),
            Self::Memory(stream) => stream.settled().await,
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        // quinn finishes a dropped stream, which the peer could not tell from a whole one. After `finish` this does nothing
        // to what was written: a finished stream is not reset any more.
        if let Self::Quic(stream) = self
            && stream.finish().is_ok()
        {
            drop(stream.reset((GiveUp::Unwanted as u32).into()));
        }
    }
}

/// The receiving side of a stream. Dropping it before the end stops the peer's sending.
#[derive(Debug)]
pub enum RecvStream {
    /// Over UDP.
    Quic(quinn::RecvStream),
    /// Within this process.
    Memory(memory::RecvStream),
}

impl RecvStream {
    /// Reads what is there, at most [`READ_CHUNKS`] chunks, and appends it to `into`; waits if there is nothing. `false` at the
    /// end of the stream.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StreamLost`].
    pub async fn read(&mut self, into: &mut Vec<Bytes>) -> Result<bool, StreamLost> {
        match self {
            Self::Quic(stream) => {
                let mut chunks = [const { Bytes::new() }; READ_CHUNKS];
                let count = stream.read_chunks(&mut chunks).await.map_err(|error| quic::read_lost(&error))?;
                into.extend(chunks.into_iter().take(count.unwrap_or(0)));
                Ok(count.is_some())
            }
            Self::Memory(stream) => stream.read(into).await,
        }
    }

    /// Tells the peer that no more is wanted.
    pub fn stop(&mut self, why: GiveUp) {
        match self {
            Self::Quic(stream) => drop(stream.stop((why as u32).into())),
            Self::Memory(stream) => stream.stop(why),
        }
    }
}

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

    /// Establishes the connection. Run it in a task of its own, with a time limit: it takes as long as the peer lets it. Cancel safe:
    /// dropping the future gives the connection up.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn establish(self) -> Result<Connection, ConnectionLost> {
        match self {
            Self::Quic(incoming) => incoming.establish().await.map(Connection::Quic),
            Self::Memory(connection) => Ok(Connection::Memory(connection)),
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
