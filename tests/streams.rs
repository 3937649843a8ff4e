//! Streams over real QUIC, with several nodes in one process: what is passed, to whom, in which order, and how it ends.

mod common;

#[path = "streams/callers.rs"]
mod callers;
#[path = "streams/ends.rs"]
mod ends;
#[path = "streams/failures.rs"]
mod failures;
#[path = "streams/items.rs"]
mod items;
#[path = "streams/order.rs"]
mod order;
#[path = "streams/receivers.rs"]
mod receivers;

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use daffi::{Event, Events, StreamEnded};
use tokio::sync::{Notify, oneshot};

/// For the tests that carry much: long enough for a loaded machine, and no longer than a test that hangs should take.
const MUCH: Duration = Duration::from_secs(120);

/// What a callback took, in order.
struct Journal<T> {
    taken: Mutex<Vec<T>>,
    grew: Notify,
}

impl<T: Clone> Journal<T> {
    const fn new() -> Self {
        Self { taken: Mutex::new(Vec::new()), grew: Notify::const_new() }
    }

    fn note(&self, item: T) {
        self.lock().push(item);
        self.grew.notify_waiters();
    }

    fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until so many were taken.
    async fn reaches(&self, count: usize) {
        common::soon(async {
            loop {
                let mut grew = std::pin::pin!(self.grew.notified());
                grew.as_mut().enable();
                if self.count() >= count {
                    return;
                }
                grew.await;
            }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.taken.lock().unwrap()
    }
}

/// A module for each receiver of a test, with a callback of the same name that notes what it takes in the module's `TOOK`.
macro_rules! journals {
    ($($module:ident),+: fn $name:ident($item:ident: $type:ty)) => {
        $(mod $module {
            #[allow(unused_imports, reason = "the item's type may be one of the prelude")]
            use super::*;

            pub(super) static TOOK: crate::Journal<$type> = crate::Journal::new();

            #[daffi::callback]
            pub(super) fn $name($item: $type) {
                TOOK.note($item);
            }
        })+
    };
}
use journals;

/// The numbers from 1 without end, and what tells that this source has been dropped: nothing is ever sent.
fn endless() -> (impl Iterator<Item = u64> + Send + 'static, Dropped) {
    let (held, dropped) = oneshot::channel();
    let numbers = (1..).inspect(move |_| {
        let _ = &held;
    });
    (numbers, Dropped(dropped))
}

struct Dropped(oneshot::Receiver<()>);

impl Dropped {
    /// Waits until the source has been dropped.
    async fn happens(self) {
        assert!(common::soon(self.0).await.is_err(), "nothing is ever sent");
    }
}

/// Waits for the end of a stream at a receiver: who produced it, how many items were delivered, and how it ended.
async fn ended(events: &mut Events) -> (String, u64, StreamEnded) {
    common::event(events, |event| match event {
        Event::StreamEnded { producer, delivered, end, .. } => Some((producer.clone(), *delivered, end.clone())),
        _ => None,
    })
    .await
}

/// Fails a test that takes longer than it should, instead of letting it hang.
async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("it ends in time")
}
