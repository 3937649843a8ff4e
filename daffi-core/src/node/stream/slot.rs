//! Where a stream's source and its writer meet: the source puts items in, the writer takes batches out.
//!
//! While the writer is idle it takes an item as soon as it comes; while it writes, a batch gathers. A few full batches may wait;
//! then the source does.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

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

/// The meeting place. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The writer waits here for items.
    filled: Notify,
    /// A blocking source waits here for room, an async one at `room`.
    room_blocking: Condvar,
    room: Notify,
    /// Nobody wants more items: an async source is dropped, wherever it waits.
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// When a batch was closed is told by this.
    clock: Clock,
    /// `None` while an item is being encoded into it.
    open: Option<Builder>,
    full: VecDeque<Batch>,
    /// How many bytes these have.
    full_bytes: u64,
    /// How many items were put in.
    count: u64,
    end: Option<StreamEnd>,
    closed: bool,
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
        let slot = Self::default();
        {
            let mut state = slot.lock();
            state.clock = clock;
            state.open = Some(Builder::up_to(item_size));
        }
        slot
    }

    /// Puts an item in; blocks the thread while there is no room. `starts` says that a receiver can begin with it.
    pub(super) fn put_blocking(
        &self,
        starts: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), Stop> {
        let mut state = self.lock();
        while state.has_no_room() {
            state = self.shared.room_blocking.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.put(state, starts, encode)
    }

    /// Waits until there is room. Cancel safe.
    pub(super) async fn room(&self) {
        loop {
            let room = self.shared.room.notified();
            if !self.lock().has_no_room() {
                return;
            }
            room.await;
        }
    }

    /// Puts an item in, room or not.
    pub(super) fn put_now(
        &self,
        starts: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), Stop> {
        self.put(self.lock(), starts, encode)
    }

    fn put(
        &self,
        mut state: MutexGuard<'_, State>,
        starts: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), Stop> {
        if state.closed {
            return Err(Stop::Closed);
        }
        // Before the first there is nothing that it could depend on.
        let dependent = !starts && state.count > 0;
        if state.open.as_ref().is_some_and(|open| open.is_unfit(dependent)) {
            state.fill();
        }
        // The item is encoded without the lock: that is the user's code, and the writer must not wait for it.
        let mut open = state.open.take().unwrap_or_default();
        open.set_dependents(dependent);
        drop(state);
        let pushed = catch_unwind(AssertUnwindSafe(|| open.push(encode)));
        let mut state = self.lock();
        let full = open.is_full();
        state.open = Some(open);
        let result = match pushed {
            Ok(Ok(())) => {
                state.count += 1;
                Ok(())
            }
            Ok(Err(error)) => {
                let message = match error {
                    ItemError::Encode(EncodeError(message)) => format!("an item cannot be encoded: {message}"),
                    ItemError::TooLarge { size, limit } => {
                        format!("an item has {size} bytes, more than the {limit} that an item may have")
                    }
                };
                state.end.get_or_insert(StreamEnd::SourceFailed { message });
                Err(Stop::Failed)
            }
            Err(panic) => {
                let message = format!("an item panicked while it was encoded: {}", panic_message(&*panic));
                state.end.get_or_insert(StreamEnd::SourceFailed { message });
                Err(Stop::Failed)
            }
        };
        if full {
            state.fill();
        }
        if std::mem::take(&mut state.starved) {
            drop(state);
            self.shared.filled.notify_one();
        }
        result
    }

    /// Says how the source ended. Only the first end counts.
    pub(super) fn end(&self, end: StreamEnd) {
        self.lock().end.get_or_insert(end);
        self.shared.filled.notify_one();
    }

    /// Takes all that has gathered.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let mut batches: Vec<_> = state.full.drain(..).collect();
        state.full_bytes = 0;
        batches.extend(state.close_batch());
        if batches.is_empty() {
            state.starved = state.end.is_none();
            return state.end.clone().map_or(Taken::Nothing, Taken::End);
        }
        drop(state);
        self.shared.room_blocking.notify_one();
        self.shared.room.notify_one();
        Taken::Batches(batches)
    }

    /// Waits until something may have come since the last [`take`](Self::take). Cancel safe.
    pub(super) async fn filled(&self) {
        self.shared.filled.notified().await;
    }

    /// Takes no more items: a blocking source stops at its next one, an async one at once.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.shared.over.cancel();
        self.shared.room_blocking.notify_one();
        self.shared.room.notify_one();
    }

    /// Waits until no more items are taken. Cancel safe.
    pub(super) async fn closed(&self) {
        self.shared.over.cancelled().await;
    }

    /// How the source ended, if it has.
    pub(super) fn ended(&self) -> Option<StreamEnd> {
        self.lock().end.clone()
    }

    /// How many items were put in.
    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock, so nothing panics there.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_no_room(&self) -> bool {
        !self.closed && (self.full.len() >= QUEUE || self.full_bytes >= QUEUE_BYTES)
    }

    /// Puts the open batch to those that are full.
    fn fill(&mut self) {
        if let Some(batch) = self.close_batch() {
            self.full_bytes += batch.cost().bytes;
            self.full.push_back(batch);
        }
    }

    /// The open batch, closed, if there are items in it.
    fn close_batch(&mut self) -> Option<Batch> {
        let open = self.open.as_mut().filter(|open| !open.is_empty())?;
        let waiting = open.count();
        Some(open.close(self.count - u64::from(waiting), self.clock.micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::Carries;

    fn put(slot: &Slot, byte: u8, length: usize) -> Result<(), Stop> {
        slot.put_now(true, |out| {
            out.resize(out.len() + length, byte);
            Ok(())
        })
    }

    #[test]
    fn what_gathers_is_taken_at_once_and_numbered() {
        let slot = Slot::default();
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
        let slot = Slot::default();
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
                assert!(batches.len() <= QUEUE + 1);
                taken += batches.len();
            }
        }
        slot.close();
        assert!(thread.join().unwrap() <= taken + QUEUE + 1);
    }

    #[test]
    fn an_item_that_panics_takes_nothing_with_it() {
        let slot = Slot::default();
        put(&slot, 1, 1).unwrap();
        let panicking = slot.put_now(true, |out| {
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
        let slot = Slot::default();
        for (byte, starts) in [false, false, true, false, true, true].into_iter().enumerate() {
            let put = |out: &mut Vec<u8>| {
                out.push(byte as u8);
                Ok(())
            };
            slot.put_now(starts, put).unwrap();
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
        let slot = Slot::default();
        put(&slot, 1, 1).unwrap();
        assert_eq!(slot.put_now(true, |_| Err(EncodeError("no".into()))), Err(Stop::Failed));
        assert!(matches!(slot.take(), Taken::Batches(batches) if batches.len() == 1));
        assert!(matches!(slot.take(), Taken::End(StreamEnd::SourceFailed { .. })));
    }
}
