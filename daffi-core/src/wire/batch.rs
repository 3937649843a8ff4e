//! Batches: the items of a stream on their way.
//!
//! A batch is a header, and items each with its length in front. The header's fields are padded to a fixed width, because
//! they are known only when the batch is closed; a reader takes any width.
//!
//! A router cuts the bytes of an item stream into batches ([`Cutter`]) by their headers alone, and passes the very pieces
//! on in which they came, so a batch is copied nowhere between the producer's socket and the receiver's. For a receiver that is not to
//! get all of a batch's items it cuts some off ([`Batch::cut`]): the numbers of the others stay, so a gap in them is what is missing.

mod builder;
mod cut;
mod cutter;
mod fragment;
mod header;
mod items;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use self::header::{HEADER, MAX_BODY};
pub use self::{
    builder::{Builder, ItemError},
    cutter::Cutter,
    fragment::{Assembler, fragments},
    header::{Carries, Header},
    items::Items,
};
use super::{
    Malformed,
    credit::Credit,
    item_stream::{Mark, Newcomers, StreamEnd},
    message,
};

/// A whole batch, in the pieces in which it came.
#[derive(Debug, Clone)]
pub struct Batch {
    header: Header,
    pieces: Vec<Bytes>,
    /// How many bytes it costs in credit.
    bytes: u64,
}

impl Batch {
    /// The batch that ends a stream of `first` items, and says how.
    pub fn end(end: &StreamEnd, first: u64, sent_at: u64) -> Self {
        Self::of_message(end, Carries::End, first, sent_at)
    }

    /// The batch that lets nodes have the stream after `first` items.
    pub fn newcomers(newcomers: &Newcomers, first: u64, sent_at: u64) -> Self {
        Self::of_message(newcomers, Carries::Newcomers, first, sent_at)
    }

    /// The batch after which the stream goes on from this mark.
    pub fn mark(mark: &Mark, sent_at: u64) -> Self {
        Self::of_message(mark, Carries::Mark, mark.position.item, sent_at)
    }

    fn of_message(said: &impl Serialize, carries: Carries, first: u64, sent_at: u64) -> Self {
        let mut buffer = vec![0; HEADER];
        message::put(said, &mut buffer);
        let header = Header { body: (buffer.len() - HEADER) as u32, first, count: 0, carries, sent_at };
        header.write(&mut buffer);
        Self::of_pieces(header, vec![buffer.into()])
    }

    /// Of header and body, as they are written.
    fn of_pieces(header: Header, pieces: Vec<Bytes>) -> Self {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { header, pieces, bytes }
    }

    /// One that has this body, which has to be as long as the header says.
    fn of_body(header: Header, body: Bytes) -> Self {
        let mut head = vec![0; HEADER];
        header.write(&mut head);
        Self::of_pieces(header, vec![head.into(), body])
    }

    /// One whose body is what follows the room for the header in `buffer`, and that came at this price.
    fn of_buffer(header: Header, mut buffer: Vec<u8>, bytes: u64) -> Self {
        header.write(&mut buffer);
        Self { header, pieces: vec![buffer.into()], bytes }
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
        Credit { items: u64::from(self.header.count), bytes: self.bytes }
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
    pub fn stream_end(&self) -> Result<Option<StreamEnd>, Malformed> {
        self.message(Carries::End)
    }

    /// Who is to get the stream from here on, if this batch says so.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the body does not decode.
    pub fn stream_newcomers(&self) -> Result<Option<Newcomers>, Malformed> {
        self.message(Carries::Newcomers)
    }

    /// Where the stream goes on, if this batch says so.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the body does not decode.
    pub fn stream_mark(&self) -> Result<Option<Mark>, Malformed> {
        self.message(Carries::Mark)
    }

    fn message<M: DeserializeOwned>(&self, carries: Carries) -> Result<Option<M>, Malformed> {
        if self.header.carries != carries {
            return Ok(None);
        }
        let body = self.body()?;
        message::take(&mut &*body)?.ok_or(Malformed("a stream's message that is cut off")).map(Some)
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::varint;

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

    /// A router would give up at the number of the item that it begins with.
    #[test]
    fn a_number_that_cannot_be_written_is_refused() {
        let batch = |first| {
            let mut builder = Builder::default();
            (0..3).for_each(|_| builder.push(|_| Ok::<_, Infallible>(())).unwrap());
            let mut cutter = Cutter::default();
            builder.close(first, 0).pieces().iter().for_each(|piece| cutter.push(piece.clone()));
            cutter.next_batch()
        };
        let last = batch(varint::MAX - 3).unwrap().unwrap();
        assert_eq!(last.cut(2..3).unwrap().header().first, varint::MAX - 1);
        batch(varint::MAX - 2).unwrap_err();
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

        /// Whatever is cut out of a batch, in whatever pieces it came: those items, with their numbers, and no others.
        #[test]
        fn a_cut_batch_has_the_items_of_the_range(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..30),
            size in 1usize..150, ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let mut rest = Bytes::from(encode(&items, items.len()));
            let mut cutter = Cutter::default();
            while !rest.is_empty() {
                cutter.push(rest.split_to(size.min(rest.len())));
            }
            let whole = cutter.next_batch().unwrap().unwrap();
            let first = ends.0.index(items.len());
            let range = first..first + 1 + ends.1.index(items.len() - first);
            let part = whole.cut(range.start as u32..range.end as u32).unwrap();
            prop_assert_eq!(part.header().first, range.start as u64);
            prop_assert_eq!((part.header().next(), part.header().sent_at), (range.end as u64, 5));
            // As it reads on the other side of the next hop.
            let mut cutter = Cutter::default();
            part.pieces().iter().for_each(|piece| cutter.push(piece.clone()));
            let read = cutter.next_batch().unwrap().unwrap();
            prop_assert_eq!(read.cost(), part.cost());
            let (mut taken, mut got) = (read.items().unwrap(), Vec::new());
            while let Some(item) = taken.next_item().unwrap() {
                got.push(item.to_vec());
            }
            prop_assert_eq!(&got[..], &items[range]);
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
                let _ = (batch.stream_end(), batch.stream_newcomers());
                let count = batch.header().count;
                if count > 0 {
                    let _ = (batch.cut(count / 2..count), batch.cut(0..count / 2));
                }
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
        Header { body: (1 << 30) - 1, first: 0, count: 1, carries: Carries::Items, sent_at: 0 }.write(&mut header);
        let mut cutter = Cutter::default();
        cutter.push(header.into());
        assert!(cutter.next_batch().is_err());
    }
}
