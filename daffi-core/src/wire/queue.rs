//! What waits for one receiver of a stream, and what goes when that is too much.
//!
//! A receiver that has to have all items has a queue without a limit of its own: credit bounds it. For any other so many items wait,
//! and older ones go. After items that went the receiver goes on with one that it can begin with: what depends on one that went
//! goes too. So if nothing newer can be begun with, it is the newest that goes, and what the receiver can still use stays.

use std::{collections::VecDeque, num::NonZeroU32, ops::Range};

use super::{
    Malformed,
    batch::{Batch, Carries},
    limits,
};

/// How many bytes may wait for a receiver that need not have all items: as many as for one that has to. A single batch may be
/// larger, as an item may.
const MAX_BYTES: u64 = limits::STREAM_WINDOW_BYTES;

/// The batches that wait for one receiver.
#[derive(Debug)]
pub struct Queue {
    parts: VecDeque<Part>,
    /// How many items may wait; nothing if all may.
    keep: Option<NonZeroU32>,
    /// How many items wait, and the bytes of the batches that they are in.
    items: u64,
    bytes: u64,
    /// The number of the receiver's first item, once there is one.
    first: Option<u64>,
    /// The number of the item after the last that came.
    next: u64,
    dropped: u64,
    /// The last that came went: the next to wait is one to begin with.
    broken: bool,
}

/// The part of a batch that waits.
#[derive(Debug)]
struct Part {
    batch: Batch,
    range: Range<u32>,
    /// Of the whole batch; not counted where all items may wait.
    bytes: u64,
}

impl Part {
    const fn len(&self) -> u32 {
        self.range.end - self.range.start
    }

    fn is_dependent(&self) -> bool {
        self.batch.header().carries == Carries::Dependents
    }
}

impl Queue {
    /// An empty queue of a receiver that was there when the stream began. `keep` says how many items may wait for it: nothing, if it
    /// has to have all.
    pub const fn new(keep: Option<NonZeroU32>) -> Self {
        Self { parts: VecDeque::new(), keep, items: 0, bytes: 0, first: Some(0), next: 0, dropped: 0, broken: false }
    }

    /// The queue of a receiver that came later: its first item is the next that it can begin with.
    pub fn of_newcomer(keep: Option<NonZeroU32>) -> Self {
        Self { first: None, broken: true, ..Self::new(keep) }
    }

