//! Where a stream's source and its writer meet: the source puts items in, the writer takes batches out.
//!
//! While the writer is idle it takes an item as soon as it comes; while it writes, a batch gathers. A few full batches may wait;
//! then the source does.
//!
//! The writer runs on the I/O thread, the source wherever the user's code does, which on a busy machine may not go on for a long
//! time, at any point. So neither holds a lock while it works on the batch that gathers: whoever does has it to itself, and
//! the other finds its place empty.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crossbeam_utils::atomic::AtomicCell;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    node::{invoke::panic_message, stub::EncodeError},
    wire::{
        batch::{Batch, Builder, ItemError},
        item_stream::StreamEnd,
        limits::STREAM_WINDOW_BYTES,
    },
};

/// How many full batches may wait for the writer: enough that it finds work when it comes back from a write. Fewer, if they are so
/// large that they have this many bytes.
const QUEUE: usize = 4;
const QUEUE_BYTES: u64 = STREAM_WINDOW_BYTES;

/// The meeting place. Clones share it. There is one source and one writer.
#[derive(Clone)]
pub(super) struct Slot {
    shared: Arc<Shared>,
}

struct Shared {
    /// When a batch was closed is told by this.
    clock: Clock,
    item_size: u64,
    /// The batch that gathers. Nothing while somebody works on it, and until the first item.
    open: AtomicCell<Option<Box<Open>>>,
    /// Those before it. Held for as long as it takes to put one in or to take them out.
    full: Mutex<Vec<Batch>>,
    /// There are as many of these as may wait.
    jammed: AtomicBool,
    /// How many items were put in.
    count: AtomicU64,
    end: OnceLock<StreamEnd>,
    closed: AtomicBool,
    /// The writer waits here for items.
    filled: Notify,
    /// The source waits here for room.
    room: Notify,
    /// Nobody wants more items: an async source is dropped, wherever it waits.
    over: CancellationToken,
}

// With a lock of its own it would not do what it is for.
const _: () = assert!(AtomicCell::<Option<Box<Open>>>::is_lock_free());

/// A batch that gathers.
struct Open {
    builder: Builder,
    /// The number of its first item, if it has any.
    first: u64,
    /// The writer found nothing and waits.
    starved: bool,
}

/// Why the source need not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The stream is over: nobody wants more items.
    Closed,
    /// An item cannot be sent; the slot has noted it.
    Failed,
}

/// What the writer took.
#[derive(Debug)]
pub(super) enum Taken {
    /// Batches to write.
    Batches(Vec<Batch>),
    /// There is nothing at the moment.
    Nothing,
    /// The source ended, and everything has been taken.
    End(StreamEnd),
}

