//! A connection that speaks the wire format: what a node and a controller both do with one.

mod haste;
mod lane;
mod reader;
mod throttle;

pub use self::{
    lane::{FrameSender, Intake, LaneWriter, receive_frames},
    reader::{LinkError, Reader},
    throttle::Throttle,
};
