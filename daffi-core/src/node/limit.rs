//! How many runs of a callback there may be at a time, and how many may wait for their turn.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::failure::Failure;

/// Lets so many in at a time; so many more wait, in the order they came; the next is refused.
#[derive(Debug)]
pub(crate) struct Limiter {
    running: u32,
    waiting: u32,
    places: Arc<Semaphore>,
    /// How many wait at this moment.
    queue: AtomicU32,
}

impl Limiter {
    pub(crate) fn new(running: u32, waiting: u32) -> Self {
        Self { running, waiting, places: Arc::new(Semaphore::new(running as usize)), queue: AtomicU32::new(0) }
    }

    /// Waits for a place, which is free again when the permit is dropped. Cancel safe: whoever stops waiting makes room.
    ///
    /// # Errors
    ///
    /// [`Failure::Full`], at once, if as many as may wait do already.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let full = Failure::Full { running: self.running, waiting: self.waiting };
        let _queued = Queued::new(&self.queue, self.waiting).ok_or(full)?;
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.map_err(|_| Failure::NodeStopping)
    }
}

/// A place in the queue.
struct Queued<'a>(&'a AtomicU32);

impl<'a> Queued<'a> {
    fn new(queue: &'a AtomicU32, most: u32) -> Option<Self> {
        let join = |waiting| (waiting < most).then_some(waiting + 1);
        queue.fetch_update(Ordering::Relaxed, Ordering::Relaxed, join).ok().map(|_| Self(queue))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let limiter = Limiter::new(1, 1);
        let first = limiter.enter().await.unwrap();
        let mut second = Box::pin(limiter.enter());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(limiter.enter().now_or_never().unwrap().unwrap_err(), Failure::Full { running: 1, waiting: 1 });
        drop(first);
        let _second = second.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn whoever_stops_waiting_makes_room() {
        let limiter = Limiter::new(1, 1);
        let _first = limiter.enter().await.unwrap();
        let mut second = Box::pin(limiter.enter());
        assert!(poll!(&mut second).is_pending());
        drop(second);
        assert!(poll!(Box::pin(limiter.enter())).is_pending(), "there is room in the queue");
    }
}
