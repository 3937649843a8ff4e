//! The window that shows the frames, and pictures of them for where there is no window.
//!
//! [`with_window`] opens a window and gives the work beside it a [`Screen`], which takes frames from any thread without ever
//! waiting for the drawing. [`save_png`] writes a frame to a file. Both want frames whose pixels are
//! [`Rgb8`](crate::PixelFormat::Rgb8) or [`Gray8`](crate::PixelFormat::Gray8): decoding and scaling are left to others.

mod canvas;
mod error;
mod meter;
mod screen;
mod shown;
mod snapshot;
mod view;
mod window;

pub use error::{WindowError, check_display};
pub use screen::{Closed, Screen, ShowError};
pub use shown::Shown;
pub use snapshot::{SnapshotError, save_png};
pub use window::{WindowOptions, with_window};

use crate::PixelFormat;

/// Whether its pixels can be shown and saved as they are.
const fn is_decoded(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Rgb8 | PixelFormat::Gray8)
}
