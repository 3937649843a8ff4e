//! The numbers and times that a driver gives its frames, made good.

use std::time::Duration;

/// Extends a driver's numbers of 32 bits, and tells from their gaps how many frames were lost.
///
/// Drivers wrap their numbers, repeat them now and then, and begin anew; the numbers that come out of here rise with each frame.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The driver's last number, and the extended one that belongs to it.
    last: Option<(u32, u64)>,
    /// What the next frame has at least.
    next: u64,
}

/// A frame's number, and how many frames were lost before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) lost: u64,
}

impl Numbers {
    /// The driver's number of the next frame.
    pub(super) fn number(&mut self, raw: u32) -> Numbered {
        let (extended, expected) = match self.last {
            // What was before the first frame of a stream is not known, nor at which number the driver begins.
            None => (self.next, self.next),
            Some((last, extended)) => match raw.wrapping_sub(last) {
                // A number of before: the driver began anew.
                back if back > u32::MAX / 2 => (self.next, self.next),
                steps => (extended + u64::from(steps), self.next),
            },
        };
        // A repeated number leaves `extended` behind; the gap that follows then makes up for it, and counts as no loss.
        let number = extended.max(expected);
        self.last = Some((raw, extended));
        self.next = number + 1;
        Numbered { number, lost: number - expected }
    }

    /// The driver's numbers begin anew, and nobody knows how many frames were lost meanwhile.
    pub(super) const fn restart(&mut self) {
        self.last = None;
    }
}

/// When a frame was captured: what the driver says if that is a time of the monotonic clock, but never later than now.
///
/// Drivers stamp with another clock, or with the time at which the frame's end is due, which is to come when they deliver early.
pub(super) fn captured_at(stamp: Option<Duration>, now: Duration) -> Duration {
    stamp.map_or(now, |stamp| stamp.min(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(raws: &[u32]) -> Vec<(u64, u64)> {
        let mut numbers = Numbers::default();
        raws.iter().map(|raw| numbers.number(*raw)).map(|frame| (frame.number, frame.lost)).collect()
    }

    #[test]
    fn gaps_are_losses() {
        assert_eq!(numbered(&[0, 1, 2, 5, 6]), [(0, 0), (1, 0), (2, 0), (5, 2), (6, 0)]);
    }

    #[test]
    fn the_first_number_says_nothing() {
        assert_eq!(numbered(&[7, 8, 10]), [(0, 0), (1, 0), (3, 1)]);
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!(numbered(&[u32::MAX - 1, u32::MAX, 0, 2]), [(0, 0), (1, 0), (2, 0), (4, 1)]);
    }

    #[test]
    fn a_repeated_number_is_no_loss_and_neither_is_the_gap_after_it() {
        assert_eq!(numbered(&[4, 5, 5, 7, 8]), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
        assert_eq!(numbered(&[0, 0, 0, 0]), [(0, 0), (1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn numbers_that_begin_anew_go_on() {
        assert_eq!(numbered(&[90, 91, 0, 1, 3]), [(0, 0), (1, 0), (2, 0), (3, 0), (5, 1)]);
        let mut numbers = Numbers::default();
        numbers.number(4);
        numbers.number(6);
        numbers.restart();
        assert_eq!(numbers.number(1_000), Numbered { number: 3, lost: 0 });
    }

    #[test]
    fn nothing_is_captured_in_the_future() {
        let now = Duration::from_secs(10);
        assert_eq!(captured_at(Some(Duration::from_secs(9)), now), Duration::from_secs(9));
        assert_eq!(captured_at(Some(Duration::from_secs(11)), now), now);
        assert_eq!(captured_at(None, now), now);
    }
}
