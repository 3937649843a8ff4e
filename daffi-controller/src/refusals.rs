//! What was refused, for the log: each refusal says who and what. A node that asks again and again for what it may not have would fill the
//! log, so of one node so many are logged in a second, and the rest counted. Of all that are not let in, together, there is a [`Ration`].

use std::{collections::HashMap, time::Duration};

use daffi_core::wire::{NodeId, bucket::Bucket, failure::Right};
use tokio::time::Instant;

/// How many refusals of one node are logged in a second: more than a person reads, less than hurts.
const LOGGED: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// How much was logged of whom.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    nodes: HashMap<NodeId, Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    logged: u32,
    passed_over: u64,
}

impl Refusals {
    /// Logs that a node was refused something of another.
    pub(crate) fn log(&mut self, id: NodeId, caller: &str, right: Right, callback: &str, node: &str) {
        if let Some(passed_over) = self.count(id, Instant::now()) {
            let missing = if right == Right::Offer { node } else { caller };
            tracing::warn!(
                caller,
                node,
                callback,
                passed_over,
                "refused: no rule allows {missing:?} to {right} {callback:?}"
            );
        }
    }

    /// Forgets a node that has left.
    pub(crate) fn forget(&mut self, id: NodeId, name: &str) {
        if let Some(Window { passed_over: passed_over @ 1.., .. }) = self.nodes.remove(&id) {
            tracing::warn!(caller = name, passed_over, "refused more than was logged, before it left");
        }
    }

    /// Whether to log one more, and then how many were not logged since the last.
    fn count(&mut self, id: NodeId, now: Instant) -> Option<u64> {
        let window = self.nodes.entry(id).or_insert(Window { began: now, logged: 0, passed_over: 0 });
        if now - window.began >= SECOND {
            window.began = now;
            window.logged = 0;
        }
        if window.logged == LOGGED {
            window.passed_over += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.passed_over))
    }
}

/// Lets one line a second into the log, and a few at once after a quiet time; the others it counts.
#[derive(Debug)]
pub(crate) struct Ration {
    bucket: Bucket,
    passed_over: u64,
}

impl Ration {
    pub(crate) fn new(at_once: u64) -> Self {
        Self { bucket: Bucket::new(1, at_once, Duration::ZERO), passed_over: 0 }
    }

    /// Whether to log one more, and then how many were not logged since the last.
    pub(crate) fn take(&mut self, now: Duration) -> Option<u64> {
        if self.bucket.take(now) {
            return Some(std::mem::take(&mut self.passed_over));
        }
        self.passed_over += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_its_count_logged_with_the_next() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert!((0..LOGGED).all(|_| refusals.count(1, now) == Some(0)));
        assert_eq!((refusals.count(1, now), refusals.count(1, now)), (None, None));
        assert_eq!(refusals.count(2, now), Some(0), "another node's are its own");
        assert_eq!(refusals.count(1, now + SECOND), Some(2));
        assert_eq!(refusals.count(1, now + SECOND), Some(0));
    }

    #[test]
    fn a_ration_is_a_few_lines_and_then_one_a_second() {
        let mut ration = Ration::new(3);
        let mut take = |now| (0..10).filter_map(|_| ration.take(now)).collect::<Vec<_>>();
        assert_eq!(take(SECOND), [0, 0, 0]);
        assert_eq!(take(SECOND * 2), [7]);
        assert_eq!(take(SECOND * 9), [9, 0, 0]);
    }
}
