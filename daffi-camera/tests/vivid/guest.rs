//! The virtual machine's drivers, and what the tests do with them besides capturing.

use std::{env, fs, path::Path, time::Duration};

use daffi_camera::{
    Frame, Rate, VideoSource,
    v4l2::{Camera, Options},
};
use v4l::control::{Control, Value};

/// The first of vivid's two cameras.
pub(crate) const CAMERA: &str = "/dev/video0";
/// The device of v4l2loopback.
pub(crate) const LOOPBACK: &str = "/dev/video10";

/// Makes sure that this is the virtual machine, and that no fault of an earlier test is left.
pub(crate) fn enter() {
    assert!(env::var_os("DAFFI_VM").is_some(), "these tests break drivers: run them by tests/vm/run");
    if !Path::new(CAMERA).exists() {
        bind("bind");
    }
    // The text on the picture would hide colours.
    for (control, value) in
        [("OSD Text Mode", 2), ("Percentage of Dropped Buffers", 0), ("Wrap Sequence Number", 0), ("Wrap Timestamp", 0)]
    {
        set(control, value);
    }
}

/// Small, and with a time-out that an emulated machine reaches only if there is a stall.
pub(crate) fn options() -> Options {
    // A driver keeps its rate from one opening to the next.
    let rate = Rate::new(30, 1).unwrap();
    Options {
        device: Some(CAMERA.into()),
        size: Some((320, 180)),
        rate: Some(rate),
        timeout: Duration::from_secs(5),
        ..Options::default()
    }
}

/// Sets one of vivid's controls, and closes the device again. Buttons take any value.
pub(crate) fn set(name: &str, value: i64) {
    let device = v4l::Device::with_path(CAMERA).unwrap();
    let controls = device.query_controls().unwrap();
    let Some(control) = controls.iter().find(|control| control.name == name) else {
        let names = controls.iter().map(|control| &control.name).collect::<Vec<_>>();
        panic!("vivid has no control {name:?}, but {names:?}");
    };
    device.set_control(Control { id: control.id, value: Value::Integer(value) }).unwrap();
}

/// `bind`s the driver to its device, or `unbind`s it, as if the cameras were plugged in or pulled out.
pub(crate) fn bind(how: &str) {
    fs::write(Path::new("/sys/bus/platform/drivers/vivid").join(how), "vivid.0").unwrap();
}

/// That many frames, none of which may fail.
pub(crate) fn frames(camera: &mut Camera, count: usize) -> Vec<Frame> {
    camera.by_ref().take(count).collect::<Result<_, _>>().unwrap()
}

/// Every number from the first frame to the last is that of a frame that was given, lost or damaged, and none comes twice.
pub(crate) fn assert_all_accounted_for(camera: &Camera, frames: &[Frame]) {
    let rising = frames.is_sorted_by(|earlier, later| earlier.sequence() < later.sequence());
    assert!(rising, "numbers: {:?}", frames.iter().map(Frame::sequence).collect::<Vec<_>>());
    let counts = camera.counts();
    assert_eq!(counts.given, frames.len() as u64);
    let last = frames.last().unwrap().sequence();
    assert_eq!(counts.given + counts.lost + counts.damaged, last + 1, "{counts:?}, and the last frame is {last}");
}