impl Slot {
    /// An empty one, whose batches are stamped with the time of this clock, for items of up to so many bytes.
    pub(super) fn new(clock: Clock, item_size: u64) -> Self {
        let shared = Shared {
            clock,
            item_size,
            open: AtomicCell::new(None),
            full: Mutex::default(),
            jammed: AtomicBool::new(false),
            count: AtomicU64::new(0),
            end: OnceLock::new(),
            closed: AtomicBool::new(false),
            filled: Notify::new(),
            room: Notify::new(),
            over: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts an item in; blocks the thread while there is no room. `starts` says that a receiver can begin with it.
    pub(super) fn put_blocking(
        &self,
        starts: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), Stop> {
        if self.has_no_room() {
            pollster::block_on(self.room());
        }
        self.put(starts, encode)
    }

    /// Waits until there is room. Cancel safe.
    pub(super) async fn room(&self) {
        while self.has_no_room() {
            // What was told since is kept for this.
            self.shared.room.notified().await;
        }
    }

    fn has_no_room(&self) -> bool {
        self.shared.jammed.load(Ordering::Acquire) && !self.is_closed()
    }

    fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Puts an item in, room or not.
    pub(super) fn put(
        &self,
        starts: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), Stop> {
        if self.is_closed() {
            return Err(Stop::Closed);
        }
        // Only the source changes it.
        let count = self.count();
        let mut open = self.shared.open.take().unwrap_or_else(|| self.open());
        // Before the first there is nothing that it could depend on.
        let dependent = !starts && count > 0;
        if open.builder.is_unfit(dependent) {
            self.fill(&mut open);
        }
        open.builder.set_dependents(dependent);
        if open.builder.is_empty() {
            open.first = count;
        }
        let result = match catch_unwind(AssertUnwindSafe(|| open.builder.push(encode))) {
            Ok(Ok(())) => {
                self.shared.count.store(count + 1, Ordering::Release);
                Ok(())
            }
            Ok(Err(error)) => Err(match error {
                ItemError::Encode(EncodeError(message)) => format!("an item cannot be encoded: {message}"),
                ItemError::TooLarge { size, limit } => {
                    format!("an item has {size} bytes, more than the {limit} that an item may have")
                }
            }),
            Err(panic) => Err(format!("an item panicked while it was encoded: {}", panic_message(&*panic))),
        };
        if open.builder.is_full() {
            self.fill(&mut open);
        }
        let result = result.map_err(|message| {
            let _ = self.shared.end.set(StreamEnd::SourceFailed { message });
            Stop::Failed
        });
        // The writer waits since before the item, or has begun to wait meanwhile and left word in the empty place.
        let starved = std::mem::take(&mut open.starved);
        let word = self.shared.open.swap(Some(open));
        if starved || word.is_some_and(|word| word.starved) {
            self.shared.filled.notify_one();
        }
        result
    }

    /// Puts the open batch to those that are full.
    fn fill(&self, open: &mut Open) {
        if let Some(batch) = open.close(self.shared.clock) {
            let mut full = self.full();
            full.push(batch);
            let bytes: u64 = full.iter().map(|batch| batch.cost().bytes).sum();
            if full.len() >= QUEUE || bytes >= QUEUE_BYTES {
                self.shared.jammed.store(true, Ordering::Release);
            }
        }
    }

    /// Says how the source ended. Only the first end counts.
    pub(super) fn end(&self, end: StreamEnd) {
        let _ = self.shared.end.set(end);
        self.shared.filled.notify_one();
    }

    /// Takes all that has gathered. Never waits for the source, which may be stopped in the middle of an item.
    pub(super) fn take(&self) -> Taken {
        // Before the items: those of a source that has ended are all there.
        let end = self.ended();
        let mut batches = Vec::new();
        let mut left = self.shared.open.take();
        self.gather(left.as_deref_mut(), &mut batches);
        if batches.is_empty() && end.is_none() {
            // If the source is at an item, it finds this word when it is back.
            left.get_or_insert_with(|| self.open()).starved = true;
        }
        if let Some(left) = left {
            // The source, which found the place empty, may have begun another.
            let mut newer = self.shared.open.swap(Some(left));
            if batches.is_empty() || newer.as_ref().is_some_and(|newer| !newer.builder.is_empty()) {
                self.gather(newer.as_deref_mut(), &mut batches);
            }
        }
        batches.sort_unstable_by_key(|batch| batch.header().first);
        match end {
            _ if !batches.is_empty() => Taken::Batches(batches),
            Some(end) => Taken::End(end),
            None => Taken::Nothing,
        }
    }

    /// Adds the full batches and this one, which is out of its place: those that the source put away before it left this one there
    /// are all to be found by now.
    fn gather(&self, open: Option<&mut Open>, batches: &mut Vec<Batch>) {
        let mut full = self.full();
        batches.append(&mut full);
        let jammed = self.shared.jammed.swap(false, Ordering::AcqRel);
        drop(full);
        if jammed {
            self.shared.room.notify_one();
        }
        batches.extend(open.and_then(|open| open.close(self.shared.clock)));
    }

    /// An empty batch.
    fn open(&self) -> Box<Open> {
        Box::new(Open { builder: Builder::up_to(self.shared.item_size), first: 0, starved: false })
    }

    fn full(&self) -> MutexGuard<'_, Vec<Batch>> {
        // Nothing under the lock panics.
        self.shared.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have come since the last [`take`](Self::take). Cancel safe.
    pub(super) async fn filled(&self) {
        self.shared.filled.notified().await;
    }

    /// Takes no more items: a blocking source stops at its next one, an async one at once.
    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.over.cancel();
        self.shared.room.notify_one();
    }

    /// Waits until no more items are taken. Cancel safe.
    pub(super) async fn closed(&self) {
        self.shared.over.cancelled().await;
    }

    /// How the source ended, if it has.
    pub(super) fn ended(&self) -> Option<StreamEnd> {
        self.shared.end.get().cloned()
    }

    /// How many items were put in.
    pub(super) fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Open {
    /// What has gathered, if anything has, as a batch.
    fn close(&mut self, clock: Clock) -> Option<Batch> {
        if self.builder.is_empty() { None } else { Some(self.builder.close(self.first, clock.micros())) }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use futures_util::FutureExt;

    use super::*;
    use crate::wire::batch::Carries;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn new() -> Slot {
        Slot::new(Clock::default(), u64::MAX)
    }

    fn put(slot: &Slot, byte: u8, length: usize) -> Result<(), Stop> {
        slot.put(true, |out| {
            out.resize(out.len() + length, byte);
            Ok(())
        })
    }

    #[test]
    fn what_gathers_is_taken_at_once_and_numbered() {
        let slot = new();
        assert!(matches!(slot.take(), Taken::Nothing));
        for byte in 0..3 {
            put(&slot, byte, 30_000).unwrap();
        }
        put(&slot, 3, 10).unwrap();
        slot.end(StreamEnd::Finished);
        let Taken::Batches(batches) = slot.take() else { panic!("there are items") };
        let headers: Vec<_> = batches.iter().map(|batch| (batch.header().first, batch.header().count)).collect();
        assert_eq!(headers, [(0, 3), (3, 1)]);
        assert!(matches!(slot.take(), Taken::End(StreamEnd::Finished)));
        assert_eq!(slot.count(), 4);
    }

    #[test]
    fn a_full_slot_holds_the_source_until_it_is_emptied_or_closed() {
        let slot = new();
        let source = slot.clone();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while source
                .put_blocking(true, |out| {
                    out.resize(out.len() + 70_000, 1);
                    Ok(())
                })
                .is_ok()
            {
                count += 1;
            }
            count
        });
        let mut taken = 0;
        while taken < 20 {
            if let Taken::Batches(batches) = slot.take() {
                assert!(batches.len() <= 2 * (QUEUE + 1));
                taken += batches.len();
            }
        }
        slot.close();
        assert!(thread.join().unwrap() <= taken + QUEUE + 1);
    }

    /// Waits for what comes next, as a writer does.
    fn next(slot: &Slot) -> Taken {
        pollster::block_on(async {
            loop {
                match slot.take() {
                    Taken::Nothing => tokio::time::timeout(PATIENCE, slot.filled()).await.expect("it is told in time"),
                    taken => return taken,
                }
            }
        })
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn every_item_is_taken_once_and_in_order_however_the_two_meet() {
        const ITEMS: u64 = 200_000;
        let slot = new();
        let source = slot.clone();
        let thread = std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(7);
            for number in 0..ITEMS {
                // Some fill a batch, some need one of their own, and some come when the writer waits.
                let length = if random.u32(..100) == 0 { random.usize(..100_000) } else { 0 };
                if random.u32(..500) == 0 {
                    std::thread::yield_now();
                }
                let put = |out: &mut Vec<u8>| {
                    out.extend_from_slice(&number.to_be_bytes());
                    out.resize(out.len() + length, 0);
                    Ok(())
                };
                source.put_blocking(random.bool(), put).unwrap();
            }
            source.end(StreamEnd::Finished);
        });
        let runtime = tokio::runtime::Handle::current();
        let taking = std::thread::spawn(move || {
            let _runtime = runtime.enter();
            let mut expected = 0;
            while let Taken::Batches(batches) = next(&slot) {
                for batch in batches {
                    assert_eq!(batch.header().first, expected);
                    let mut items = batch.items().unwrap();
                    while let Some(item) = items.next_item().unwrap() {
                        assert_eq!(item[..8], expected.to_be_bytes());
                        expected += 1;
                    }
                }
            }
            expected
        });
        let taken = tokio::task::spawn_blocking(|| taking.join()).await.unwrap();
        assert_eq!(taken.unwrap(), ITEMS);
        thread.join().unwrap();
    }

