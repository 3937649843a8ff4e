//! The window that shows the frames.
