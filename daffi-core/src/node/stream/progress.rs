//! How far a stream is at its receiver: shared by what reads it, what takes its items, and what answers.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    node::event::StreamEnded,
    wire::{
        batch::Batch,
        credit::{Credit, Overrun, Window},
        failure::Failure,
        item_stream::{Answer, Standing},
        limits,
        position::Position,
    },
};

/// How far a stream is.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// A grant is due.
    due: Notify,
    /// Items that did not come, between those that did.
    missed: AtomicU64,
    missing: Notify,
    /// Items that are finished.
    items: AtomicU64,
    /// Why nobody wants the rest.
    stopped: OnceLock<StreamEnded>,
    /// The end as whoever takes the items one by one has seen it.
    seen: OnceLock<StreamEnded>,
    /// An item that makes no sense.
    failure: OnceLock<Failure>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// The batches that are finished, and the fragments that were put to a larger one.
    finished: Credit,
    assembled: Credit,
    /// Fragments whose credit is kept back: batches before them are not finished, and a second large item is to wait for the first.
    kept: Credit,
    /// How many batches wait to be finished.
    waiting: u64,
    /// The number of the first item, and what comes next; nothing before the first of a stream that has begun without this receiver.
    begun: Option<(u64, Position)>,
    /// Of a stream that is paced: when each batch came that is not finished, and how long the last that is was held.
    arrivals: Option<VecDeque<Instant>>,
    held: Duration,
}

