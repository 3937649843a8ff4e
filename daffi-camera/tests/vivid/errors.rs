//! Cameras that cannot be opened.

use std::{env, os::unix::process::CommandExt as _, process::Command};

use daffi_camera::{
    PixelFormat,
    v4l2::{Camera, OpenError, Options, devices},
};

use crate::guest::{enter, frames, options, set};

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_serves_one_at_a_time() {
    enter();
    let mut first = Camera::open(&options()).unwrap();
    let error = Camera::open(&options()).unwrap_err();
    assert!(matches!(error, OpenError::Busy { .. }), "{error}");
    assert!(error.to_string().starts_with("/dev/video0 is in use: end the program"), "{error}");
    frames(&mut first, 5);
    drop(first);
    frames(&mut Camera::open(&options()).unwrap(), 1);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn what_a_driver_refuses_at_the_start_is_told_and_can_be_tried_again() {
    enter();
    for (control, action) in [
        ("Inject VIDIOC_REQBUFS Error", "getting buffers"),
        ("Inject VIDIOC_QBUF Error", "queueing a buffer"),
        ("Inject VIDIOC_STREAMON Error", "starting the stream"),
    ] {
        set(control, 1);
        let error = Camera::open(&options()).unwrap_err();
        assert!(matches!(error, OpenError::System { action: told, .. } if told == action), "{control}: {error}");
        frames(&mut Camera::open(&options()).unwrap(), 1);
    }
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn what_is_no_camera_is_told() {
    enter();
    let open = |path: &str| Camera::open(&Options { device: Some(path.into()), ..options() }).unwrap_err();
    assert!(matches!(open("/dev/video7"), OpenError::NotFound { .. }));
    assert!(matches!(open("/dev/null"), OpenError::NotACamera { .. }));
    assert!(matches!(open("/dev"), OpenError::NotACamera { .. }));
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_format_that_it_has_not_is_told_with_those_that_it_has() {
    enter();
    let error = Camera::open(&Options { formats: [PixelFormat::Jpeg].into(), ..options() }).unwrap_err();
    assert!(matches!(&error, OpenError::NoFormat { offered, .. } if offered.contains(&"YUYV".to_owned())), "{error}");
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_user_who_may_not_use_cameras_is_told() {
    const UNPRIVILEGED: &str = "DAFFI_UNPRIVILEGED";
    if env::var_os(UNPRIVILEGED).is_some() {
        for error in [Camera::open(&options()).unwrap_err(), devices().unwrap_err()] {
            assert!(matches!(error, OpenError::PermissionDenied { .. }), "{error}");
        }
        return;
    }
    enter();
    // This very test, by somebody else.
    let test = "errors::a_user_who_may_not_use_cameras_is_told";
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--ignored", "--exact", test]).env(UNPRIVILEGED, "1").uid(65_534);
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
