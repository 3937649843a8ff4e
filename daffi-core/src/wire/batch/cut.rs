//! Cutting items off a batch, in whatever pieces it came, without copying the others.

use std::ops::Range;

use bytes::Bytes;

use super::{Batch, HEADER, Header};
use crate::wire::{Malformed, varint};

impl Batch {
    /// The batch of the items in this range alone, counted from the first; they share the memory, and keep their numbers. An item
    /// outside of it costs a look at its length.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the batch has not the items that its header says, as far as can be seen from their lengths.
    pub fn cut(&self, range: Range<u32>) -> Result<Self, Malformed> {
        debug_assert!(range.start <= range.end && range.end <= self.header.count, "the items are there");
        if range == (0..self.header.count) {
            return Ok(self.clone());
        }
        let mut walk = self.walk_body()?;
        for _ in 0..range.start {
            walk.item()?;
        }
        let mut rest = walk.clone();
        let mut length = 0;
        for _ in range.clone() {
            length += rest.item()?;
        }
        let mut head = vec![0; HEADER];
        let header = Header {
            body: u32::try_from(length).map_err(|_| Malformed("an item that is cut off"))?,
            first: self.header.first.saturating_add(u64::from(range.start)),
            count: range.end - range.start,
            ..self.header
        };
        header.write(&mut head);
        let mut pieces = vec![head.into()];
        walk.take(length, &mut pieces);
        Ok(Self::of_pieces(header, pieces))
    }

    /// Appends what follows the header.
    pub(super) fn put_body(&self, into: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut body = Vec::with_capacity(self.pieces.len());
        self.walk_body()?.take(self.header.body as usize, &mut body);
        body.iter().for_each(|piece| into.extend_from_slice(piece));
        Ok(())
    }

    fn walk_body(&self) -> Result<Walk<'_>, Malformed> {
        let mut walk = Walk { pieces: &self.pieces, offset: 0 };
        // The header, whatever its width.
        for _ in 0..3 {
            walk.integer()?;
        }
        walk.skip(1)?;
        walk.integer()?;
        Ok(walk)
    }
}

/// A place in the pieces of a batch.
#[derive(Clone)]
struct Walk<'a> {
    pieces: &'a [Bytes],
    /// Within the first piece.
    offset: usize,
}

impl Walk<'_> {
    /// Goes past an item; how many bytes that was.
    fn item(&mut self) -> Result<usize, Malformed> {
        let (width, length) = self.integer()?;
        let length = usize::try_from(length).map_err(|_| Malformed("an item that is cut off"))?;
        self.skip(length)?;
        Ok(width + length)
    }

    /// Goes past an integer: its width and its value.
    fn integer(&mut self) -> Result<(usize, u64), Malformed> {
        let mut bytes = [0; 8];
        bytes[0] = self.byte()?;
        let width = varint::width(bytes[0]);
        for byte in &mut bytes[1..width] {
            *byte = self.byte()?;
        }
        Ok((width, varint::expect(&mut &bytes[..width])?))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        loop {
            let Some((first, others)) = self.pieces.split_first() else {
                return Err(Malformed("a batch that is cut off"));
            };
            if let Some(byte) = first.get(self.offset) {
                self.offset += 1;
                return Ok(*byte);
            }
            (self.pieces, self.offset) = (others, 0);
        }
    }

    fn skip(&mut self, mut count: usize) -> Result<(), Malformed> {
        while count > 0 {
            let Some((first, others)) = self.pieces.split_first() else {
                return Err(Malformed("an item that is cut off"));
            };
            let left = first.len() - self.offset;
            if count < left {
                self.offset += count;
                return Ok(());
            }
            count -= left;
            (self.pieces, self.offset) = (others, 0);
        }
        Ok(())
    }

    /// Appends the next bytes, which are known to be there.
    fn take(&self, mut count: usize, into: &mut Vec<Bytes>) {
        let mut offset = self.offset;
        for piece in self.pieces {
            let taken = count.min(piece.len() - offset);
            if taken > 0 {
                into.push(piece.slice(offset..offset + taken));
            }
            (count, offset) = (count - taken, 0);
            if count == 0 {
                return;
            }
        }
    }
}
