//! A connection that speaks the wire format: what a node and a controller both do with one.

mod lane;
mod reader;

pub use self::{
    lane::{FrameSender, LaneWriter, receive_frames},
    reader::{LinkError, Reader},
};
