#![no_main]
//! What waits for a receiver: whatever comes and goes, every item is delivered or counted, in order, and no more wait than may.

use std::{convert::Infallible, num::NonZeroU32};

use arbitrary::Arbitrary;
use daffi_core::wire::{
    batch::{Batch, Builder},
    item_stream::StreamEnd,
    queue::Queue,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    keep: u8,
    newcomer: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Push {
        count: u8,
        dependents: bool,
        large: bool,
    },
    /// Items that went before they came here.
    Gap {
        count: u8,
    },
    Pop {
        most: u8,
    },
}

/// With this, five items are more than may wait.
const LARGE: usize = 1 << 20;

fuzz_target!(|input: Input| {
    let keep = NonZeroU32::new(u32::from(input.keep));
    let mut queue = if input.newcomer { Queue::of_newcomer(keep) } else { Queue::new(keep) };
    let (mut sent, mut begins, mut got, mut large_ones) = (0, Vec::new(), Vec::new(), 0);
    for step in input.steps {
        match step {
            Step::Pop { most } => {
                if let Some(batch) = queue.pop(u64::from(most)).expect("they were built") {
                    assert!(u64::from(batch.header().count) <= u64::from(most));
                    got.extend(numbers(&batch));
                }
            }
            // Where all have to come none is missing.
            Step::Gap { count } if keep.is_some() => {
                begins.extend((0..count).map(|_| false));
                sent += u64::from(count);
            }
            Step::Gap { .. } => {}
            Step::Push { count, dependents, large } => {
                let count = u64::from(count % 16) + 1;
                // A stream begins with an item that can be begun with.
                let dependents = dependents && sent > 0;
                large_ones += u32::from(large);
                let padding = if large && large_ones < 16 { LARGE } else { 0 };
                queue.push(batch(sent, count, dependents, padding));
                begins.extend((0..count).map(|_| !dependents));
                sent += count;
            }
        }
    }
    queue.push(Batch::end(&StreamEnd::Finished, sent, 0));
    let (before, mut ended) = (got.len(), false);
    while let Some(batch) = queue.pop(u64::MAX).expect("they were built") {
        assert!(!ended, "nothing comes after the end");
        ended = batch.header().is_end();
        got.extend(numbers(&batch));
    }
    assert!(ended && queue.is_empty());
    if let Some(keep) = keep {
        assert!(got.len() - before <= keep.get() as usize, "more waited than may");
    }
    assert!(got.is_sorted_by(|a, b| a < b));
    assert_eq!(
        got.len() as u64 + queue.dropped(),
        sent - queue.first(),
        "every item from the first on is accounted for"
    );
    assert!(keep.is_some() || queue.dropped() == 0);
    let mut next = if input.newcomer { u64::MAX } else { 0 };
    for number in got {
        assert!(number == next || begins[number as usize], "{number} depends on what the receiver has not");
        next = number + 1;
    }
});

/// The last item is larger by the padding.
fn batch(first: u64, count: u64, dependents: bool, padding: usize) -> Batch {
    let mut builder = Builder::default();
    builder.set_dependents(dependents);
    for number in first..first + count {
        let last = number + 1 == first + count;
        let encode = |out: &mut Vec<u8>| {
            out.extend_from_slice(&number.to_be_bytes());
            out.resize(out.len() + if last { padding } else { 0 }, 0);
            Ok::<_, Infallible>(())
        };
        builder.push(encode).expect("it is small enough");
    }
    builder.close(first, 0)
}

fn numbers(batch: &Batch) -> Vec<u64> {
    if batch.header().is_end() {
        return Vec::new();
    }
    let (mut items, mut numbers) = (batch.items().expect("it was built"), Vec::new());
    while let Some(item) = items.next_slice().expect("it was built") {
        numbers.extend(item.first_chunk().map(|number| u64::from_be_bytes(*number)));
    }
    assert!(numbers.iter().copied().eq(batch.header().first..batch.header().next()));
    numbers
}
