//! A test pattern: video where there is no camera, which a program can check picture by picture.
//!
//! - [`Pattern`] is the source.
//! - [`Stamp`] reads back from a picture which frame it is and when it was drawn, also after scaling, coding and from a screen.
//! - [`Picture`] draws the very picture of a stamp.
//! - [`Fault`]s make the source fail as cameras do.

mod fault;
mod picture;
mod strip;

use std::{thread, time::Duration};

pub use fault::{Fault, FaultKind, InvalidFault};
pub use picture::{InvalidSize, Picture};
pub use strip::{MIN_SIZE, NoStamp, Stamp};

use crate::{
    CaptureError, Counts, Frame, Mode, PixelFormat, Rate, VideoSource, clock,
    codec::{Codec, CodecError, Encoder, Quality},
    convert::convert,
    pace::Pace,
};

/// The source's name.
const NAME: &str = "test pattern";

/// What the test pattern is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Width and height in pixels; 320x180 unless said otherwise.
    pub size: (u32, u32),
    /// How many frames come a second; 60 unless said otherwise. Without a rate they come as fast as they are drawn.
    pub rate: Option<Rate>,
    /// What the frames are; RGB unless said otherwise. Every raw layout, and JPEG.
    pub format: PixelFormat,
    /// How many frames there are; endless unless said otherwise.
    pub frames: Option<u64>,
    /// What goes wrong on the way.
    pub faults: Vec<Fault>,
    /// How long a stall is waited for before it is a time-out; 2 s unless said otherwise, as for cameras.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: (320, 180),
            rate: Rate::new(60, 1),
            format: PixelFormat::Rgb8,
            frames: None,
            faults: Vec::new(),
            timeout: Duration::from_secs(2),
        }
    }
}

/// There can be no such test pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The size is too small or too large.
    #[error(transparent)]
    Size(#[from] InvalidSize),
    /// It cannot be drawn in that layout.
    #[error("the test pattern comes in raw layouts and as JPEG, not as {0}")]
    Format(PixelFormat),
}

/// The source: SMPTE bars, a box that moves, and a strip that says which frame it is and when it was drawn.
#[derive(Debug)]
pub struct Pattern {
    options: Options,
    picture: Picture,
    encoder: Encoder,
    pace: Pace,
    /// The number of the next frame.
    next: u64,
    counts: Counts,
    /// Until when a stall lasts.
    stalled: Duration,
    /// How long the camera stays away when it is asked for the next frame.
    away: Option<Duration>,
    /// What a repeat gives again.
    last: Option<Frame>,
    ended: bool,
}

impl Pattern {
    /// Begins at frame 0.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn new(mut options: Options) -> Result<Self, OpenError> {
        if !options.format.is_raw() && options.format != PixelFormat::Jpeg {
            return Err(OpenError::Format(options.format));
        }
        let picture = Picture::new(options.size)?;
        options.faults.sort_by_key(|fault| fault.at);
        // They are taken from the end.
        options.faults.reverse();
        Ok(Self {
            picture,
            encoder: Encoder::new(Codec::Jpeg(Quality::default()), None),
            pace: Pace::new(options.rate),
            next: 0,
            counts: Counts::default(),
            stalled: Duration::ZERO,
            away: None,
            last: None,
            ended: false,
            options,
        })
    }

    /// What goes wrong now, if something does.
    fn next_fault(&mut self) -> Option<FaultKind> {
        self.options.faults.pop_if(|fault| fault.at <= self.next).map(|fault| fault.kind)
    }

    /// Waits for a stall to end.
    fn sit_out_stall(&self) -> Result<(), CaptureError> {
        let left = self.stalled.saturating_sub(clock::now());
        thread::sleep(left.min(self.options.timeout));
        if left > self.options.timeout {
            return Err(CaptureError::TimedOut { source_name: NAME.into(), after: self.options.timeout });
        }
        Ok(())
    }

    fn capture(&mut self) -> Result<Frame, CaptureError> {
        if let Some(away) = self.away.take() {
            thread::sleep(away);
        }
        self.sit_out_stall()?;
        let mut damage = false;
        while let Some(fault) = self.next_fault() {
            match fault {
                FaultKind::Stall(time) => {
                    self.stalled = clock::now() + time;
                    self.sit_out_stall()?;
                }
                FaultKind::Drop(count) => {
                    self.next += count;
                    self.counts.lost += count;
                }
                FaultKind::Repeat => {
                    if let Some(last) = self.last.clone() {
                        self.pace.wait();
                        self.counts.given += 1;
                        return Ok(last);
                    }
                }
                FaultKind::Corrupt => damage = true,
                FaultKind::Unplug(away) => {
                    (self.away, self.ended) = (away, away.is_none());
                    return Err(CaptureError::Unplugged { source_name: NAME.into(), waiting: away.is_some() });
                }
            }
        }
        self.pace.wait();
        let frame = self.draw();
        self.next += 1;
        self.counts.given += 1;
        self.last = Some(frame.clone());
        Ok(if damage { damaged(&frame) } else { frame })
    }

    fn draw(&mut self) -> Frame {
        let drawn_at = clock::now();
        // The strip begins again after 2^32 frames.
        let rgb = self.picture.draw(Stamp { frame: self.next as u32, drawn_at });
        let converted = match self.options.format {
            PixelFormat::Jpeg => self.encoder.encode(&rgb),
            raw => convert(&rgb, raw).map_err(CodecError::from),
        };
        // Size and format were checked at the beginning; nothing else can be wrong with a picture that was just drawn.
        converted.unwrap_or(rgb).stamped(self.next, drawn_at)
    }
}

