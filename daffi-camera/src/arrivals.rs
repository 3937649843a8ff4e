//! What a viewer knows of the frames that it got: whether any are missing, whether they are whole, and how long they took.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    Frame,
    codec::CodecError,
    gaps::Gaps,
    pattern::{Picture, Stamp},
};

/// The longest latency that is told apart from longer ones, in microseconds: a minute.
const LONGEST: u64 = 60_000_000;

/// Counts and checks frames as they arrive.
///
/// Of any video it tells whether numbers are missing or out of order, and whether each frame could be decoded. If there is the
/// strip of the [test pattern](crate::pattern) in it, every frame is to have it, with the frame's own number. And if a picture
/// equals, pixel by pixel, what the pattern draws for its strip, all pictures are to do so: scaling and JPEG change them, but all
/// of them.
#[derive(Debug, Clone)]
pub struct Arrivals {
    frames: u64,
    bytes: u64,
    gaps: Gaps,
    undecodable: u64,
    stamped: u64,
    exact: u64,
    latency: Histogram<u64>,
    lately: Period,
    pattern: Option<Picture>,
}

/// What is counted anew whenever somebody asks.
#[derive(Debug, Clone)]
struct Period {
    /// When it was last asked, or the first frame arrived.
    began: Option<Instant>,
    frames: u64,
    bytes: u64,
    latency: Histogram<u64>,
}

/// What has become of the frames so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How many arrived.
    pub frames: u64,
    /// How many bytes they had as they were sent.
    pub bytes: u64,
    /// Whether none came after one with a higher number.
    pub in_order: bool,
    /// Whether all of them were whole, as far as can be told.
    pub intact: bool,
    /// How many never arrived in their turn, by the gaps in their [numbers](Frame::sequence); those before the first one do not
    /// count. A number that is not above the highest one so far is a repetition or disorder, and no gap.
    pub missed: u64,
    /// The median of the time from capture to arrival, in microseconds; 0 if no frame arrived.
    pub latency_p50_us: u64,
    /// The same time, which one of a hundred exceeds.
    pub latency_p99_us: u64,
}

/// What arrived since somebody last asked.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Lately {
    /// Frames per second.
    pub fps: f64,
    /// Bits per second, as they were sent.
    pub bits_per_second: f64,
    /// The median of the time from capture to arrival, in microseconds; 0 if no frame arrived.
    pub latency_p50_us: u64,
    /// The same time, which one of a hundred exceeds.
    pub latency_p99_us: u64,
}

impl Default for Arrivals {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds and the digits are in range");
        let lately = Period { began: None, frames: 0, bytes: 0, latency: latency.clone() };
        Self {
            frames: 0,
            bytes: 0,
            gaps: Gaps::default(),
            undecodable: 0,
            stamped: 0,
            exact: 0,
            latency,
            lately,
            pattern: None,
        }
    }
}

impl Arrivals {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame has arrived and been decoded, or could not be, at that time of the [`clock`](crate::clock).
    pub fn record(&mut self, sent: &Frame, decoded: Result<&Frame, &CodecError>, arrived_at: Duration) {
        let bytes = sent.data().len() as u64;
        self.frames += 1;
        self.bytes += bytes;
        self.lately.began.get_or_insert_with(Instant::now);
        self.lately.frames += 1;
        self.lately.bytes += bytes;
        let latency = arrived_at.saturating_sub(sent.captured_at());
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.latency.saturating_record(micros);
        self.lately.latency.saturating_record(micros);
        self.gaps.arrived(sent.sequence());
        match decoded {
            Ok(picture) => self.check(picture),
            Err(_) => self.undecodable += 1,
        }
    }

    fn check(&mut self, picture: &Frame) {
        let Ok(stamp) = Stamp::read(picture) else { return };
        // The strip's number begins again after 2^32 frames.
        if stamp.frame != picture.sequence() as u32 {
            return;
        }
        self.stamped += 1;
        // Once one differs, none is expected to be the same.
        if self.exact + 1 < self.stamped {
            return;
        }
        if self.pattern.is_none() {
            self.pattern = Picture::new(picture.size()).ok();
        }
        let expected = self.pattern.as_ref().map(|pattern| pattern.draw(stamp));
        self.exact += u64::from(expected.is_some_and(|expected| expected.data() == picture.data()));
    }

