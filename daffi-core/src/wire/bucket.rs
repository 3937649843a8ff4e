//! A token bucket: so much at once, and so much a second in the long run.
//!
//! Time is passed in, so it counts on a paused clock too, and needs no thread and no lock. (The crates for this, such as governor, bring
//! a clock of their own.)

use std::time::Duration;

/// Fills by so much a second, up to what it holds. It begins full.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: f64,
    capacity: f64,
    level: f64,
    /// When the level was right, since whatever its owner counts from.
    at: Duration,
}

impl Bucket {
    /// One that fills by `per_second` and holds `capacity`, each at least one.
    pub fn new(per_second: u64, capacity: u64, now: Duration) -> Self {
        let capacity = capacity.max(1) as f64;
        Self { per_second: per_second.max(1) as f64, capacity, level: capacity, at: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let there = self.has_beyond(0, now);
        if there {
            self.level -= 1.0;
        }
        there
    }

    /// Whether one can be taken so that as many as `rest` are left.
    pub fn has_beyond(&mut self, rest: u64, now: Duration) -> bool {
        self.fill(now);
        self.level >= rest as f64 + 1.0
    }

    /// Takes so much in any case; how long to wait until the debt is paid, if there is one then.
    pub fn draw(&mut self, amount: usize, now: Duration) -> Duration {
        self.fill(now);
        self.level -= amount as f64;
        Duration::from_secs_f64((-self.level / self.per_second).max(0.0))
    }

    /// Whether it would be the same as a new one.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.level >= self.capacity
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at);
        self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.capacity);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_gives_what_it_holds_and_then_what_comes_in() {
        let mut bucket = Bucket::new(2, 3, Duration::ZERO);
        assert_eq!((0..5).filter(|_| bucket.take(Duration::ZERO)).count(), 3);
        assert!(!bucket.take(SECOND / 4));
        assert!(bucket.take(SECOND / 2));
        assert!(!bucket.is_full(SECOND));
        assert!(bucket.is_full(SECOND * 10));
        assert_eq!((0..5).filter(|_| bucket.take(SECOND * 10)).count(), 3);
    }

    #[test]
    fn a_rest_is_left_to_others() {
        let mut bucket = Bucket::new(1, 5, Duration::ZERO);
        let mut leaving = |rest, now| bucket.has_beyond(rest, now) && bucket.take(now);
        assert_eq!((0..9).filter(|_| leaving(3, Duration::ZERO)).count(), 2);
        assert_eq!((0..9).filter(|_| leaving(0, Duration::ZERO)).count(), 3);
        assert!(!leaving(3, SECOND * 3) && leaving(3, SECOND * 4));
    }

    #[test]
    fn a_debt_takes_its_time() {
        let mut bucket = Bucket::new(10, 10, Duration::ZERO);
        assert_eq!(bucket.draw(10, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.draw(20, Duration::ZERO), SECOND * 2);
        assert_eq!(bucket.draw(0, SECOND), SECOND);
        assert_eq!(bucket.draw(0, SECOND * 2), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = Bucket::new(1, 1, SECOND * 5);
        assert!(bucket.take(SECOND * 5));
        assert!(!bucket.take(SECOND));
        assert!(!bucket.take(SECOND * 5));
        assert!(bucket.take(SECOND * 6));
    }
}
