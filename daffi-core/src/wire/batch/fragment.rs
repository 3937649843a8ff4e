//! Large batches go in fragments: a hop passes one on while the next is still on its way, and a router never holds the whole.
//!
//! The fragments of a batch are batches without an item ([`Carries::Fragment`]), and the last is the batch itself with the rest of
//! its body. They cost what they weigh, so credit bounds what is on its way of a large item as of small ones; the receiver is
//! through with a fragment once it has put it to the others. Only where every receiver has to have all items: from a queue that may
//! drop items they go whole.

use bytes::Bytes;

use super::{Batch, Carries, HEADER, Header, MAX_BODY};
use crate::wire::{Malformed, limits::FRAGMENT};

/// The batch itself if it is small, else its fragments, the last of which has its items. They share its memory.
///
/// # Errors
///
/// [`Malformed`] if the batch has not the body that its header says.
pub fn fragments(batch: Batch) -> Result<impl Iterator<Item = Batch>, Malformed> {
    // Twice as much at least: one that is slightly larger than a fragment is no better off as two.
    let whole = batch.header().body as usize <= 2 * FRAGMENT;
    let (header, body) = if whole { (None, Bytes::new()) } else { (Some(*batch.header()), batch.body()?) };
    let rest = header.into_iter().flat_map(move |header| split(header, &body));
    Ok(whole.then_some(batch).into_iter().chain(rest))
}

/// In parts that are about as large as each other, so that the last has room for as many items as it counts.
fn split(header: Header, body: &Bytes) -> impl Iterator<Item = Batch> + use<> {
    let parts = body.len().div_ceil(FRAGMENT);
    let size = body.len().div_ceil(parts);
    let body = body.clone();
    (0..parts).map(move |part| {
        let bytes = body.slice(part * size..body.len().min((part + 1) * size));
        let length = bytes.len() as u32;
        let header = if part + 1 == parts {
            Header { body: length, ..header }
        } else {
            Header { body: length, count: 0, carries: Carries::Fragment, ..header }
        };
        Batch::of_body(header, bytes)
    })
}

/// Puts fragments together.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Room for the header, and the body so far; empty between batches.
    buffer: Vec<u8>,
    /// The number of the batch's first item.
    first: u64,
}

impl Assembler {
    /// Takes in the next batch of a stream. Gives it back if it is no fragment, with what came before it if it is the last one's rest.
    /// An end takes the place of a rest that did not come.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if something else comes in between, or if the whole is above the limit.
    pub fn push(&mut self, batch: Batch) -> Result<Option<Batch>, Malformed> {
        let header = *batch.header();
        if header.is_end() {
            *self = Self::default();
            return Ok(Some(batch));
        }
        let is_fragment = header.carries == Carries::Fragment;
        if self.buffer.is_empty() {
            if !is_fragment {
                return Ok(Some(batch));
            }
            self.buffer.resize(HEADER, 0);
            self.first = header.first;
        }
        let length = (self.buffer.len() - HEADER) as u64 + u64::from(header.body);
        if header.first != self.first || length > MAX_BODY {
            return Err(Malformed("fragments that do not belong together"));
        }
        batch.put_body(&mut self.buffer)?;
        if is_fragment {
            return Ok(None);
        }
        // The limit above is one of 32 bits.
        let header = Header { body: length as u32, ..header };
        Ok(Some(Batch::of_buffer(header, std::mem::take(&mut self.buffer), batch.cost().bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{batch::Builder, item_stream::StreamEnd};

    /// A batch whose last item makes it large. No two parts of an item are alike.
    fn batch(first: u64, small: u32, large: usize) -> Batch {
        let mut builder = Builder::default();
        for length in (0..small as usize).chain([large]) {
            let put = |out: &mut Vec<u8>| {
                let end = out.len() + length;
                for part in 0..length.div_ceil(4096) as u32 {
                    out.extend_from_slice(&part.to_le_bytes());
                    out.resize(out.len() + 4092, 7);
                }
                out.truncate(end);
                Ok::<_, ()>(())
            };
            builder.push(put).unwrap();
        }
        builder.close(first, 7)
    }

    fn items(batch: &Batch) -> Vec<Bytes> {
        let mut items = batch.items().unwrap();
        std::iter::from_fn(|| items.next_item().unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_put_together_is_what_was_split(small in 0u32..40, large in 0usize..6 * FRAGMENT, first in 0u64..9) {
            let batch = batch(first, small, large);
            let parts: Vec<_> = fragments(batch.clone()).unwrap().collect();
            prop_assert!(parts.iter().all(|part| part.header().body as usize <= 2 * FRAGMENT));
            prop_assert_eq!(parts.iter().map(|part| part.header().count).sum::<u32>(), small + 1);
            let mut assembler = Assembler::default();
            let mut whole = None;
            for part in parts {
                prop_assert!(whole.is_none());
                let cost = part.cost();
                whole = assembler.push(part).unwrap();
                // The others were paid for when they came.
                prop_assert!(whole.as_ref().is_none_or(|whole| whole.cost() == cost));
            }
            let whole = whole.unwrap();
            prop_assert_eq!(whole.header(), batch.header());
            prop_assert_eq!(items(&whole), items(&batch));
        }
    }

    #[test]
    fn an_end_takes_the_place_of_the_rest() {
        let mut assembler = Assembler::default();
        let fragment = fragments(batch(3, 0, 3 * FRAGMENT)).unwrap().next().unwrap();
        assert!(assembler.push(fragment).unwrap().is_none());
        let end = assembler.push(Batch::end(&StreamEnd::ProducerLost, 3, 0)).unwrap().unwrap();
        assert_eq!(end.stream_end(), Ok(Some(StreamEnd::ProducerLost)));
        let next = assembler.push(batch(3, 0, 1)).unwrap().unwrap();
        assert_eq!(items(&next), [&[0][..]]);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let part = |first| fragments(batch(first, 0, 3 * FRAGMENT)).unwrap().next().unwrap();
        let mut assembler = Assembler::default();
        assembler.push(part(1)).unwrap();
        assembler.push(part(2)).unwrap_err();

        let mut assembler = Assembler::default();
        let fits = MAX_BODY as usize / part(0).header().body as usize;
        for _ in 0..fits {
            assembler.push(part(0)).unwrap();
        }
        assembler.push(part(0)).unwrap_err();
    }
}
