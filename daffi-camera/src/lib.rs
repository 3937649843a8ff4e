//! Video for daffi's demo: frames, the sources that they come from, what is done to them on the way, and the window that shows
//! them.
//!
//! - A [`Frame`] is a picture that owns its bytes; it travels like any other serde type.
//! - A [`VideoSource`] is an iterator of frames: [`pattern`] makes them, [`mod@file`] reads them, and with the feature `v4l2`, a
//!   camera takes them.
//! - [`convert`](fn@convert), [`Scaler`] and [`codec`] change them; [`Pipeline`] is what a producer does to each.
//! - [`viewer`] shows them, and [`Arrivals`] tells what has become of them on the way.
//!
//! This crate knows nothing of calls and streams.

mod arrivals;
pub mod clock;
pub mod codec;
mod convert;
pub mod file;
mod frame;
mod gaps;
mod pace;
pub mod pattern;
mod pipeline;
mod scale;
mod source;
#[cfg(all(feature = "v4l2", target_os = "linux"))]
pub mod v4l2;
pub mod viewer;

pub use arrivals::{Arrivals, Lately, Summary};
pub use convert::{ConvertError, convert};
pub use frame::{Frame, InvalidFrame, MAX_SIDE, PixelFormat};
pub use pipeline::Pipeline;
pub use scale::{InvalidPercent, Percent, Scaler};
pub use source::{CaptureError, Counts, Mode, Rate, VideoSource};