/// As a camera's frame after noise on its cable.
fn damaged(frame: &Frame) -> Frame {
    let data = match frame.format() {
        PixelFormat::Jpeg => frame.data().slice(..frame.data().len() / 2),
        _ => {
            let mut data = frame.data().to_vec();
            let noise = data.len() / 16;
            data[..noise].iter_mut().for_each(|byte| *byte = !*byte);
            data.into()
        }
    };
    let broken = Frame::with_stride(frame.size(), frame.stride(), frame.format(), data);
    frame.become_picture(broken.expect("a raw picture keeps its length, and a JPEG may have any"))
}

impl Iterator for Pattern {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.options.frames.is_some_and(|frames| self.next >= frames) {
            return None;
        }
        Some(self.capture())
    }
}

impl VideoSource for Pattern {
    fn name(&self) -> &str {
        NAME
    }

    fn mode(&self) -> Mode {
        Mode { size: self.options.size, format: self.options.format, rate: self.options.rate }
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(faults: &[&str], format: PixelFormat) -> Pattern {
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let timeout = Duration::from_millis(20);
        Pattern::new(Options { rate: None, frames: Some(6), faults, format, timeout, ..Options::default() }).unwrap()
    }

    fn numbers(source: &mut Pattern) -> Vec<u64> {
        source.map_while(Result::ok).map(|frame| frame.sequence()).collect()
    }

    #[test]
    fn frames_come_in_order_and_end() {
        let formats = [PixelFormat::Rgb8, PixelFormat::Gray8, PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Jpeg];
        for format in formats {
            let mut source = pattern(&[], format);
            let frames = source.by_ref().map(Result::unwrap).collect::<Vec<_>>();
            let stamps =
                frames.iter().map(|frame| Stamp::read(&crate::codec::Decoder::new().decode(frame).unwrap()).unwrap());
            assert_eq!(stamps.map(|stamp| stamp.frame).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5], "{format}");
            assert!(frames.is_sorted_by(|one, next| one.captured_at() <= next.captured_at()));
            assert_eq!(source.counts(), Counts { given: 6, ..Counts::default() });
            assert!(source.next().is_none());
        }
    }

    #[test]
    fn it_keeps_its_rate() {
        let rate = Rate::new(500, 1);
        let mut source = Pattern::new(Options { rate, frames: Some(50), ..Options::default() }).unwrap();
        let began = clock::now();
        assert_eq!(numbers(&mut source).len(), 50);
        // The first frame comes at once; 49 more take 98 ms at least. A loaded machine may take longer.
        assert!(clock::now() - began >= Duration::from_millis(98));
    }

    #[test]
    fn dropped_frames_leave_a_gap_and_repeated_ones_none() {
        let mut source = pattern(&["drop@2:2", "repeat@1"], PixelFormat::Rgb8);
        assert_eq!(numbers(&mut source), [0, 0, 1, 4, 5]);
        assert_eq!(source.counts(), Counts { given: 5, lost: 2, damaged: 0 });
    }

    #[test]
    fn a_stall_times_out_and_goes_on() {
        let mut source = pattern(&["stall@3:70ms"], PixelFormat::Rgb8);
        let before = source.by_ref().take(3).map(Result::unwrap).map(|frame| frame.sequence());
        assert_eq!(before.collect::<Vec<_>>(), [0, 1, 2]);
        let error = source.next().unwrap().unwrap_err();
        assert!(matches!(error, CaptureError::TimedOut { .. }) && error.is_recoverable());
        // Sooner or later it is over.
        let recovered = source.find_map(Result::ok).unwrap();
        assert_eq!(recovered.sequence(), 3);
        assert_eq!(numbers(&mut source), [4, 5]);
    }

    #[test]
    fn a_corrupt_frame_does_not_decode_or_has_no_stamp() {
        for format in [PixelFormat::Rgb8, PixelFormat::Jpeg] {
            let frames = pattern(&["corrupt@2"], format).map(Result::unwrap).collect::<Vec<_>>();
            assert_eq!(frames.len(), 6);
            for frame in frames {
                let decoded = crate::codec::Decoder::new().decode(&frame);
                let readable = decoded.is_ok_and(|frame| Stamp::read(&frame).is_ok());
                assert_eq!(readable, frame.sequence() != 2, "{format}");
            }
        }
    }

    #[test]
    fn an_unplugged_camera_ends_or_comes_back() {
        let mut source = pattern(&["unplug@2:1ms", "unplug@4"], PixelFormat::Rgb8);
        assert_eq!(numbers(&mut source), [0, 1]);
        assert_eq!(numbers(&mut source), [2, 3]);
        assert!(source.next().is_none());
        let error = pattern(&["unplug@0"], PixelFormat::Rgb8).next().unwrap().unwrap_err();
        assert!(!error.is_recoverable() && error.to_string() == "test pattern was unplugged", "{error}");
    }
}
