//! Credits: how a receiver holds a producer back without either of them waiting for an answer.
//!
//! A receiver grants the right to send up to a total count of items and bytes. Grants are cumulative, like QUIC's
//! MAX_DATA: a lost, repeated or overtaken one does no harm, only the largest counts. A sender may begin a batch while it
//! is below both totals, so that an item larger than the whole window still passes, alone.

use serde::{Deserialize, Serialize};

/// A total of items and bytes since the stream began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Items.
    pub items: u64,
    /// Bytes of whole batches, headers included.
    pub bytes: u64,
}

impl Credit {
    /// The sum of two amounts.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { items: self.items.saturating_add(other.items), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// What is left of an amount when this much is taken off, field by field; nothing if that is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { items: self.items.saturating_sub(other.items), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// The smaller of two totals, field by field.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { items: self.items.min(other.items), bytes: self.bytes.min(other.bytes) }
    }

    /// The larger of two totals, field by field.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { items: self.items.max(other.items), bytes: self.bytes.max(other.bytes) }
    }

    /// Whether a sender that has sent `self` may begin another batch under `limit`.
    pub const fn is_below(self, limit: Self) -> bool {
        self.items < limit.items && self.bytes < limit.bytes
    }
}

/// The sender's side: what it may send and what it has sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    limit: Credit,
    sent: Credit,
}

impl Allowance {
    /// Takes in a grant. `true` if it allows more than the ones before.
    pub fn raise(&mut self, grant: Credit) -> bool {
        let raised = self.limit.max(grant);
        let more = raised != self.limit;
        self.limit = raised;
        more
    }

    /// Whether another batch may begin.
    pub const fn may_send(&self) -> bool {
        self.sent.is_below(self.limit)
    }

    /// Counts a batch as sent.
    pub fn spend(&mut self, batch: Credit) {
        self.sent = self.sent.plus(batch);
    }

    /// What is sent next is sent again: only this much has been.
    pub const fn rewind(&mut self, sent: Credit) {
        self.sent = sent;
    }

    /// Forgets all grants but this.
    pub const fn reset(&mut self, limit: Credit) {
        self.limit = limit;
    }
}

/// The receiver's side: what it has granted, what came, and what its callback is through with.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    size: Credit,
    granted: Credit,
    received: Credit,
    finished: Credit,
}

/// The peer sent a batch that it had no credit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer sent more than it was granted")]
pub struct Overrun;

impl Window {
    /// A window of `size` outstanding items and bytes; its first grant is `size` itself.
    pub const fn new(size: Credit) -> Self {
        Self { size, granted: size, received: Credit { items: 0, bytes: 0 }, finished: Credit { items: 0, bytes: 0 } }
    }

    /// The largest grant so far.
    pub const fn granted(&self) -> Credit {
        self.granted
    }

    /// What came in.
    pub const fn received(&self) -> Credit {
        self.received
    }

    /// Counts a batch that came in.
    ///
    /// # Errors
    ///
    /// [`Overrun`] if the peer had no credit left when it sent the batch.
    pub fn receive(&mut self, batch: Credit) -> Result<(), Overrun> {
        if !self.received.is_below(self.granted) {
            return Err(Overrun);
        }
        self.received = self.received.plus(batch);
        Ok(())
    }

    /// Takes in the total that the callback is through with. Gives a new grant once half of the window has become free: grants
    /// then cost one message per half window, and a sender that keeps up never waits.
    pub fn finish(&mut self, total: Credit) -> Option<Credit> {
        self.finished = self.finished.max(total);
        let next = self.finished.plus(self.size);
        let due = next.items.saturating_sub(self.granted.items) >= self.size.items.div_ceil(2)
            || next.bytes.saturating_sub(self.granted.bytes) >= self.size.bytes.div_ceil(2);
        due.then(|| self.grant())
    }

    /// Grants all that is free, however little.
    pub fn grant(&mut self) -> Credit {
        self.granted = self.granted.max(self.finished.plus(self.size));
        self.granted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const fn credit(items: u64, bytes: u64) -> Credit {
        Credit { items, bytes }
    }

    #[test]
    fn grants_are_cumulative_and_only_the_largest_counts() {
        let mut allowance = Allowance::default();
        assert!(!allowance.may_send());
        assert!(allowance.raise(credit(4, 100)));
        assert!(!allowance.raise(credit(2, 50)));
        allowance.spend(credit(3, 99));
        assert!(allowance.may_send());
        allowance.spend(credit(0, 1));
        assert!(!allowance.may_send());
    }

    #[test]
    fn an_item_larger_than_the_window_passes_alone() {
        let mut window = Window::new(credit(10, 100));
        let mut allowance = Allowance::default();
        allowance.raise(window.granted());
        assert!(allowance.may_send());
        allowance.spend(credit(1, 1_000));
        assert!(!allowance.may_send());
        window.receive(credit(1, 1_000)).unwrap();
        assert_eq!(window.receive(credit(1, 1)), Err(Overrun));
        allowance.raise(window.finish(credit(1, 1_000)).unwrap());
        assert_eq!(window.grant(), window.granted());
        assert!(allowance.may_send());
    }

    proptest! {
        /// Sender, receiver and the messages between them, in any interleaving: never an overrun, never a deadlock, and
        /// never more on the way than the window and one batch.
        #[test]
        fn sender_and_receiver_agree(
            window_items in 1u64..20, window_bytes in 1u64..200,
            batches in prop::collection::vec((1u64..8, 1u64..300), 1..60),
            choices in prop::collection::vec(0u8..4, 0..400),
        ) {
            let size = credit(window_items, window_bytes);
            let mut window = Window::new(size);
            let mut allowance = Allowance::default();
            let mut grants = VecDeque::from([window.granted()]);
            let mut flying = VecDeque::new();
            let mut waiting = VecDeque::new();
            let mut unsent = VecDeque::from(batches.clone());
            let (mut finished, mut total) = (0, Credit::default());
            let mut step = |choice: u8| -> Result<bool, TestCaseError> {
                match choice {
                    0 => if let Some(grant) = grants.pop_front() {
                        allowance.raise(grant);
                        return Ok(true);
                    },
                    1 => if allowance.may_send() && let Some((items, bytes)) = unsent.pop_front() {
                        allowance.spend(credit(items, bytes));
                        flying.push_back(credit(items, bytes));
                        return Ok(true);
                    },
                    2 => if let Some(batch) = flying.pop_front() {
                        prop_assert_eq!(window.receive(batch), Ok(()));
                        waiting.push_back(batch);
                        return Ok(true);
                    },
                    _ => if let Some(batch) = waiting.pop_front() {
                        total = total.plus(batch);
                        grants.extend(window.finish(total));
                        finished += 1;
                        return Ok(true);
                    },
                }
                let outstanding: u64 = flying.iter().chain(&waiting).map(|c: &Credit| c.bytes).sum();
                prop_assert!(outstanding < window_bytes + 300);
                Ok(false)
            };
            for choice in choices {
                step(choice)?;
            }
            while step(0)? || step(1)? || step(2)? || step(3)? {}
            prop_assert_eq!(finished, batches.len());
        }
    }
}
