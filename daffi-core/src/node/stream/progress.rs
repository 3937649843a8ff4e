//! How far a stream is at its receiver: shared by what reads it, what takes its items, and what answers.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::{
    node::event::StreamEnded,
    wire::{
        credit::{Credit, Overrun, Window},
        failure::Failure,
        limits,
    },
};

/// How far a stream is.
#[derive(Debug)]
pub(super) struct Progress {
    window: Mutex<Window>,
    /// A grant is due.
    due: Notify,
    /// Items that are finished.
    items: AtomicU64,
    /// Why nobody wants the rest.
    stopped: OnceLock<StreamEnded>,
    /// The end as whoever takes the items one by one has seen it.
    seen: OnceLock<StreamEnded>,
    /// An item that makes no sense.
    failure: OnceLock<Failure>,
}

impl Default for Progress {
    fn default() -> Self {
        let size = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };
        Self {
            window: Window::new(size).into(),
            due: Notify::new(),
            items: AtomicU64::new(0),
            stopped: OnceLock::new(),
            seen: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }
}

impl Progress {
    fn with<T>(&self, change: impl FnOnce(&mut Window) -> T) -> T {
        change(&mut self.window.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Counts a batch that came in.
    pub(super) fn receive(&self, batch: Credit) -> Result<(), Overrun> {
        self.with(|window| window.receive(batch))
    }

    /// One more item is finished.
    pub(super) fn finish_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// How many items are finished.
    pub(super) fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// All of these are finished, in whole batches.
    pub(super) fn finish(&self, total: Credit) {
        if self.with(|window| window.finish(total)).is_some() {
            self.due.notify_one();
        }
    }

    /// Waits until a grant is due. Cancel safe.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }

    /// What was granted last.
    pub(super) fn granted(&self) -> Credit {
        self.with(|window| window.granted())
    }

    /// What may be granted at this moment, within a batch too.
    pub(super) fn grant(&self) -> Credit {
        let items = self.items();
        self.with(|window| {
            window.finish(Credit { items, bytes: 0 });
            window.grant()
        })
    }
}
