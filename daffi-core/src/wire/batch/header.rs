//! What stands in front of a batch's items, and says what they are.

use crate::wire::{Malformed, limits, varint};

/// The width of the header as this crate writes it: body length, first sequence number, count, flags, sender time.
pub(super) const HEADER: usize = 4 + 8 + 4 + 1 + 8;

/// The largest batch body: one item of the largest size.
pub(super) const MAX_BODY: u64 = (limits::MAX_PAYLOAD + limits::MAX_HEAD) as u64;

/// What stands in front of a batch's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of what follows the header, in bytes.
    pub body: u32,
    /// The number of the first item; the first of a stream has 0.
    pub first: u64,
    /// How many items there are.
    pub count: u32,
    /// What there is.
    pub carries: Carries,
    /// When the batch was closed: microseconds of the sender's wall clock since 1970.
    pub sent_at: u64,
}

impl Header {
    pub(super) fn write(&self, out: &mut [u8]) {
        varint::write_padded(u64::from(self.body), &mut out[..4]);
        varint::write_padded(self.first, &mut out[4..12]);
        varint::write_padded(u64::from(self.count), &mut out[12..16]);
        out[16] = self.carries as u8;
        varint::write_padded(self.sent_at.min(varint::MAX), &mut out[17..25]);
    }

    /// Takes a header off the front of `input`; `None` if more bytes are needed.
    pub(super) fn take(input: &mut &[u8]) -> Result<Option<Self>, Malformed> {
        let mut rest = *input;
        let (Some(body), Some(first), Some(count)) =
            (varint::take(&mut rest), varint::take(&mut rest), varint::take(&mut rest))
        else {
            return Ok(None);
        };
        let Some((flags, mut rest)) = rest.split_first() else {
            return Ok(None);
        };
        let Some(sent_at) = varint::take(&mut rest) else {
            return Ok(None);
        };
        if body > MAX_BODY {
            return Err(Malformed("a batch above the limit"));
        }
        let carries = Carries::from_byte(*flags)?;
        // Every item has at least one byte of length.
        if count > body || carries.has_items() != (count != 0) {
            return Err(Malformed("a batch with an impossible count"));
        }
        // Nor does a stream come near so many items, and each of them has a number that can be written.
        if first > varint::MAX - count {
            return Err(Malformed("a batch with an impossible number"));
        }
        *input = rest;
        Ok(Some(Self { body: body as u32, first, count: count as u32, carries, sent_at }))
    }

    /// Whether this ends the stream.
    pub const fn is_end(&self) -> bool {
        matches!(self.carries, Carries::End)
    }

    /// The number of the first item after these.
    pub const fn next(&self) -> u64 {
        self.first.saturating_add(self.count as u64)
    }
}

/// What a batch carries: its flags. They exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Carries {
    /// Items, with each of which a receiver can begin.
    Items = 0,
    /// The end of the stream: a [`StreamEnd`](crate::wire::item_stream::StreamEnd), and no item.
    End = 1,
    /// Items that mean something only to who has those before them, back to the last of [`Items`](Self::Items).
    Dependents = 2,
    /// Nodes that are to get the stream from here on: [`Newcomers`](crate::wire::item_stream::Newcomers), and no item. From the
    /// producer to the controller alone.
    Newcomers = 3,
    /// A part of the items of a batch that is too large to go at once, and no whole item: see [`fragments`](super::fragments).
    Fragment = 4,
    /// Where the stream goes on: a [`Mark`](crate::wire::item_stream::Mark), and no item. From the producer to the controller
    /// alone, which asked for it.
    Mark = 5,
}

impl Carries {
    const fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            0 => Ok(Self::Items),
            1 => Ok(Self::End),
            2 => Ok(Self::Dependents),
            3 => Ok(Self::Newcomers),
            4 => Ok(Self::Fragment),
            5 => Ok(Self::Mark),
            _ => Err(Malformed("a batch that carries something unknown")),
        }
    }

    /// Whether it carries items.
    pub const fn has_items(self) -> bool {
        matches!(self, Self::Items | Self::Dependents)
    }
}
