//! Video for daffi's demo: frames, the sources that they come from, and the window that shows them.
//!
//! - A [`Frame`] is a picture that owns its bytes; it travels like any other serde type.
//! - A [`VideoSource`] is an iterator of frames: `pattern` makes them, `file` reads them, and with the feature `v4l2`, a camera
//!   takes them.
//!
//! This crate knows nothing of calls and streams.

pub mod clock;
pub mod file;
mod frame;
mod pace;
mod source;
#[cfg(all(feature = "v4l2", target_os = "linux"))]
pub mod v4l2;
pub mod viewer;

pub use frame::{Frame, InvalidFrame, MAX_SIDE, PixelFormat};
pub use source::{CaptureError, Counts, Mode, Rate, VideoSource};
