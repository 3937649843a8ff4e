//! What the title says: how many frames were drawn in the last second, and how old they were.

use std::time::{Duration, Instant};

/// How often the title is made anew. Faster could not be read.
const PERIOD: Duration = Duration::from_secs(1);

/// Collects what becomes of the frames of one period.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    frames: u32,
    latencies: Vec<Duration>,
    has_begun: bool,
}

impl Meter {
    /// It begins now.
    pub(super) const fn new(now: Instant) -> Self {
        Self { began: now, frames: 0, latencies: Vec::new(), has_begun: false }
    }

    /// A frame was drawn that was so old, if that is known. The first of all begins the period: what was before is no video.
    pub(super) fn shown(&mut self, now: Instant, latency: Option<Duration>) {
        if !self.has_begun {
            (self.has_begun, self.began) = (true, now);
            return;
        }
        self.frames += 1;
        self.latencies.extend(latency);
    }

    /// The figures of the period if it is over and there has ever been a frame: `60.0 fps, 3.1 ms, 0 missed`, with the median of
    /// the latencies. `missed` is told of.
    pub(super) fn figures(&mut self, now: Instant, missed: impl FnOnce() -> u64) -> Option<String> {
        let period = now.saturating_duration_since(self.began);
        if !self.has_begun || period < PERIOD {
            return None;
        }
        let fps = f64::from(self.frames) / period.as_secs_f64();
        self.latencies.sort_unstable();
        let median = self.latencies.get(self.latencies.len() / 2);
        let latency = median.map_or_else(String::new, |median| format!("{:.1} ms, ", median.as_secs_f64() * 1_000.0));
        (self.began, self.frames) = (now, 0);
        self.latencies.clear();
        Some(format!("{fps:.1} fps, {latency}{} missed", missed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_second_of_frames_makes_a_line() {
        let began = Instant::now();
        let mut meter = Meter::new(began);
        let first = began + 700 * MS;
        for frame in 0..=50 {
            assert_eq!(meter.figures(first + 19 * MS * frame, || 0), None);
            meter.shown(first + 19 * MS * frame, Some(MS * frame));
        }
        assert_eq!(meter.figures(first + 1_000 * MS, || 3).as_deref(), Some("50.0 fps, 26.0 ms, 3 missed"));
        assert_eq!(meter.figures(first + 1_999 * MS, || 3), None);
        meter.shown(first + 2_000 * MS, None);
        assert_eq!(meter.figures(first + 2_000 * MS, || 3).as_deref(), Some("1.0 fps, 3 missed"));
    }

    #[test]
    fn a_stalled_video_says_so_and_one_that_never_began_says_nothing() {
        let began = Instant::now();
        let mut meter = Meter::new(began);
        assert_eq!(meter.figures(began + 5_000 * MS, || 0), None);
        meter.shown(began + 5_000 * MS, None);
        assert_eq!(meter.figures(began + 7_000 * MS, || 0).as_deref(), Some("0.0 fps, 0 missed"));
    }
}
