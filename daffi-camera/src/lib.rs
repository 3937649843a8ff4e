//! Video frames for daffi's video demo. Cameras, a test pattern and a viewer come next; so far there is what all of them share: the
//! [`Frame`].
//!
//! This crate knows nothing of calls and streams. A frame is a serde type that travels like any other.

mod frame;

pub use frame::{Frame, InvalidFrame, PixelFormat};
