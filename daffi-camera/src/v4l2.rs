//! Cameras, through V4L2.
