//! Making batches.

use super::{Batch, Carries, HEADER, Header};
use crate::wire::{limits, varint};

/// The width of an item's length as this crate writes it.
const ITEM_HEADER: usize = 4;

/// Fills a batch, item by item.
#[derive(Debug)]
pub struct Builder {
    buffer: Vec<u8>,
    count: u32,
    dependents: bool,
    /// The largest item, in bytes.
    largest: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { buffer: vec![0; HEADER], count: 0, dependents: false, largest: limits::MAX_PAYLOAD }
    }
}

impl Builder {
    /// Takes items of up to so many bytes; of no more than [`limits::MAX_PAYLOAD`] in any case.
    pub fn up_to(largest: u64) -> Self {
        let largest = usize::try_from(largest).unwrap_or(usize::MAX).min(limits::MAX_PAYLOAD);
        Self { largest, ..Self::default() }
    }

    /// Appends the item that `encode` writes. What `encode` wrote before it failed or panicked is taken back.
    ///
    /// # Errors
    ///
    /// What `encode` returns, or [`ItemError::TooLarge`].
    pub fn push<E>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), ItemError<E>> {
        let mut tail = Tail { start: self.buffer.len(), buffer: &mut self.buffer, keep: false };
        tail.buffer.extend_from_slice(&[0; ITEM_HEADER]);
        encode(tail.buffer).map_err(ItemError::Encode)?;
        let item = tail.start + ITEM_HEADER;
        let size = tail.buffer.len() - item;
        if size > self.largest {
            return Err(ItemError::TooLarge { size, limit: self.largest });
        }
        varint::write_padded(size as u64, &mut tail.buffer[item - ITEM_HEADER..item]);
        tail.keep = true;
        self.count += 1;
        Ok(())
    }

    /// Says of the items that follow whether they depend on those before them. A batch has items of one kind only.
    ///
    /// # Panics
    ///
    /// In debug builds, if there are items of the other kind.
    pub const fn set_dependents(&mut self, dependents: bool) {
        debug_assert!(self.count == 0 || self.dependents == dependents, "close the batch before");
        self.dependents = dependents;
    }

    /// Whether an item of this kind has to go into another batch.
    pub const fn is_unfit(&self, dependent: bool) -> bool {
        self.count > 0 && self.dependents != dependent
    }

    /// How many items there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is no item.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the batch should be closed before another item.
    pub const fn is_full(&self) -> bool {
        self.buffer.len() >= limits::BATCH
    }

    /// Closes the batch and begins the next one. `first` is the number of its first item.
    pub fn close(&mut self, first: u64, sent_at: u64) -> Batch {
        // The next batch will be about as large: reserving at once saves copies while it grows.
        let capacity = self.buffer.len().min(limits::BATCH + limits::BATCH / 4);
        let mut next = Vec::with_capacity(capacity.max(HEADER));
        next.resize(HEADER, 0);
        let mut buffer = std::mem::replace(&mut self.buffer, next);
        let count = std::mem::take(&mut self.count);
        let carries = if self.dependents { Carries::Dependents } else { Carries::Items };
        let header = Header { body: (buffer.len() - HEADER) as u32, first, count, carries, sent_at };
        header.write(&mut buffer);
        Batch::of_pieces(header, vec![buffer.into()])
    }
}

/// What is being written at a buffer's end: taken back on every way out but one, a panic included.
struct Tail<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    keep: bool,
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.buffer.truncate(self.start);
        }
    }
}

/// Why an item was not taken into a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemError<E> {
    /// It did not encode.
    Encode(E),
    /// It has more bytes than an item may have.
    TooLarge {
        /// How many it has.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
}
