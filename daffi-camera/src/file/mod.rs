//! Video from files.
//!
//! [`open`] reads y4m files, files of JPEGs that follow each other (MJPEG), and all that an installed ffmpeg can read. What a
//! file is, its first bytes tell, whatever its name.
//!
//! [`Y4mReader`] and [`MjpegReader`] read the same from anything else, such as a pipe.

mod error;
mod ffmpeg;
mod mjpeg;
mod reader;
mod y4m;

use std::{fmt, path::PathBuf, time::Duration};

pub use error::{FrameError, OpenError};
pub use mjpeg::MjpegReader;
use reader::{Reader, damaged};
pub use y4m::{HeaderError, Y4mReader};

use crate::{CaptureError, Counts, Frame, Mode, Rate, VideoSource, clock, pace::Pace};

/// The largest frame that is read, in bytes. An 8K picture in 4:4:4 has 95 MiB.
pub const MAX_FRAME_BYTES: usize = 128 << 20;

/// The rate of a file that does not tell.
pub const DEFAULT_RATE: Rate = match Rate::new(30, 1) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// How long a frame is waited for at a file's own rate. A header can ask for a century.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How fast the frames come.
    pub speed: Speed,
    /// Whether the file begins anew when it has ended. The frames' numbers go on rising.
    pub repeat: bool,
    /// The ffmpeg program; if none, that in the PATH.
    pub ffmpeg: Option<PathBuf>,
}

/// How fast the frames of a file come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Speed {
    /// At the file's own rate; [`DEFAULT_RATE`] if it has none, as MJPEG.
    #[default]
    Own,
    /// At another one.
    At(Rate),
    /// As fast as they are asked for and can be read.
    Full,
}

/// Opens a file and reads its first frame, so that what opens has at least one. Blocks as long as that takes, which with ffmpeg
/// is about 100 ms.
///
/// A path is always a path: `-i.mp4` is no option to ffmpeg, and `http://host/x` no URL but a file in the folder `http:`.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(path: impl Into<PathBuf>, options: &Options) -> Result<FileSource, OpenError> {
    let path = path.into();
    let ffmpeg = options.ffmpeg.clone().unwrap_or_else(|| "ffmpeg".into());
    let (reader, first) = Reader::open(&path, &ffmpeg)?;
    let rate = match options.speed {
        Speed::Own => match reader.rate().unwrap_or(DEFAULT_RATE) {
            rate if rate.due(1) > LONGEST_WAIT => return Err(OpenError::Slow { path, rate }),
            rate => Some(rate),
        },
        Speed::At(rate) => Some(rate),
        Speed::Full => None,
    };
    Ok(FileSource {
        name: path.display().to_string(),
        mode: Mode { size: first.size(), format: first.format(), rate },
        pace: Pace::new(rate),
        counts: Counts { damaged: reader.damaged(), ..Counts::default() },
        damaged_before: 0,
        repeat: options.repeat,
        reader: Some(reader),
        ahead: Some(first),
        path,
        ffmpeg,
    })
}

/// The frames of a file. It blocks until the next one is due.
///
/// A frame's capture time is when it is given out. Damaged JPEGs in the midst of a file are left out: they are
/// [counted](VideoSource::counts), and the numbers have a gap. A file that ends within a frame gives all frames before it and
/// then [`CaptureError::Damaged`]; it is not repeated.
pub struct FileSource {
    path: PathBuf,
    ffmpeg: PathBuf,
    repeat: bool,
    name: String,
    mode: Mode,
    pace: Pace,
    counts: Counts,
    /// How many frames were damaged before the file was begun anew.
    damaged_before: u64,
    /// None when the source has ended.
    reader: Option<Reader>,
    /// The frame that was read when the file was opened.
    ahead: Option<Frame>,
}

impl FileSource {
    fn read(&mut self) -> Result<Option<Frame>, CaptureError> {
        if let Some(first) = self.ahead.take() {
            return Ok(Some(first));
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let result = reader.next_frame();
        self.counts.damaged = self.damaged_before + reader.damaged();
        match result {
            Ok(None) if self.repeat => self.begin_anew().map(Some),
            result => result.map_err(|error| error.into_error(&self.path, self.counts.given)),
        }
    }

    /// The first frame of the file, read again. There is one, or this is the end: an empty file is not repeated for ever.
    fn begin_anew(&mut self) -> Result<Frame, CaptureError> {
        // An ffmpeg that has ended goes before the next one comes.
        self.reader = None;
        self.damaged_before = self.counts.damaged;
        let (reader, first) = Reader::open(&self.path, &self.ffmpeg).map_err(|error| match error {
            OpenError::NoFrame { error, .. } => error,
            OpenError::Open { path, error } => CaptureError::Read { path, error },
            error => damaged(&self.path, self.counts.given, format!("it was changed while it was read: {error}")),
        })?;
        self.counts.damaged += reader.damaged();
        self.reader = Some(reader);
        Ok(first)
    }
}

impl Iterator for FileSource {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Ok(Some(frame)) => {
                self.pace.wait();
                let sequence = self.counts.given + self.counts.damaged;
                self.counts.given += 1;
                Some(Ok(frame.stamped(sequence, clock::now())))
            }
            end => {
                self.reader = None;
                end.transpose()
            }
        }
    }
}

impl VideoSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mode, counts, .. } = self;
        write!(f, "{name}: {mode}, {} frames given", counts.given)
    }
}
