//! Cameras against real drivers: vivid, which can fail in every way, and v4l2loopback, which gives JPEG.
//!
//! They need those drivers in a kernel that may be broken, so they run in the virtual machine of `tests/vm/run`, one after the
//! other, and are ignored elsewhere. Under emulation a machine loses frames and has no time: what is checked is what holds at
//! any speed.

#![cfg(target_os = "linux")]

mod errors;
mod faults;
mod formats;
mod guest;
mod jpeg;
mod streaming;
mod unplugging;
