//! What can go wrong with a file.

use std::{io, path::PathBuf};

use super::{HeaderError, MAX_FRAME_BYTES};
use crate::{CaptureError, InvalidFrame, Rate};

/// The file was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not there, or this process may not read it.
    #[error("could not open {}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It is a directory, a device or a pipe.
    #[error("{} is no regular file", path.display())]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
    },
    /// It has no bytes.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It begins like y4m, or ffmpeg's output does, and its frames cannot be read.
    #[error("could not open {}: {error}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: HeaderError,
    },
    /// By its own rate, each frame would be waited for longer than [`LONGEST_WAIT`](super::LONGEST_WAIT).
    #[error("{} is said to have a frame every {:.0} s; choose another speed than its own", path.display(), 1.0 / rate.fps())]
    Slow {
        /// The file.
        path: PathBuf,
        /// What it says.
        rate: Rate,
    },
    /// It is neither y4m nor JPEGs, and the program that reads everything else could not be started.
    #[error(
        "could not start {} to read {}: {error}; install ffmpeg, or convert the file elsewhere to y4m or MJPEG",
        program.display(), path.display()
    )]
    NoFfmpeg {
        /// The program.
        program: PathBuf,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Its first frame could not be read, or ffmpeg failed before it gave one.
    #[error("{} gives no frame: {error}", path.display())]
    NoFrame {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: CaptureError,
    },
}

/// A reader gave no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The input gave an error.
    #[error("it could not be read: {0}")]
    Read(#[from] io::Error),
    /// The input ends within a frame.
    #[error("it ends within a frame")]
    Truncated,
    /// A frame has more than [`MAX_FRAME_BYTES`].
    #[error("a frame has more than {} MiB", MAX_FRAME_BYTES >> 20)]
    TooLong,
    /// This is not what a frame looks like.
    #[error("{0}")]
    Malformed(&'static str),
    /// The bytes are no picture.
    #[error("{0}")]
    Picture(#[from] InvalidFrame),
}
