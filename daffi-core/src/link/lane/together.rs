//! A bound on what large frames take.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::wire::limits;

/// Bounds what large frames have together that are on their way at a time: see [`limits::LARGE_TOGETHER`]. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Together(Arc<Semaphore>);

impl Default for Together {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::LARGE_TOGETHER)))
    }
}

impl Together {
    /// Room for a frame of so many bytes, until it is dropped; nothing for one that needs none. They have their turns in the order in
    /// which they came. Cancel safe.
    pub(super) async fn enter(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        if bytes <= limits::LARGE_ALONE as u64 {
            return None;
        }
        // What says that it is larger is refused elsewhere.
        let room = bytes.min(limits::LARGE_TOGETHER as u64) as u32;
        self.0.acquire_many(room).await.ok()
    }
}
