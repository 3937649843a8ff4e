//! A batch's items, one by one.

use std::ops::Range;

use bytes::Bytes;

use crate::wire::{Malformed, varint};

/// Takes the items out of a batch, one by one.
#[derive(Debug)]
pub struct Items {
    pub(super) body: Bytes,
    pub(super) at: usize,
    pub(super) left: u32,
}

impl Items {
    /// How many items are left.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// The next item, or `None` after the last. It shares the batch's memory.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the batch ends before its last item, or goes on after it.
    pub fn next_item(&mut self) -> Result<Option<Bytes>, Malformed> {
        Ok(self.next_range()?.map(|range| self.body.slice(range)))
    }

    /// The same, borrowed.
    ///
    /// # Errors
    ///
    /// As for [`next_item`](Self::next_item).
    pub fn next_slice(&mut self) -> Result<Option<&[u8]>, Malformed> {
        Ok(self.next_range()?.map(|range| &self.body[range]))
    }

    fn next_range(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            let whole = self.at == self.body.len();
            return if whole { Ok(None) } else { Err(Malformed("a batch with more bytes than items")) };
        };
        let mut input = &self.body[self.at..];
        let length = varint::expect(&mut input)?;
        if length > input.len() as u64 {
            return Err(Malformed("an item that is cut off"));
        }
        let start = self.body.len() - input.len();
        self.at = start + length as usize;
        self.left = left;
        Ok(Some(start..self.at))
    }
}
