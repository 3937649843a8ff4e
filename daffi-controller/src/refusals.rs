//! What was refused, for the log: each refusal says who and what. A node that asks again and again for what it may not have would fill the
//! log, so of one node so many are logged in a [`PERIOD`], and the others counted; the count is logged when it is over. Of all that are not
//! let in, together, there is a [`Ration`].

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use daffi_core::wire::{bucket::Bucket, failure::Right};
use tokio::sync::Notify;

/// How long is counted, until it is logged how many were not logged.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// How many refusals of one node are logged in a period: more than a person reads, less than hurts.
const LOGGED: u64 = 20;

/// Tells that something was counted: a period begins. Without anything there is none, and nobody wakes up.
pub(crate) type Counted = Arc<Notify>;

/// How much was refused to whom in this period. Nothing of it outlives that.
#[derive(Debug)]
pub(crate) struct Refusals {
    counted: Counted,
    /// By name: a node that comes again under another number is no other.
    nodes: BTreeMap<String, u64>,
}

impl Refusals {
    pub(crate) const fn new(counted: Counted) -> Self {
        Self { counted, nodes: BTreeMap::new() }
    }

    /// Logs that a node was refused something of another.
    pub(crate) fn log(&mut self, caller: &str, right: Right, callback: &str, node: &str) {
        if self.is_to_be_logged(caller) {
            let missing = if right == Right::Offer { node } else { caller };
            tracing::warn!(caller, node, callback, "refused: no rule allows {missing:?} to {right} {callback:?}");
        }
    }

    /// Logs that a node may not offer what it wanted to.
    pub(crate) fn log_offers(&mut self, node: &str, reason: &str) {
        if self.is_to_be_logged(node) {
            tracing::warn!(node, "refused callbacks: {reason}");
        }
    }

    /// Logs how many were not logged in this period, which ends.
    pub(crate) fn log_rest(&mut self) {
        for (node, passed_over) in self.rest() {
            tracing::warn!(node, passed_over, "refused more than was logged");
        }
    }

    fn is_to_be_logged(&mut self, node: &str) -> bool {
        let refused = match self.nodes.get_mut(node) {
            Some(refused) => refused,
            None => {
                self.counted.notify_one();
                self.nodes.entry(node.to_owned()).or_default()
            }
        };
        *refused += 1;
        *refused <= LOGGED
    }

    fn rest(&mut self) -> impl Iterator<Item = (String, u64)> + use<> {
        let refused = mem::take(&mut self.nodes).into_iter();
        refused.filter(|(_, refused)| *refused > LOGGED).map(|(node, refused)| (node, refused - LOGGED))
    }
}

/// Lets one line a second into the log, and a few at once after a quiet time; the others it counts.
#[derive(Debug)]
pub(crate) struct Ration {
    counted: Counted,
    bucket: Bucket,
    passed_over: u64,
}

impl Ration {
    pub(crate) fn new(at_once: u64, counted: Counted) -> Self {
        Self { counted, bucket: Bucket::new(1, at_once, Duration::ZERO), passed_over: 0 }
    }

    /// Whether to log one more.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let is_there = self.bucket.take(now);
        if !is_there {
            self.counted.notify_one();
            self.passed_over += 1;
        }
        is_there
    }

    /// How many were not logged since this was last asked, if any.
    pub(crate) fn rest(&mut self) -> Option<u64> {
        Some(mem::take(&mut self.passed_over)).filter(|passed_over| *passed_over > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_nothing_is_kept_of_it_once_that_is_told() {
        let mut refusals = Refusals::new(Counted::default());
        assert!((0..LOGGED).all(|_| refusals.is_to_be_logged("a")));
        assert!(!refusals.is_to_be_logged("a") && !refusals.is_to_be_logged("a"));
        assert!(refusals.is_to_be_logged("b"), "another node's are its own");
        assert_eq!(refusals.rest().collect::<Vec<_>>(), [("a".to_owned(), 2)]);
        assert!(refusals.nodes.is_empty());
        assert!(refusals.is_to_be_logged("a"));
    }

    #[test]
    fn a_ration_is_a_few_lines_and_then_one_a_second() {
        let mut ration = Ration::new(3, Counted::default());
        let mut take = |now| ((0..10).filter(|_| ration.take(now)).count(), ration.rest());
        assert_eq!(take(PERIOD), (3, Some(7)));
        assert_eq!(take(PERIOD * 2), (1, Some(9)));
        assert_eq!(take(PERIOD * 9), (3, Some(7)));
        assert_eq!(ration.rest(), None);
    }
}
