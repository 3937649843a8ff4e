//! The wire format: what the bytes between a node and its controller mean.
//!
//! Every connection belongs to one node. It carries
//!
//! - one **control** stream (bidirectional, opened first by the node): the [`preamble`], then [`control`] messages;
//! - one **call lane** each way (unidirectional, for the life of the connection): small [`frame`]s back to back;
//! - a unidirectional stream of its own for each frame that is too large for the lane;
//! - one bidirectional **item stream** per daffi stream and hop: a header, then [`batch`]es one way, [`credit`]s and
//!   reports the other way.
//!
//! The first byte of every QUIC stream tells which of these it is ([`StreamKind`]).
//!
//! Control messages are MessagePack maps with named fields, so that a field can be added without a new protocol version.
//! What travels per call or per item has fixed headers of variable-length integers and numeric ids instead. Nothing in this
//! module knows of tokio, QUIC or sockets, no input can make it panic, and it never allocates on the word of a length field.

pub mod batch;
pub mod bucket;
pub mod control;
pub mod credit;
pub mod failure;
pub mod frame;
pub mod item_stream;
pub mod limits;
pub mod message;
pub mod name;
pub mod offer;
pub mod outflow;
pub mod pace;
pub mod position;
pub mod preamble;
pub mod queue;
mod shape;
pub mod trace;
pub mod varint;

/// What a QUIC stream carries: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamKind {
    /// Control messages, bidirectional; the first stream that a node opens.
    Control = 0,
    /// The call lane: small frames, back to back, unidirectional.
    CallLane = 1,
    /// One frame that is too large for the lane, unidirectional.
    LargeFrame = 2,
    /// The batches of one daffi stream, bidirectional.
    Items = 3,
}

impl StreamKind {
    /// Reads the kind from a stream's first byte.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if no such kind exists.
    pub fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            0 => Ok(Self::Control),
            1 => Ok(Self::CallLane),
            2 => Ok(Self::LargeFrame),
            3 => Ok(Self::Items),
            _ => Err(Malformed("unknown kind of stream")),
        }
    }
}

/// The peer sent bytes that no daffi process of this protocol version sends.
///
/// A connection that carried such bytes is closed: after it, nothing that follows can be trusted to mean what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes from the peer: {0}")]
pub struct Malformed(pub &'static str);

/// A number that stands for a node, given out by the controller when the node joins, never used again for another.
pub type NodeId = u32;

/// A number that stands for a callback's name, given out by the controller; the same for every node that offers it.
pub type CallbackId = u32;

/// A number that stands for a call on one connection, given out by the side that sends the call.
pub type CallId = u64;
