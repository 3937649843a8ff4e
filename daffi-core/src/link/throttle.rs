//! Holds back what a peer sends too much of, by not reading it: QUIC's windows then hold back the peer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::wire::bucket::Bucket;

/// How many bytes a second may be read of a peer, all its streams together. Clones share them. Without a limit it costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Throttle(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    bucket: Mutex<Bucket>,
    began: Instant,
}

impl Throttle {
    /// Lets through so many bytes a second, and those of one second at once.
    pub fn new(bytes_per_second: u64) -> Self {
        Self::with_burst(bytes_per_second, bytes_per_second)
    }

    /// Lets through so many bytes a second, and `burst` at once.
    pub fn with_burst(bytes_per_second: u64, burst: u64) -> Self {
        let bucket = Mutex::new(Bucket::new(bytes_per_second, burst, Duration::ZERO));
        Self(Some(Arc::new(Shared { bucket, began: Instant::now() })))
    }

    /// Whether a new one would be the same: nobody else has this one, and nothing is owed.
    pub fn is_as_new(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| {
            let mut bucket = shared.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::strong_count(shared) == 1 && bucket.is_full(shared.began.elapsed())
        })
    }

    /// Counts what was read, and waits until more may be. Cancel safe: what was counted stays so.
    pub async fn pay(&self, bytes: usize) {
        let Some(shared) = &self.0 else { return };
        let wait = {
            let mut bucket = shared.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.draw(bytes, shared.began.elapsed())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_that_share_it_together_have_so_much_a_second() {
        let throttle = Throttle::new(1_000);
        let began = Instant::now();
        let readers = (0..4).map(|_| {
            let throttle = throttle.clone();
            async move {
                for _ in 0..10 {
                    throttle.pay(100).await;
                }
            }
        });
        futures_util::future::join_all(readers).await;
        // 4,000 bytes, of which the first 1,000 were free.
        let took = began.elapsed();
        assert!((Duration::from_millis(2_990)..Duration::from_millis(3_010)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let began = Instant::now();
        Throttle::default().pay(usize::MAX).await;
        assert!(began.elapsed().is_zero());
    }
}
