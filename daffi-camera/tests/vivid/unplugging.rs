//! Cameras that are pulled out and plugged in again.

use std::{path::Path, time::Duration};

use daffi_camera::{
    CaptureError, Frame,
    v4l2::{Camera, OpenError, Options},
};

use crate::guest::{CAMERA, bind, enter, frames, options, set};

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_that_is_pulled_out_ends_the_video() {
    enter();
    let mut camera = Camera::open(&options()).unwrap();
    frames(&mut camera, 5);
    bind("unbind");
    assert!(!unplugged(&mut camera).1);
    assert!(camera.next().is_none() && camera.next().is_none());
    assert!(!Path::new(CAMERA).exists());
    let error = Camera::open(&options()).unwrap_err();
    assert!(matches!(error, OpenError::NotFound { .. }), "{error}");
    let error = Camera::open(&Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::NoDevice), "{error}");
    bind("bind");
    frames(&mut Camera::open(&options()).unwrap(), 1);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_that_comes_back_goes_on() {
    enter();
    let mut camera = Camera::open(&Options { wait_for_return: Some(Duration::from_secs(60)), ..options() }).unwrap();
    let mut all = frames(&mut camera, 5);
    for _ in 0..2 {
        bind("unbind");
        let (late, waiting) = unplugged(&mut camera);
        assert!(waiting);
        all.extend(late);
        // It is looked for while it is away, and is there in the middle of that.
        let plug = std::thread::spawn(|| bind("bind"));
        all.extend(frames(&mut camera, 5));
        plug.join().unwrap();
    }
    assert!(all.is_sorted_by(|earlier, later| earlier.sequence() < later.sequence()));
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_that_stays_away_ends_the_video() {
    enter();
    let mut camera = Camera::open(&Options { wait_for_return: Some(Duration::from_millis(200)), ..options() }).unwrap();
    frames(&mut camera, 5);
    bind("unbind");
    assert!(unplugged(&mut camera).1);
    assert!(camera.next().is_none() && camera.next().is_none());
    bind("bind");
    assert!(camera.next().is_none(), "what has ended does not go on");
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_that_fails_as_if_pulled_out_is_closed_and_can_be_opened() {
    enter();
    // The driver's own fault: the node stays, and works again when everybody has closed it.
    let mut camera = Camera::open(&options()).unwrap();
    frames(&mut camera, 5);
    set("Disconnect", 1);
    assert!(!unplugged(&mut camera).1);
    assert!(camera.next().is_none());
    let mut camera = Camera::open(&Options { wait_for_return: Some(Duration::from_secs(60)), ..options() }).unwrap();
    frames(&mut camera, 5);
    set("Disconnect", 1);
    assert!(unplugged(&mut camera).1);
    frames(&mut camera, 5);
}

/// The frames until the camera is found to be unplugged, and whether it is waited for.
fn unplugged(camera: &mut Camera) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    loop {
        match camera.next().expect("an error before the end") {
            Ok(frame) => frames.push(frame),
            Err(CaptureError::Unplugged { waiting, .. }) => return (frames, waiting),
            Err(error) => panic!("{error}"),
        }
    }
}
