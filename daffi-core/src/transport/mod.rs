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
mod connection;
mod identity;
mod listener;
mod lost;
pub mod memory;
pub mod quic;
mod rotation;
mod secret;
mod state;
mod stream;
mod token;

pub(crate) use self::assist::{Assisted, after_turn, assist, assists};
pub(crate) use self::quic::Ceiling;
pub use self::{
    authority::{Authority, IssueError, Validity},
    certificate::{Authorities, CertificateError, CertificateFault, PeerCertificate, read_identity},
    connection::Connection,
    identity::{Identity, IdentityError},
    listener::{Incoming, Listener},
    lost::{CloseCode, ConnectionLost, GiveUp, StreamLost},
    rotation::{Retiring, Tokens},
    secret::read_secret,
    state::{StateDir, StateError},
    stream::{Priority, READ_CHUNKS, RecvStream, SendStream},
    token::{InvalidToken, JoinToken},
};

/// The port that controllers listen on and nodes connect to unless told otherwise.
pub const DEFAULT_PORT: u16 = 8888;