    /// What has become of them so far.
    pub fn summary(&self) -> Summary {
        let all_or_none = |some: u64| some == 0 || some == self.frames;
        Summary {
            frames: self.frames,
            bytes: self.bytes,
            in_order: self.gaps.out_of_order() == 0,
            intact: self.undecodable == 0 && all_or_none(self.stamped) && all_or_none(self.exact),
            missed: self.gaps.missed(),
            latency_p50_us: self.latency.value_at_quantile(0.5),
            latency_p99_us: self.latency.value_at_quantile(0.99),
        }
    }

    /// What has arrived since this was last called, or since the first frame.
    pub fn lately(&mut self) -> Lately {
        let Period { began, frames, bytes, latency } = &mut self.lately;
        let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64()).max(f64::EPSILON);
        let lately = Lately {
            fps: *frames as f64 / seconds,
            bits_per_second: *bytes as f64 * 8.0 / seconds,
            latency_p50_us: latency.value_at_quantile(0.5),
            latency_p99_us: latency.value_at_quantile(0.99),
        };
        (*began, *frames, *bytes) = (began.map(|_| Instant::now()), 0, 0);
        latency.reset();
        lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        PixelFormat,
        codec::{Codec, Decoder, Encoder},
        pattern::{Options, Pattern},
    };

    fn frames(count: u64) -> Vec<Frame> {
        let source = Pattern::new(Options { rate: None, frames: Some(count), ..Options::default() }).unwrap();
        source.map(Result::unwrap).collect()
    }

    fn arrived<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Summary {
        let mut arrivals = Arrivals::new();
        let mut decoder = Decoder::new();
        for frame in frames {
            arrivals.record(frame, decoder.decode(frame).as_ref(), frame.captured_at() + Duration::from_micros(1_500));
        }
        arrivals.summary()
    }

    #[test]
    fn all_is_well() {
        let summary = arrived(&frames(10));
        let expected = Summary {
            frames: 10,
            bytes: 10 * 172_800,
            in_order: true,
            intact: true,
            missed: 0,
            latency_p50_us: 1_500,
            latency_p99_us: 1_500,
        };
        assert_eq!(summary, expected);
        let none = Arrivals::new().summary();
        assert!(none.frames == 0 && none.intact && none.in_order && none.latency_p99_us == 0);
    }

    #[test]
    fn what_came_lately_is_counted_anew() {
        let mut arrivals = Arrivals::new();
        for frame in frames(4) {
            arrivals.record(&frame, Ok(&frame), frame.captured_at() + Duration::from_micros(20));
        }
        let lately = arrivals.lately();
        assert!(lately.fps > 0.0 && lately.bits_per_second > lately.fps && lately.latency_p50_us == 20);
        let nothing = arrivals.lately();
        assert_eq!(nothing, Lately::default());
        assert_eq!(arrivals.summary().frames, 4);
    }

    #[test]
    fn gaps_and_disorder_are_seen() {
        let frames = frames(10);
        let some = [0, 1, 1, 4, 5, 3].map(|index| &frames[index]);
        let summary = arrived(some);
        assert_eq!((summary.frames, summary.missed, summary.in_order), (6, 2, false));
        // One who comes late has missed nothing.
        assert_eq!(arrived(&frames[4..]).missed, 0);
    }

    #[test]
    fn a_single_wrong_pixel_is_seen() {
        let mut frames = frames(3);
        let mut data = frames[1].data().to_vec();
        *data.last_mut().unwrap() ^= 1;
        frames[1] = frames[1].become_picture(Frame::new((320, 180), PixelFormat::Rgb8, data).unwrap());
        assert!(!arrived(&frames).intact);
    }

    #[test]
    fn a_frame_that_is_not_what_it_says_is_seen() {
        let mut frames = frames(3);
        let captured_at = frames[2].captured_at();
        frames[2] = frames[0].clone().stamped(2, captured_at);
        assert!(!arrived(&frames).intact);
    }

    #[test]
    fn coded_video_is_whole_though_its_pixels_differ() {
        let mut encoder = Encoder::new("jpeg:40".parse::<Codec>().unwrap(), None);
        let mut packed = frames(5).iter().map(|frame| encoder.encode(frame).unwrap()).collect::<Vec<_>>();
        assert!(arrived(&packed).intact);
        let cut = packed[3].data().slice(..500);
        packed[3] = packed[3].become_picture(Frame::new((320, 180), PixelFormat::Jpeg, cut).unwrap());
        assert!(!arrived(&packed).intact);
    }

    #[test]
    fn video_without_a_strip_is_whole_if_it_can_be_decoded() {
        let grey = Frame::new((64, 64), PixelFormat::Gray8, vec![7; 4_096]).unwrap();
        assert!(arrived(&[grey.clone(), grey.stamped(1, Duration::ZERO)]).intact);
    }
}
