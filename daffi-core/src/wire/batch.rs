//! Batches: the items of a stream on their way.
//!
//! A batch is a header, and items each with its length in front. The header's fields are padded to a fixed width, because
//! they are known only when the batch is closed; a reader takes any width.
//!
//! A router cuts the bytes of an item stream into batches ([`Cutter`]) by their headers alone, and passes the very pieces
//! on in which they came, so a batch is copied nowhere between the producer's socket and the receiver's.

use std::{collections::VecDeque, ops::Range};

use bytes::{Buf, Bytes, BytesMut};

use super::{Malformed, credit::Credit, limits, message, varint};

/// The width of the header as this crate writes it: body length, first sequence number, count, flags, sender time.
const HEADER: usize = 4 + 8 + 4 + 1 + 8;

/// The width of an item's length as this crate writes it.
const ITEM_HEADER: usize = 4;

/// The largest batch body: one item of the largest size.
const MAX_BODY: u64 = (limits::MAX_PAYLOAD + limits::MAX_HEAD) as u64;

/// The flag of the batch that ends a stream: its body is a [`StreamEnd`](super::item_stream::StreamEnd).
const END: u8 = 1;

/// What stands in front of a batch's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of what follows the header, in bytes.
    pub body: u32,
    /// The number of the first item; the first of a stream has 0.
    pub first: u64,
    /// How many items there are.
    pub count: u32,
    /// Whether this ends the stream.
    pub end: bool,
    /// When the batch was closed: microseconds of the sender's wall clock since 1970.
    pub sent_at: u64,
}

impl Header {
    fn write(&self, out: &mut [u8]) {
        varint::write_padded(u64::from(self.body), &mut out[..4]);
        varint::write_padded(self.first, &mut out[4..12]);
        varint::write_padded(u64::from(self.count), &mut out[12..16]);
        out[16] = if self.end { END } else { 0 };
        varint::write_padded(self.sent_at.min(varint::MAX), &mut out[17..25]);
    }

    /// Takes a header off the front of `input`; `None` if more bytes are needed.
    fn take(input: &mut &[u8]) -> Result<Option<Self>, Malformed> {
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
        // Every item has at least one byte of length.
        if count > body || (*flags & END != 0 && count != 0) {
            return Err(Malformed("a batch with an impossible count"));
        }
        *input = rest;
        Ok(Some(Self { body: body as u32, first, count: count as u32, end: flags & END != 0, sent_at }))
    }
}

/// Fills a batch, item by item.
#[derive(Debug)]
pub struct Builder {
    buffer: Vec<u8>,
    count: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self { buffer: vec![0; HEADER], count: 0 }
    }
}

impl Builder {
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
        if size > limits::MAX_PAYLOAD {
            return Err(ItemError::TooLarge(size));
        }
        varint::write_padded(size as u64, &mut tail.buffer[item - ITEM_HEADER..item]);
        tail.keep = true;
        self.count += 1;
        Ok(())
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
        let header = Header { body: (buffer.len() - HEADER) as u32, first, count, end: false, sent_at };
        header.write(&mut buffer);
        Batch { header, pieces: vec![buffer.into()] }
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
    /// It has more bytes than [`limits::MAX_PAYLOAD`]: this many.
    TooLarge(usize),
}

/// A whole batch, in the pieces in which it came.
#[derive(Debug, Clone)]
pub struct Batch {
    header: Header,
    pieces: Vec<Bytes>,
}

impl Batch {
    /// The batch that ends a stream of `first` items, and says how.
    pub fn end(end: &super::item_stream::StreamEnd, first: u64, sent_at: u64) -> Self {
        let mut buffer = vec![0; HEADER];
        message::put(end, &mut buffer);
        let header = Header { body: (buffer.len() - HEADER) as u32, first, count: 0, end: true, sent_at };
        header.write(&mut buffer);
        Self { header, pieces: vec![buffer.into()] }
    }

    /// What stands in front of the items.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of header and body, to be written one after the other.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// What the batch costs in credit.
    pub fn cost(&self) -> Credit {
        let bytes = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        Credit { items: u64::from(self.header.count), bytes }
    }

    /// The items, without copying them if the batch came in one piece.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the body does not hold what the header says.
    pub fn items(&self) -> Result<Items, Malformed> {
        Ok(Items { body: self.body()?, at: 0, left: self.header.count })
    }

