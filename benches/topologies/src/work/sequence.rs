//! Streams of numbered items: an item is bytes that begin with its number, and a receiver checks that every one comes, whole and
//! in its turn.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use daffi::StreamCall;
use serde::{Deserialize, Serialize};

use super::Work;
use crate::{Result, report::CpuSeconds, topology::Topology};

/// What a receiver is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Begin a new sequence of items of this length.
    Expect { length: usize },
    /// What has come since.
    Seen,
}

/// What came to a receiver.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Seen {
    items: u64,
    /// Items out of their turn or of another length.
    wrong: u64,
}

/// What the sender tells of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// From the first item that the source gave to the report.
    seconds: f64,
    /// Whether the report says that every receiver has every item.
    complete: bool,
}

/// What one run gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) in_order: bool,
    pub(crate) cpu: CpuSeconds,
}

// One stream at a time comes to a receiver, and its callback runs on one thread: plain loads and stores are enough.
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static ITEMS: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Streams once to warm up and then `runs` times, each time as `order` says for so many items of `length` bytes.
pub(crate) async fn measure<W>(
    receivers: u32,
    length: usize,
    (warm_up, items): (u64, u64),
    runs: u32,
    order: impl Fn(u64) -> W::Order,
) -> Result<Vec<Run>>
where
    W: Work<Outcome = Outcome>,
{
    let mut topology = Topology::<W>::start(receivers).await?;
    let mut gave = Vec::new();
    for items in std::iter::once(warm_up).chain((0..runs).map(|_| items)) {
        topology.ask_receivers::<_, Seen>(&Question::Expect { length }).await?;
        let (Outcome { seconds, complete }, cpu) = topology.run(&order(items)).await?;
        let seen = topology.ask_receivers::<_, Seen>(&Question::Seen).await?;
        let in_order = complete && seen.iter().all(|seen| seen.items == items && seen.wrong == 0);
        gave.push(Run { seconds, in_order, cpu });
    }
    topology.finish().await?;
    Ok(gave.split_off(1))
}

/// Checks the next item.
pub(crate) fn check(item: &[u8]) {
    let number = ITEMS.load(Relaxed);
    let is_next = item.first_chunk().is_some_and(|bytes| u64::from_le_bytes(*bytes) == number);
    if !is_next || item.len() != LENGTH.load(Relaxed) {
        WRONG.fetch_add(1, Relaxed);
    }
    ITEMS.store(number + 1, Relaxed);
}

/// A receiver's answer.
pub(crate) fn answer(question: Question) -> Seen {
    if let Question::Expect { length } = question {
        LENGTH.store(length, Relaxed);
        ITEMS.store(0, Relaxed);
        WRONG.store(0, Relaxed);
    }
    Seen { items: ITEMS.load(Relaxed), wrong: WRONG.load(Relaxed) }
}

/// Gives `count` items, and notes when it was asked for the first.
pub(crate) struct Numbered<F> {
    next: u64,
    count: u64,
    started: Arc<OnceLock<Instant>>,
    make: F,
}

impl<T, F: FnMut(u64) -> T> Iterator for Numbered<F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next == self.count {
            return None;
        }
        if self.next == 0 {
            self.started.get_or_init(Instant::now);
        }
        let item = (self.make)(self.next);
        self.next += 1;
        Some(item)
    }
}

/// Sends `count` items and waits for the report. `make` makes the item of a number, `stub` the call.
pub(crate) async fn send<T, F: FnMut(u64) -> T>(
    count: u64,
    make: F,
    stub: impl FnOnce(Numbered<F>) -> StreamCall,
) -> Result<Outcome> {
    let started = Arc::<OnceLock<Instant>>::default();
    let report = stub(Numbered { next: 0, count, started: started.clone(), make }).await?;
    let seconds = started.get().ok_or("no item was asked for")?.elapsed().as_secs_f64();
    Ok(Outcome { seconds, complete: report.is_complete() && report.sent == count })
}
