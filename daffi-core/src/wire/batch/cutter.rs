//! Finding the batches in the bytes of a stream.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Batch, Header, MAX_BODY};
use crate::wire::{Malformed, limits};

/// Cuts the bytes of an item stream into batches, without copying them.
#[derive(Debug)]
pub struct Cutter {
    chunks: VecDeque<Bytes>,
    length: usize,
    largest: u64,
}

/// For items of any size that the protocol allows.
impl Default for Cutter {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), length: 0, largest: MAX_BODY }
    }
}

impl Cutter {
    /// For items of up to so many bytes. What is certainly larger is refused before it comes.
    pub fn up_to(item_size: u64) -> Self {
        // A batch has less than what closes it, and one item.
        let largest = item_size.saturating_add((limits::BATCH + limits::MAX_HEAD) as u64).min(MAX_BODY);
        Self { largest, ..Self::default() }
    }

    /// Takes in the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.length += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Whether bytes of a batch wait for their rest.
    pub const fn is_within_a_batch(&self) -> bool {
        self.length > 0
    }

    /// The next whole batch, if there is one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if these are no batches; it stays so.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Malformed> {
        let mut front = [0u8; 4 * 8 + 1];
        let peeked = self.peek(&mut front);
        let mut input = &front[..peeked];
        let Some(header) = Header::take(&mut input)? else {
            return Ok(None);
        };
        if u64::from(header.body) > self.largest {
            return Err(Malformed("an item above the limit"));
        }
        let mut wanted = peeked - input.len() + header.body as usize;
        if self.length < wanted {
            return Ok(None);
        }
        self.length -= wanted;
        let mut pieces = Vec::with_capacity(2);
        while wanted > 0 {
            let Some(front) = self.chunks.front_mut() else {
                return Err(Malformed("a batch shorter than its length"));
            };
            if front.len() <= wanted {
                wanted -= front.len();
                pieces.extend(self.chunks.pop_front());
            } else {
                pieces.push(front.split_to(wanted));
                wanted = 0;
            }
        }
        Ok(Some(Batch::of_pieces(header, pieces)))
    }

    /// Copies the first bytes into `out`; how many.
    fn peek(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        for chunk in &self.chunks {
            let length = chunk.len().min(out.len() - filled);
            out[filled..filled + length].copy_from_slice(&chunk[..length]);
            filled += length;
            if filled == out.len() {
                break;
            }
        }
        filled
    }
}
