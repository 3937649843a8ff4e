//! What became of the frames that a screen was given.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{Frame, clock, gaps::Gaps};

/// The longest latency that is told apart from longer ones, in microseconds: a minute.
const MAX_LATENCY: u64 = 60_000_000;

/// What became of the frames that a [`Screen`](super::Screen) was given so far.
#[derive(Debug, Clone)]
pub struct Shown {
    frames: u64,
    skipped: u64,
    gaps: Gaps,
    latency: Histogram<u64>,
}

impl Shown {
    /// None yet.
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_max(MAX_LATENCY, 3).expect("three digits and a minute are within its bounds");
        Self { frames: 0, skipped: 0, gaps: Gaps::default(), latency }
    }

    /// How many were drawn.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// How many were not drawn since a newer one was there first.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many never got to the screen in their turn, by the gaps in their [numbers](Frame::sequence); those before the first one
    /// do not count. A number that is not above the highest one so far is a repetition or disorder, and no gap. It is the rule of
    /// [`Summary::missed`](crate::Summary::missed), for which a frame that cannot be decoded has arrived.
    pub const fn missed(&self) -> u64 {
        self.gaps.missed()
    }

    /// The latency that this part of the drawn frames did not exceed: the median is that of 0.5. `None` if there is no frame yet
    /// whose capture time is known.
    ///
    /// It is counted from [`captured_at`](Frame::captured_at) until the window system has the picture, so it means nothing if the
    /// frames come from another machine. It is right to a thousandth, up to a minute; a longer one counts as a minute.
    pub fn latency(&self, part: f64) -> Option<Duration> {
        (!self.latency.is_empty()).then(|| Duration::from_micros(self.latency.value_at_quantile(part)))
    }

    /// The screen was given this frame.
    pub(super) fn given(&mut self, frame: &Frame) {
        self.gaps.arrived(frame.sequence());
    }

    /// A frame was replaced by a newer one.
    pub(super) const fn skip(&mut self) {
        self.skipped += 1;
    }

    /// A frame was drawn, that old.
    pub(super) fn drawn(&mut self, latency: Option<Duration>) {
        self.frames += 1;
        if let Some(latency) = latency {
            self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// How old the frame is now, if it is known when it was captured.
pub(super) fn age(frame: &Frame) -> Option<Duration> {
    (!frame.captured_at().is_zero()).then(|| clock::now().saturating_sub(frame.captured_at()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrivals, PixelFormat};

    fn frame(sequence: u64) -> Frame {
        let frame = Frame::new((1, 1), PixelFormat::Gray8, vec![0]).unwrap();
        frame.stamped(sequence, Duration::ZERO)
    }

    #[test]
    fn gaps_are_missed_and_counted_as_in_the_summary() {
        // Joins late, misses two, has one twice, and sees the source begin anew; and the least and the greatest numbers.
        for (numbers, missed) in [(&[7, 8, 11, 11, 12, 0, 2][..], 2), (&[0, u64::MAX, 0, u64::MAX], u64::MAX - 1)] {
            let (mut shown, mut arrivals) = (Shown::new(), Arrivals::new());
            for number in numbers {
                let frame = frame(*number);
                shown.given(&frame);
                arrivals.record(&frame, Ok(&frame), Duration::ZERO);
            }
            assert_eq!((shown.missed(), arrivals.summary().missed), (missed, missed));
            assert!(!arrivals.summary().in_order);
        }
    }

    #[test]
    fn latencies_are_those_of_frames_that_have_one() {
        let mut shown = Shown::new();
        shown.drawn(None);
        assert_eq!((shown.frames(), shown.latency(0.5)), (1, None));
        for millis in 1..=100 {
            shown.drawn(Some(Duration::from_millis(millis)));
        }
        let near = |part, millis: f64| {
            let latency = shown.latency(part).unwrap().as_secs_f64() * 1_000.0;
            assert!((latency - millis).abs() < millis / 500.0, "{latency} ms instead of {millis}");
        };
        near(0.5, 50.0);
        near(0.99, 99.0);
        shown.drawn(Some(Duration::from_secs(1_000_000)));
        assert!(shown.latency(1.0).unwrap() >= Duration::from_secs(59));
    }

    #[test]
    fn an_age_needs_a_capture_time_that_has_been() {
        assert_eq!(age(&frame(0)), None);
        let future = frame(0).stamped(0, clock::now() + Duration::from_secs(9));
        assert_eq!(age(&future), Some(Duration::ZERO));
    }
}
