//! What a file is, and the reader that goes with it.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek},
    path::Path,
    process::ExitStatus,
};

use super::{
    FrameError, MjpegReader, OpenError, Y4mReader,
    ffmpeg::{Ffmpeg, StartError},
    mjpeg, y4m,
};
use crate::{CaptureError, Frame, Rate};

/// How much of a file is read at a time, if a frame has not more: a small JPEG, or a row of them.
const BUFFER: usize = 64 << 10;

pub(super) enum Reader {
    Y4m(Y4mReader<BufReader<File>>),
    Mjpeg(MjpegReader<BufReader<File>>),
    Ffmpeg(Ffmpeg),
}

impl Reader {
    /// Opens the file and reads its first frame.
    pub(super) fn open(path: &Path, ffmpeg: &Path) -> Result<(Self, Frame), OpenError> {
        let mut reader = Self::detect(path, ffmpeg)?;
        match reader.next_frame() {
            Ok(Some(first)) => Ok((reader, first)),
            Ok(None) => {
                Err(OpenError::NoFrame { path: path.into(), error: damaged(path, 0, "it has no frame".into()) })
            }
            Err(error) => Err(OpenError::NoFrame { path: path.into(), error: error.into_error(path, 0) }),
        }
    }

    fn detect(path: &Path, ffmpeg: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Open { path: path.into(), error };
        // Before it is opened, since opening a pipe blocks until somebody writes to it.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(OpenError::NotAFile { path: path.into() });
        }
        let (file, head) = open(path).map_err(failed)?;
        if head.is_empty() {
            return Err(OpenError::Empty { path: path.into() });
        }
        let input = BufReader::with_capacity(BUFFER, file);
        if head.starts_with(y4m::MAGIC) {
            let reader = Y4mReader::new(input).map_err(|error| OpenError::Header { path: path.into(), error })?;
            return Ok(Self::Y4m(reader));
        }
        if head.starts_with(mjpeg::MAGIC) {
            return Ok(Self::Mjpeg(MjpegReader::new(input)));
        }
        drop(input);
        Ffmpeg::start(ffmpeg, path).map(Self::Ffmpeg).map_err(|error| match error {
            StartError::Spawn(error) => OpenError::NoFfmpeg { program: ffmpeg.into(), path: path.into(), error },
            StartError::Header(error) => OpenError::Header { path: path.into(), error },
            StartError::Failed(error) => OpenError::NoFrame { path: path.into(), error: error.into_error(path, 0) },
        })
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        match self {
            Self::Y4m(reader) => Ok(reader.next_frame()?),
            Self::Mjpeg(reader) => Ok(reader.next_frame()?),
            Self::Ffmpeg(reader) => reader.next_frame(),
        }
    }

    /// The file's own rate, if it tells.
    pub(super) const fn rate(&self) -> Option<Rate> {
        match self {
            Self::Y4m(reader) => reader.mode().rate,
            Self::Mjpeg(_) => None,
            Self::Ffmpeg(reader) => reader.mode().rate,
        }
    }

    /// How many frames were left out so far.
    pub(super) const fn damaged(&self) -> u64 {
        match self {
            Self::Mjpeg(reader) => reader.damaged(),
            Self::Y4m(_) | Self::Ffmpeg(_) => 0,
        }
    }
}

/// Why there is no frame.
pub(super) enum Failure {
    Frame(FrameError),
    /// ffmpeg failed, and this was the end of what it said.
    Ffmpeg {
        status: ExitStatus,
        message: String,
    },
}

impl Failure {
    /// What it is to those who asked for a frame, after so many good ones.
    pub(super) fn into_error(self, path: &Path, frames: u64) -> CaptureError {
        match self {
            Self::Ffmpeg { status, message } => CaptureError::Ffmpeg { status: status.to_string(), message },
            Self::Frame(FrameError::Read(error)) => CaptureError::Read { path: path.into(), error },
            Self::Frame(error) => damaged(path, frames, error.to_string()),
        }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

pub(super) fn damaged(path: &Path, frames: u64, reason: String) -> CaptureError {
    CaptureError::Damaged { source_name: path.display().to_string(), frames, reason }
}

/// The file and its first bytes, as many as tell what it is.
fn open(path: &Path) -> io::Result<(File, Vec<u8>)> {
    let (mut file, mut head) = (File::open(path)?, Vec::new());
    file.by_ref().take(y4m::MAGIC.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok((file, head))
}