impl State {
    fn release(&mut self) {
        if self.waiting == 0 {
            self.assembled = self.assembled.plus(std::mem::take(&mut self.kept));
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(false, false)
    }
}

impl Progress {
    /// Of a stream that is `paced`, every batch that is finished is told at once. A stream of which this is a `late` receiver may begin
    /// with any number.
    pub(super) fn new(paced: bool, late: bool) -> Self {
        let size = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };
        let state = State {
            window: Window::new(size),
            finished: Credit::default(),
            assembled: Credit::default(),
            kept: Credit::default(),
            waiting: 0,
            begun: (!late).then(Default::default),
            arrivals: paced.then(VecDeque::new),
            held: Duration::ZERO,
        };
        Self {
            state: state.into(),
            due: Notify::new(),
            missed: AtomicU64::new(0),
            missing: Notify::new(),
            items: AtomicU64::new(0),
            stopped: OnceLock::new(),
            seen: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the stream may begin with any number.
    pub(super) fn is_late(&self) -> bool {
        self.with(|state| state.begun.is_none())
    }

    /// Whether every batch that is finished is told at once.
    pub(super) fn is_paced(&self) -> bool {
        self.with(|state| state.arrivals.is_some())
    }

    /// What is to be known by who sends the rest of the stream.
    pub(super) fn standing(&self) -> Standing {
        let missed = self.missed();
        self.with(|state| {
            let (first, position) = state.begun.map(|(first, position)| (Some(first), position)).unwrap_or_default();
            Standing { first, position, missed, received: state.window.received(), granted: state.window.grant() }
        })
    }

    /// Stops whoever takes the items, who looks for it between items. Only the first reason counts.
    pub(super) fn stop(&self, why: StreamEnded) {
        let _ = self.stopped.set(why);
    }

    /// Why nobody wants the rest, if so.
    pub(super) fn stopped(&self) -> Option<&StreamEnded> {
        self.stopped.get()
    }

    /// Whoever takes the items one by one has come to the end.
    pub(super) fn see(&self, end: StreamEnded) {
        let _ = self.seen.set(end);
    }

    /// The end, once it has been seen.
    pub(super) fn seen(&self) -> Option<&StreamEnded> {
        self.seen.get()
    }

    /// An item makes no sense, which ends the stream for this receiver.
    pub(super) fn fail(&self, failure: Failure) {
        self.see(StreamEnded::CallbackFailed { message: failure.to_string() });
        let _ = self.failure.set(failure);
    }

    /// What was wrong with an item.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Counts a batch that came in, the end included, and what is missing before it.
    pub(super) fn receive(&self, batch: &Batch) -> Result<(), Overrun> {
        let header = batch.header();
        let missed = self.with(|state| {
            let (first, position) = state.begun.unwrap_or_else(|| (header.first, Position::before(header.first)));
            let missed = header.first.saturating_sub(position.item);
            state.begun = Some((first, position.after(header)));
            if header.is_end() {
                return Ok(missed);
            }
            if let Some(arrivals) = &mut state.arrivals {
                arrivals.push_back(Instant::now());
            }
            state.window.receive(batch.cost()).map(|()| missed)
        })?;
        if missed > 0 {
            self.missed.fetch_add(missed, Ordering::Relaxed);
            self.missing.notify_one();
        }
        Ok(())
    }

    /// How many items did not come, between those that did.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Waits until further items did not come. Cancel safe.
    pub(super) async fn missing(&self) {
        self.missing.notified().await;
    }

    /// One more item is finished.
    pub(super) fn finish_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// How many items are finished.
    pub(super) fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// A fragment was put to those before it: what it cost is free once all batches before it are finished.
    pub(super) fn assemble(&self, cost: Credit) {
        let is_due = self.with(|state| {
            state.kept = state.kept.plus(cost);
            state.release();
            state.window.finish(state.finished.plus(state.assembled)).is_some()
        });
        if is_due {
            self.due.notify_one();
        }
    }

    /// A batch is on its way to whoever finishes it.
    pub(super) fn hand_over(&self) {
        self.with(|state| state.waiting += 1);
    }

    /// One more batch is finished, and in all these are.
    pub(super) fn finish(&self, total: Credit) {
        let is_due = self.with(|state| {
            state.finished = total;
            state.waiting = state.waiting.saturating_sub(1);
            state.release();
            let granted = state.window.finish(total.plus(state.assembled));
            let Some(arrivals) = &mut state.arrivals else { return granted.is_some() };
            if let Some(arrival) = arrivals.pop_front() {
                state.held = arrival.elapsed();
            }
            true
        });
        if is_due {
            self.due.notify_one();
        }
    }

    /// Waits until a grant is due. Cancel safe.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }

    /// What was granted last.
    pub(super) fn granted(&self) -> Credit {
        self.with(|state| state.window.granted())
    }

    /// What may be granted at this moment, within a batch too.
    pub(super) fn grant(&self) -> Credit {
        let items = self.items();
        self.with(|state| {
            state.window.finish(Credit { items, bytes: 0 });
            state.window.grant()
        })
    }

    /// The grant that is due.
    pub(super) fn grant_due(&self) -> Answer {
        let granted = self.with(|state| {
            let grant = state.window.grant();
            state.arrivals.is_some().then_some((grant, state.held))
        });
        match granted {
            Some((grant, held)) => {
                Answer::Pace { grant, held_micros: u64::try_from(held.as_micros()).unwrap_or(u64::MAX) }
            }
            None => Answer::Grant(self.grant()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_large_item_waits_for_the_first() {
        const FRAGMENTS: Credit = Credit { items: 0, bytes: 3 << 20 };
        let size = limits::STREAM_WINDOW_BYTES;
        let progress = Progress::default();
        // With nothing before it, an item may be as large as it likes.
        progress.assemble(FRAGMENTS);
        assert_eq!(progress.grant().bytes, size + FRAGMENTS.bytes);
        progress.hand_over();
        // Of the next one no more comes than the window.
        progress.assemble(FRAGMENTS);
        assert_eq!(progress.grant().bytes, size + FRAGMENTS.bytes);
        progress.finish(Credit { items: 1, bytes: 100 });
        assert_eq!(progress.grant().bytes, size + 2 * FRAGMENTS.bytes + 100);
    }
}
