//! The item of the stream and what becomes of it, for both sides.

use serde::{Deserialize, Serialize};

/// A piece of what is uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Chunk {
    /// As bytes: a list of numbers would be much slower.
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// What a receiver has when the stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) bytes: u64,
    /// The sum of all bytes.
    pub(crate) sum: u64,
}

/// Why a receiver takes no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("there is no room for more than {room} bytes")]
    NoRoom { room: u64 },
    #[error("the stream did not come to its end: {how}")]
    Incomplete { how: String },
}