    /// The end of the stream, if this batch is one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the body does not decode.
    pub fn stream_end(&self) -> Result<Option<super::item_stream::StreamEnd>, Malformed> {
        if !self.header.end {
            return Ok(None);
        }
        let body = self.body()?;
        message::take(&mut &*body)?.ok_or(Malformed("a stream's end that is cut off")).map(Some)
    }

    fn body(&self) -> Result<Bytes, Malformed> {
        let mut whole = match self.pieces.as_slice() {
            [only] => only.clone(),
            several => {
                let mut joined = BytesMut::with_capacity(several.iter().map(Bytes::len).sum());
                several.iter().for_each(|piece| joined.extend_from_slice(piece));
                joined.freeze()
            }
        };
        let mut input: &[u8] = &whole;
        Header::take(&mut input)?.ok_or(Malformed("a batch without its header"))?;
        let consumed = whole.len() - input.len();
        whole.advance(consumed);
        Ok(whole)
    }
}

/// Takes the items out of a batch, one by one.
#[derive(Debug)]
pub struct Items {
    body: Bytes,
    at: usize,
    left: u32,
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

/// Cuts the bytes of an item stream into batches, without copying them.
#[derive(Debug, Default)]
pub struct Cutter {
    chunks: VecDeque<Bytes>,
    length: usize,
}

impl Cutter {
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
        Ok(Some(Batch { header, pieces }))
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::item_stream::StreamEnd;

    fn encode(items: &[Vec<u8>], per_batch: usize) -> Vec<u8> {
        let (mut out, mut first, mut builder) = (Vec::new(), 0, Builder::default());
        for batch in items.chunks(per_batch) {
            for item in batch {
                builder
                    .push(|out| {
                        out.extend_from_slice(item);
                        Ok::<_, Infallible>(())
                    })
                    .unwrap();
            }
            for piece in builder.close(first, 5).pieces() {
                out.extend_from_slice(piece);
            }
            first += batch.len() as u64;
        }
        for piece in Batch::end(&StreamEnd::Finished, first, 6).pieces() {
            out.extend_from_slice(piece);
        }
        out
    }

    proptest! {
        #[test]
        fn items_round_trip_however_the_stream_is_cut(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..60),
            per_batch in 1usize..9, sizes in prop::collection::vec(1usize..150, 1..30),
        ) {
            let bytes = Bytes::from(encode(&items, per_batch));
            let (mut cutter, mut got, mut rest, mut ended) = (Cutter::default(), Vec::new(), bytes, false);
            for size in sizes.iter().cycle() {
                cutter.push(rest.split_to((*size).min(rest.len())));
                while let Some(batch) = cutter.next_batch().unwrap() {
                    prop_assert_eq!(batch.header().first, got.len() as u64);
                    if batch.stream_end().unwrap().is_some() {
                        ended = true;
                        continue;
                    }
                    let mut taken = batch.items().unwrap();
                    while let Some(item) = taken.next_item().unwrap() {
                        got.push(item.to_vec());
                    }
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(ended && !cutter.is_within_a_batch());
            prop_assert_eq!(got, items);
        }

        #[test]
        fn mutated_streams_never_panic(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = encode(&items, 4);
            for (index, byte) in changes {
                let index = index % bytes.len();
                bytes[index] = byte;
            }
            let mut cutter = Cutter::default();
            cutter.push(bytes.into());
            while let Ok(Some(batch)) = cutter.next_batch() {
                let _ = batch.stream_end();
                if let Ok(mut items) = batch.items() {
                    while let Ok(Some(_)) = items.next_item() {}
                }
            }
        }
    }

    #[test]
    fn an_item_that_fails_to_encode_leaves_the_batch_as_it_was() {
        let mut builder = Builder::default();
        builder
            .push(|out| {
                out.push(1);
                Ok::<_, ()>(())
            })
            .unwrap();
        let failed = builder.push(|out| {
            out.push(2);
            Err("no")
        });
        assert_eq!(failed, Err(ItemError::Encode("no")));
        let mut items = builder.close(0, 0).items().unwrap();
        assert_eq!(items.next_item().unwrap().as_deref(), Some(&[1][..]));
        assert_eq!(items.next_item(), Ok(None));
    }

    #[test]
    fn a_huge_batch_is_refused_before_its_bytes_come() {
        let mut header = vec![0; HEADER];
        Header { body: (1 << 30) - 1, first: 0, count: 1, end: false, sent_at: 0 }.write(&mut header);
        let mut cutter = Cutter::default();
        cutter.push(header.into());
        assert!(cutter.next_batch().is_err());
    }
}