    #[test]
    fn the_writer_does_not_wait_for_an_item_in_the_making_and_is_told_of_it() {
        let slot = new();
        put(&slot, 1, 1).unwrap();
        let (source, (begun, begins), (go_on, wait)) = (slot.clone(), mpsc::channel(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let encode = |out: &mut Vec<u8>| {
                begun.send(()).unwrap();
                wait.recv_timeout(PATIENCE).unwrap();
                out.push(2);
                Ok(())
            };
            source.put(true, encode).unwrap();
        });
        begins.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(slot.take(), Taken::Nothing), "the source has the open batch");
        go_on.send(()).unwrap();
        thread.join().unwrap();
        assert!(slot.filled().now_or_never().is_some(), "the writer is told");
        let Taken::Batches(batches) = slot.take() else { panic!("there are items") };
        assert_eq!((batches.len(), batches[0].header().count), (1, 2));
    }

    #[test]
    fn an_item_that_panics_takes_nothing_with_it() {
        let slot = new();
        put(&slot, 1, 1).unwrap();
        let panicking = slot.put(true, |out| {
            out.push(2);
            panic!("no")
        });
        assert_eq!(panicking, Err(Stop::Failed));
        let Taken::Batches(batches) = slot.take() else { panic!("there is an item") };
        let mut items = batches[0].items().unwrap();
        assert_eq!(items.next_item().unwrap().as_deref(), Some(&[1][..]));
        assert_eq!(items.next_item(), Ok(None));
    }

    #[test]
    fn items_that_depend_on_others_have_batches_of_their_own() {
        let slot = new();
        for (byte, starts) in [false, false, true, false, true, true].into_iter().enumerate() {
            let put = |out: &mut Vec<u8>| {
                out.push(byte as u8);
                Ok(())
            };
            slot.put(starts, put).unwrap();
        }
        let Taken::Batches(batches) = slot.take() else { panic!("there are items") };
        let headers = batches.iter().map(|batch| *batch.header());
        let headers: Vec<_> = headers.map(|header| (header.first, header.count, header.carries)).collect();
        let expected = [
            // The first depends on nothing, whatever is said of it.
            (0, 1, Carries::Items),
            (1, 1, Carries::Dependents),
            (2, 1, Carries::Items),
            (3, 1, Carries::Dependents),
            (4, 2, Carries::Items),
        ];
        assert_eq!(headers, expected);
    }

    #[test]
    fn an_item_that_cannot_be_sent_ends_the_stream_after_those_before_it() {
        let slot = new();
        put(&slot, 1, 1).unwrap();
        assert_eq!(slot.put(true, |_| Err(EncodeError("no".into()))), Err(Stop::Failed));
        assert!(matches!(slot.take(), Taken::Batches(batches) if batches.len() == 1));
        assert!(matches!(slot.take(), Taken::End(StreamEnd::SourceFailed { .. })));
    }
}
