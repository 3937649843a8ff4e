//! What becomes of receivers that are slow, that come late, and that stand still: over real QUIC, with several nodes in one process.
//! Memory is looked at in `processes`, where each has its own.

mod common;

#[path = "policies/dropping.rs"]
mod dropping;
#[path = "policies/live.rs"]
mod live;
#[path = "policies/stalled.rs"]
mod stalled;
#[path = "policies/starting.rs"]
mod starting;

use std::sync::{Mutex, MutexGuard};

use daffi::{Event, Events, ReceiverReport, StreamEnded, StreamReport};
use tokio::sync::Notify;

/// What a callback took, in order.
struct Journal {
    taken: Mutex<Vec<u64>>,
    grew: Notify,
}

impl Journal {
    const fn new() -> Self {
        Self { taken: Mutex::new(Vec::new()), grew: Notify::const_new() }
    }

    fn note(&self, item: u64) {
        self.lock().push(item);
        self.grew.notify_waiters();
    }

    fn all(&self) -> Vec<u64> {
        self.lock().clone()
    }

    /// Waits until one was taken that this one wants.
    async fn has(&self, wanted: impl Fn(u64) -> bool) {
        common::soon(async {
            loop {
                let mut grew = std::pin::pin!(self.grew.notified());
                grew.as_mut().enable();
                if self.lock().iter().any(|item| wanted(*item)) {
                    return;
                }
                grew.await;
            }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.taken.lock().unwrap()
    }
}

/// Looks whether each item that was sent is accounted for, at a receiver that went on to the end: what its callback took, and what
/// the report says.
fn assert_accounted<E: std::fmt::Debug + PartialEq>(
    report: &StreamReport<(), E>,
    name: &str,
    took: &[u64],
) -> (u64, u64) {
    let ReceiverReport { delivered, dropped, first, result, .. } = report.receiver(name).unwrap();
    assert_eq!(result, &Ok(()));
    assert!(took.is_sorted_by(|a, b| a < b), "{took:?}");
    assert_eq!(took.len() as u64, *delivered);
    assert_eq!(delivered + dropped, report.sent - first, "{report:?}");
    assert!(took.first().is_none_or(|item| item >= first));
    (*delivered, *dropped)
}

/// Waits for the end of a stream at a receiver: how many items were delivered and missed, and how it ended.
async fn ended(events: &mut Events) -> (u64, u64, StreamEnded) {
    common::event(events, |event| match event {
        Event::StreamEnded { delivered, missed, end, .. } => Some((*delivered, *missed, end.clone())),
        _ => None,
    })
    .await
}

/// Waits until a node has heard that items went: how many, by producer and receiver.
async fn dropped(events: &mut Events) -> (String, String, u64) {
    common::event(events, |event| match event {
        Event::ItemsDropped { producer, receiver, dropped, .. } => Some((producer.clone(), receiver.clone(), *dropped)),
        _ => None,
    })
    .await
}