    /// The queue of a receiver that goes on at the item with the number `next`, after so many did not come to it.
    pub fn of_returned(keep: Option<NonZeroU32>, first: u64, next: u64, missed: u64) -> Self {
        Self { first: Some(first), next, dropped: missed, ..Self::new(keep) }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether items may go.
    pub const fn may_drop(&self) -> bool {
        self.keep.is_some()
    }

    /// How many items went.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The number of the receiver's first item; while it has none, that of the next to come.
    pub fn first(&self) -> u64 {
        self.first.unwrap_or(self.next)
    }

    /// Takes in the next batch of the stream, the end included, and lets go what is too much. `false` if the batch is not for this
    /// receiver, since it can begin with no item of it.
    pub fn push(&mut self, batch: Batch) -> bool {
        let header = *batch.header();
        let gap = header.first.saturating_sub(self.next);
        self.next = header.next();
        if self.first.is_some() && gap > 0 {
            (self.dropped, self.broken) = (self.dropped + gap, true);
        }
        if header.carries == Carries::End {
            self.parts.push_back(Part { batch, range: 0..0, bytes: 0 });
            return true;
        }
        if self.broken && header.carries == Carries::Dependents {
            if self.first.is_some() {
                self.dropped += u64::from(header.count);
            }
            return false;
        }
        self.broken = false;
        self.first.get_or_insert(header.first);
        self.items += u64::from(header.count);
        let bytes = if self.may_drop() { batch.cost().bytes } else { 0 };
        self.bytes += bytes;
        self.parts.push_back(Part { batch, range: 0..header.count, bytes });
        while self.is_too_much() {
            self.shrink();
        }
        true
    }

    /// The next batch, of at most so many items, or the end; nothing if nothing waits, or if there are items and `most` is 0.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if a batch has not the items that its header says.
    pub fn pop(&mut self, most: u64) -> Result<Option<Batch>, Malformed> {
        let Some(front) = self.parts.front_mut() else {
            return Ok(None);
        };
        let taken = u32::try_from(most).unwrap_or(u32::MAX).min(front.len());
        if most == 0 && !front.batch.header().is_end() {
            return Ok(None);
        }
        self.items -= u64::from(taken);
        let range = front.range.start..front.range.start + taken;
        front.range.start += taken;
        if front.len() > 0 {
            return front.batch.cut(range).map(Some);
        }
        let Some(front) = self.drop_front() else { return Ok(None) };
        // The most frequent case: moved, and not a piece of it touched.
        if taken == front.batch.header().count { Ok(Some(front.batch)) } else { front.batch.cut(range).map(Some) }
    }

    fn is_too_much(&self) -> bool {
        self.keep.is_some() && (self.excess() > 0 || (self.bytes > MAX_BYTES && self.parts.len() > 1))
    }

    fn excess(&self) -> u64 {
        self.keep.map_or(0, |keep| self.items.saturating_sub(u64::from(keep.get())))
    }

    /// Lets something go: what is oldest, and what depends on it; but if there is nothing further back to begin with, what is newest.
    fn shrink(&mut self) {
        // The caller has found that too much waits.
        let Some(front) = self.parts.front_mut() else { return };
        let excess = self.items.saturating_sub(self.keep.map_or(u64::MAX, |keep| u64::from(keep.get())));
        let spare = if front.is_dependent() { 0 } else { u64::from(front.len()) - 1 };
        if excess > 0 && spare > 0 {
            // Each of its items can be begun with, so some of them may go alone.
            let count = excess.min(spare);
            front.range.start += count as u32;
            self.forget(count);
            return;
        }
        match (1..self.parts.len()).find(|index| !self.parts[*index].is_dependent()) {
            Some(index) => {
                for _ in 0..index {
                    let count = self.drop_front().map_or(0, |front| front.len());
                    self.forget(u64::from(count));
                }
            }
            None => {
                self.broken = true;
                let Some(back) = self.parts.back_mut() else { return };
                let count = if excess == 0 { back.len() } else { back.len().min(excess as u32) };
                back.range.end -= count;
                if back.len() == 0 {
                    self.bytes -= back.bytes;
                    self.parts.pop_back();
                }
                self.forget(u64::from(count));
            }
        }
    }

    fn drop_front(&mut self) -> Option<Part> {
        let front = self.parts.pop_front()?;
        self.bytes -= front.bytes;
        Some(front)
    }

    const fn forget(&mut self, items: u64) {
        self.items -= items;
        self.dropped += items;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::{batch::Builder, item_stream::StreamEnd};

    /// A batch of items of which each is its number.
    fn batch(first: u64, count: u64, dependents: bool) -> Batch {
        sized(first, count, dependents, 0)
    }

    fn sized(first: u64, count: u64, dependents: bool, padding: usize) -> Batch {
        let mut builder = Builder::default();
        builder.set_dependents(dependents);
        for number in first..first + count {
            let encode = |out: &mut Vec<u8>| {
                out.extend_from_slice(&number.to_be_bytes());
                out.resize(out.len() + padding, 0);
                Ok::<_, Infallible>(())
            };
            builder.push(encode).unwrap();
        }
        builder.close(first, 0)
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        let (mut items, mut numbers) = (batch.items().unwrap(), Vec::new());
        while let Some(item) = items.next_slice().unwrap() {
            numbers.push(u64::from_be_bytes(item[..8].try_into().unwrap()));
        }
        assert!(numbers.iter().copied().eq(batch.header().first..batch.header().next()));
        numbers
    }

    fn rest(queue: &mut Queue) -> Vec<u64> {
        let mut rest = Vec::new();
        while let Some(batch) = queue.pop(u64::MAX).unwrap() {
            if !batch.header().is_end() {
                rest.extend(numbers(&batch));
            }
        }
        rest
    }

    fn keeping(keep: u32) -> Queue {
        Queue::new(NonZeroU32::new(keep))
    }

    #[test]
    fn only_the_newest_waits_even_of_one_batch() {
        let mut queue = keeping(1);
        queue.push(batch(0, 100, false));
        assert_eq!((queue.dropped(), queue.items), (99, 1));
        queue.push(batch(100, 1, false));
        assert_eq!(rest(&mut queue), [100]);
        assert_eq!((queue.dropped(), queue.bytes), (100, 0));
    }

    #[test]
    fn the_oldest_go_item_by_item() {
        let mut queue = keeping(5);
        queue.push(batch(0, 3, false));
        queue.push(batch(3, 4, false));
        assert_eq!(queue.dropped(), 2);
        assert_eq!(numbers(&queue.pop(2).unwrap().unwrap()), [2]);
        assert_eq!(numbers(&queue.pop(2).unwrap().unwrap()), [3, 4]);
        assert!(queue.pop(0).unwrap().is_none());
        assert_eq!(rest(&mut queue), [5, 6]);
    }

    #[test]
    fn a_queue_without_a_limit_drops_nothing() {
        let mut queue = Queue::new(None);
        (0..200).for_each(|n| assert!(queue.push(sized(n * 10, 10, n % 3 > 0, 10_000))));
        assert_eq!(queue.dropped(), 0);
        assert!(rest(&mut queue).into_iter().eq(0..2_000));
    }

    #[test]
    fn what_depends_on_one_that_went_goes_and_what_can_still_be_used_stays() {
        let mut queue = keeping(3);
        queue.push(batch(0, 1, false));
        queue.push(batch(1, 4, true));
        // There is nothing newer to begin with: 3 and 4 go.
        assert_eq!(queue.dropped(), 2);
        queue.push(batch(5, 1, true));
        assert_eq!(queue.dropped(), 3);
        queue.push(batch(6, 1, false));
        // Now there is, and with 0 go those that depend on it.
        assert_eq!((rest(&mut queue), queue.dropped()), (vec![6], 6));
    }

    #[test]
    fn few_large_items_are_too_much_as_well() {
        let mut queue = keeping(100);
        (0..10).for_each(|n| assert!(queue.push(sized(n, 1, false, 1 << 20))));
        assert!(queue.bytes <= MAX_BYTES);
        assert_eq!(rest(&mut queue), [7, 8, 9]);
        queue.push(sized(10, 1, false, 5 << 20));
        assert_eq!(rest(&mut queue), [10]);
    }

    #[test]
    fn a_newcomer_begins_where_it_can_and_what_was_before_is_not_its_loss() {
        let mut queue = Queue::of_newcomer(NonZeroU32::new(4));
        assert!(!queue.push(batch(7, 2, true)));
        assert_eq!((queue.first(), queue.dropped(), queue.is_empty()), (9, 0, true));
        queue.push(batch(9, 1, false));
        queue.push(batch(10, 1, true));
        assert_eq!((queue.first(), rest(&mut queue)), (9, vec![9, 10]));
        // The last item to begin with was kept for this one, and those that depend on it are gone.
        let mut queue = Queue::of_newcomer(NonZeroU32::new(4));
        queue.push(batch(3, 1, false));
        queue.push(batch(6, 2, true));
        queue.push(batch(8, 1, false));
        assert_eq!((queue.first(), queue.dropped(), rest(&mut queue)), (3, 4, vec![3, 8]));
    }

    #[test]
    fn the_end_waits_behind_the_items_and_needs_no_room() {
        let mut queue = keeping(1);
        queue.push(batch(0, 2, false));
        queue.push(Batch::end(&StreamEnd::Finished, 2, 0));
        assert!(queue.pop(0).unwrap().is_none());
        assert_eq!(numbers(&queue.pop(1).unwrap().unwrap()), [1]);
        assert!(queue.pop(0).unwrap().unwrap().header().is_end());
    }

    proptest! {
        /// For any interleaving of batches and takings: the numbers rise, what was delivered and what was dropped make up all, after
        /// a drop comes an item to begin with, and never more waits than may.
        #[test]
        fn every_item_is_accounted_for(
            keep in 0u32..6, newcomer: bool,
            steps in prop::collection::vec((0u8..3, 1u64..6, any::<bool>()), 0..120),
        ) {
            let keep = NonZeroU32::new(keep);
            let mut queue = if newcomer { Queue::of_newcomer(keep) } else { Queue::new(keep) };
            let (mut sent, mut begins, mut got) = (0, Vec::new(), Vec::new());
            for (step, count, dependents) in steps {
                // A stream begins with an item that can be begun with.
                let dependents = dependents && sent > 0;
                if step == 0 {
                    if let Some(batch) = queue.pop(count).unwrap() {
                        prop_assert!(u64::from(batch.header().count) <= count);
                        got.extend(numbers(&batch));
                    }
                    continue;
                }
                queue.push(batch(sent, count, dependents));
                begins.extend((0..count).map(|_| !dependents));
                sent += count;
                prop_assert!(keep.is_none_or(|keep| queue.items <= u64::from(keep.get())));
                prop_assert_eq!(queue.items, queue.parts.iter().map(|part| u64::from(part.len())).sum::<u64>());
            }
            queue.push(Batch::end(&StreamEnd::Finished, sent, 0));
            got.extend(rest(&mut queue));
            prop_assert!(queue.is_empty() && queue.bytes == 0 && queue.items == 0);
            prop_assert!(got.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(got.len() as u64 + queue.dropped(), sent - queue.first());
            prop_assert!(keep.is_some() || queue.dropped() == 0);
            let mut next = if newcomer { u64::MAX } else { 0 };
            for number in got {
                prop_assert!(number == next || begins[number as usize], "{number} after a gap");
                next = number + 1;
            }
        }
    }
}
