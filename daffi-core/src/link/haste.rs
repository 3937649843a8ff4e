//! Calls beside streams: how a call is kept from waiting behind what a stream at full speed has on its way.
//!
//! What waits is not in the streams, which have priorities, but below them: datagrams of the stream that are in the socket's buffer
//! before that of the call. So less is let on its way at a time, which costs the stream speed; but only while calls go.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use crate::transport::{Ceiling, Connection};

/// For how long after the last call less is let on its way: long enough for calls that are made one after the other.
const LINGER: Duration = Duration::from_millis(20);

/// The sending side of a connection that calls go over.
#[derive(Debug)]
pub(super) struct Haste {
    /// Nothing where it would be of no use.
    ceiling: Option<Ceiling>,
    /// A call has gone since that was looked at last.
    fresh: AtomicBool,
    begun: Notify,
}

impl Haste {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { ceiling: connection.ceiling(), fresh: AtomicBool::new(false), begun: Notify::new() }
    }

    /// Calls are about to go.
    pub(super) fn hasten(&self) {
        if let Some(ceiling) = &self.ceiling
            && !self.fresh.swap(true, Ordering::Relaxed)
            && ceiling.lower()
        {
            self.begun.notify_one();
        }
    }

    /// Lets as much on its way as ever, once no calls have gone for a while. Cancel safe.
    pub(super) async fn ease(&self) -> Infallible {
        loop {
            self.begun.notified().await;
            while self.fresh.swap(false, Ordering::Relaxed) {
                tokio::time::sleep(LINGER).await;
            }
            if let Some(ceiling) = &self.ceiling {
                ceiling.raise();
            }
        }
    }
}
