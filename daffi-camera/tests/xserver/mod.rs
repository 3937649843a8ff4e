//! A real X server without a screen (Xvfb) for the tests of windows, and a client that sees and acts as a user does.

#![allow(dead_code, unused_imports, reason = "every test program compiles this folder and uses a part of it")]

mod desktop;
mod picture;
mod server;

pub(crate) use desktop::{ESCAPE, SPACE, Window};
pub(crate) use picture::Picture;
pub(crate) use server::{XServer, soon};
