//! What travels between the sender and the receivers.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// The size of a block. Blocks are what the sender holds in memory, not the file.
pub(crate) const SIZE: usize = 256 << 10;

/// A part of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Block {
    /// Where it belongs.
    pub(crate) offset: u64,
    /// Without this attribute it would travel as a list of numbers, far slower.
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// How much there was, and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Sums up bytes as they pass.
#[derive(Clone)]
pub(crate) struct Summing {
    bytes: u64,
    digest: Context,
}

impl Summing {
    pub(crate) fn new() -> Self {
        Self { bytes: 0, digest: Context::new(&SHA256) }
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    pub(crate) fn sum(&self) -> Sum {
        let digest = self.digest.clone().finish();
        Sum { bytes: self.bytes, sha256: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}
