//! What every source of video is.

use std::{fmt, io, num::NonZeroU32, path::PathBuf, time::Duration};

use crate::{InvalidFrame, PixelFormat, frame::Frame};

/// Something that gives frames: a camera, a file, a test pattern.
///
/// It is an iterator that blocks until the next frame is there. It ends with `None` when there are no more frames, and after an
/// error that is not [recoverable](CaptureError::is_recoverable); after one that is, asking again makes sense.
pub trait VideoSource: Iterator<Item = Result<Frame, CaptureError>> + Send {
    /// What it is, for people.
    fn name(&self) -> &str;

    /// What it really gives, which may differ from what it was asked for.
    fn mode(&self) -> Mode;

    /// What became of the frames so far.
    fn counts(&self) -> Counts;
}

/// What the frames of a source are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// How the bytes make a picture.
    pub format: PixelFormat,
    /// How many frames come a second, if that is known.
    pub rate: Option<Rate>,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size: (width, height), format, rate } = self;
        write!(f, "{width}x{height} {format}")?;
        rate.map_or(Ok(()), |rate| write!(f, " at {rate}"))
    }
}

/// So many frames in so many seconds: 30000 in 1001 is what television calls 29.97.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    frames: NonZeroU32,
    seconds: NonZeroU32,
}

impl Rate {
    /// That many frames in that many seconds; `None` if one of them is zero.
    pub const fn new(frames: u32, seconds: u32) -> Option<Self> {
        match (NonZeroU32::new(frames), NonZeroU32::new(seconds)) {
            (Some(frames), Some(seconds)) => Some(Self { frames, seconds }),
            _ => None,
        }
    }

    /// Numerator and denominator.
    pub const fn fraction(self) -> (u32, u32) {
        (self.frames.get(), self.seconds.get())
    }

    /// Frames per second.
    pub fn fps(self) -> f64 {
        f64::from(self.frames.get()) / f64::from(self.seconds.get())
    }

    /// When the frame of that number is due, after the first one. It does not add up errors.
    pub fn due(self, frame: u64) -> Duration {
        let nanos = u128::from(frame) * u128::from(self.seconds.get()) * 1_000_000_000 / u128::from(self.frames.get());
        // Half a millennium.
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two digits, and none that say nothing.
        write!(f, "{} fps", (self.fps() * 100.0).round() / 100.0)
    }
}

/// What became of the frames of a source so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Given out.
    pub given: u64,
    /// Lost before they got here, which the gaps in their numbers tell.
    pub lost: u64,
    /// Skipped, since the driver flagged them as damaged.
    pub damaged: u64,
}

/// There is no frame now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// No frame came in time. The source may be stalled; ask again.
    #[error("{source_name} gave no frame for {} ms", after.as_millis())]
    TimedOut {
        /// The source.
        source_name: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The device is gone. If the source was told to wait for it, ask again; it goes on when the device is back.
    #[error("{source_name} was unplugged{}", if *waiting { "; waiting for it to come back" } else { "" })]
    Unplugged {
        /// The source.
        source_name: String,
        /// Whether the source waits for the device when it is asked again.
        waiting: bool,
    },
    /// The device or its driver gave up the stream. If it could be started again, ask again.
    #[error("{source_name} broke off the stream: {error}")]
    BrokenOff {
        /// The source.
        source_name: String,
        /// What the system said.
        #[source]
        error: io::Error,
        /// Whether the stream was started again.
        restarted: bool,
    },
    /// The file could not be read on.
    #[error("could not read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// What was read is no video, or its end is missing.
    #[error("{source_name} is damaged after {frames} frames: {reason}")]
    Damaged {
        /// The source.
        source_name: String,
        /// How many frames were good.
        frames: u64,
        /// What is wrong.
        reason: String,
    },
    /// The program that decodes the file failed.
    #[error("ffmpeg failed ({status}): {message}")]
    Ffmpeg {
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// The source gave bytes that are no picture.
    #[error("{source_name} gave no picture: {error}")]
    NoPicture {
        /// The source.
        source_name: String,
        /// What is wrong with the bytes.
        #[source]
        error: InvalidFrame,
    },
}

impl CaptureError {
    /// Whether it makes sense to ask the source again. If not, it has ended.
    pub const fn is_recoverable(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::NoPicture { .. } => true,
            Self::Unplugged { waiting: again, .. } | Self::BrokenOff { restarted: again, .. } => *again,
            Self::Read { .. } | Self::Damaged { .. } | Self::Ffmpeg { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_as_people_write_it() {
        let rate = |frames, seconds| Rate::new(frames, seconds).unwrap().to_string();
        assert_eq!([rate(30, 1), rate(25, 2), rate(30_000, 1_001)], ["30 fps", "12.5 fps", "29.97 fps"]);
        assert_eq!(Rate::new(0, 1).or(Rate::new(1, 0)), None);
    }

    #[test]
    fn due_times_do_not_drift() {
        let rate = Rate::new(30_000, 1_001).unwrap();
        assert_eq!(rate.due(1), Duration::from_nanos(33_366_666));
        assert_eq!(rate.due(30_000), Duration::from_secs(1_001));
        assert_eq!(rate.due(u64::MAX), Duration::from_nanos(u64::MAX));
    }
}
