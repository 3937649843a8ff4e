//! The caller's side of the floors: calls back to back on one connection that answers in order, as many at a time as wanted.
//!
//! All calls that there is room for leave in one write, which is as good as it gets.

use std::{collections::VecDeque, time::Instant};

use crate::{
    Result,
    work::calls::{LENGTH, Order, Outcome, check, payload},
};

/// A frame is its length in four bytes, little-endian, and the bytes of a call.
const FRAME: usize = 4 + LENGTH;

/// How much the floors read at a time: far more than 64 calls.
pub(super) const READ: usize = 64 << 10;

/// The calls of one order. It moves no bytes itself.
#[derive(Debug)]
pub(super) struct Pipeline {
    order: Order,
    begun: Instant,
    answered: u32,
    /// When each call that is under way began, the oldest first.
    under_way: VecDeque<Instant>,
    /// The beginning of an answer that has not arrived whole.
    partial: Vec<u8>,
    times: Vec<std::time::Duration>,
}

impl Pipeline {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            begun: Instant::now(),
            answered: 0,
            under_way: VecDeque::new(),
            partial: Vec::new(),
            times: Vec::with_capacity(order.count as usize),
        }
    }

    /// Makes as many calls as may be under way, at the end of `out`.
    pub(super) fn call(&mut self, out: &mut Vec<u8>) {
        let now = Instant::now();
        while self.under_way.len() < self.order.in_flight as usize && self.sent() < self.order.count {
            out.extend_from_slice(&(LENGTH as u32).to_le_bytes());
            out.extend_from_slice(&payload(self.sent()));
            self.under_way.push_back(now);
        }
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    ///
    /// If it is not what was sent.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let now = Instant::now();
        self.partial.extend_from_slice(bytes);
        let whole = self.partial.len() / FRAME * FRAME;
        for frame in self.partial[..whole].chunks_exact(FRAME) {
            let begun = self.under_way.pop_front().ok_or("an answer came to no call")?;
            let (length, answer) = frame.split_at(FRAME - LENGTH);
            if length != (LENGTH as u32).to_le_bytes() {
                return Err(format!("call {} was answered with a length of {length:?}", self.answered).into());
            }
            check(self.answered, answer)?;
            self.answered += 1;
            self.times.push(now - begun);
        }
        self.partial.drain(..whole);
        Ok(())
    }

    /// What came of it, when all is answered.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let done = self.answered == self.order.count;
        done.then(|| Outcome::new(self.begun.elapsed(), &self.times))
    }

    fn sent(&self) -> u32 {
        self.answered + self.under_way.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_flow_as_answers_come() {
        let mut pipeline = Pipeline::new(Order { count: 5, in_flight: 2 });
        let mut sent = Vec::new();
        pipeline.call(&mut sent);
        assert_eq!(sent.len(), 2 * FRAME);
        pipeline.call(&mut sent);
        assert_eq!(sent.len(), 2 * FRAME, "no more may be under way");
        // In pieces that know nothing of frames.
        let (mut returned, mut turns) = (0, 0);
        while pipeline.outcome().is_none() {
            let piece = (sent.len() - returned).min(7);
            pipeline.take(&sent[returned..returned + piece]).unwrap();
            returned += piece;
            pipeline.call(&mut sent);
            turns += 1;
            assert!(turns < 100, "no progress");
        }
        assert_eq!(sent.len(), 5 * FRAME);
    }

    #[test]
    fn what_was_not_sent_is_an_error() {
        let mut pipeline = Pipeline::new(Order { count: 1, in_flight: 1 });
        let mut sent = Vec::new();
        pipeline.call(&mut sent);
        let mut other = sent.clone();
        other[FRAME - 1] ^= 1;
        pipeline.take(&other).unwrap_err();

        let mut pipeline = Pipeline::new(Order { count: 1, in_flight: 1 });
        pipeline.take(&sent).unwrap_err();
    }
}
