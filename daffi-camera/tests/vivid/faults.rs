//! What fails while a camera streams.

use std::time::Duration;

use daffi_camera::{
    CaptureError, Rate, VideoSource,
    v4l2::{Camera, Options},
};

use crate::guest::{assert_all_accounted_for, enter, frames, options, set};

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn lost_frames_are_counted() {
    enter();
    set("Percentage of Dropped Buffers", 50);
    let mut camera = Camera::open(&Options { rate: Some(Rate::new(60, 1).unwrap()), ..options() }).unwrap();
    let frames = frames(&mut camera, 60);
    assert_all_accounted_for(&camera, &frames);
    assert!(camera.counts().lost > 0, "{:?}", camera.counts());
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_stall_times_out_and_then_goes_on() {
    enter();
    let mut camera = Camera::open(&Options { timeout: Duration::from_millis(400), ..options() }).unwrap();
    // A slow machine may stall by itself.
    let mut all = camera.by_ref().filter_map(Result::ok).take(5).collect::<Vec<_>>();
    set("Percentage of Dropped Buffers", 100);
    // What was filled before may still come.
    let (late, error) = until_error(&mut camera);
    all.extend(late);
    assert!(matches!(error, CaptureError::TimedOut { after, .. } if after.as_millis() == 400), "{error}");
    assert_eq!(error.to_string(), "vivid (/dev/video0) gave no frame for 400 ms");
    let again = camera.next().unwrap().unwrap_err();
    assert!(matches!(again, CaptureError::TimedOut { .. }) && again.is_recoverable(), "{again}");
    set("Percentage of Dropped Buffers", 0);
    all.extend(camera.by_ref().filter_map(Result::ok).take(20));
    assert_all_accounted_for(&camera, &all);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_camera_slower_than_the_time_out_still_gives_its_frames() {
    enter();
    let slow = Options { rate: Some(Rate::new(2, 1).unwrap()), timeout: Duration::from_millis(150), ..options() };
    let mut camera = Camera::open(&slow).unwrap();
    let mut time_outs = 0;
    let mut all = Vec::new();
    while all.len() < 3 {
        match camera.next().unwrap() {
            Ok(frame) => all.push(frame),
            Err(CaptureError::TimedOut { .. }) => time_outs += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(time_outs >= 2, "{time_outs} time-outs at two frames a second");
    assert_all_accounted_for(&camera, &all);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_flagged_frame_is_skipped_and_counted() {
    enter();
    let mut camera = Camera::open(&options()).unwrap();
    let mut all = frames(&mut camera, 5);
    for damaged in 1..=3 {
        set("Inject V4L2_BUF_FLAG_ERROR", 1);
        // Those that were filled before come first.
        while camera.counts().damaged < damaged {
            all.extend(frames(&mut camera, 1));
        }
        assert_eq!(camera.counts().damaged, damaged);
    }
    assert_all_accounted_for(&camera, &all);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_stream_that_breaks_off_is_started_again() {
    enter();
    let mut camera = Camera::open(&options()).unwrap();
    let mut all = frames(&mut camera, 5);
    for _ in 0..2 {
        set("Inject Fatal Streaming Error", 1);
        let (late, error) = until_error(&mut camera);
        all.extend(late);
        assert!(matches!(error, CaptureError::BrokenOff { restarted: true, .. }), "{error}");
        assert!(error.is_recoverable());
        all.extend(frames(&mut camera, 5));
    }
    assert_all_accounted_for(&camera, &all);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_stream_that_only_breaks_off_ends() {
    enter();
    let mut camera = Camera::open(&options()).unwrap();
    frames(&mut camera, 5);
    set("Inject Fatal Streaming Error", 1);
    let error = until_error(&mut camera).1;
    assert!(matches!(error, CaptureError::BrokenOff { restarted: true, .. }), "{error}");
    set("Inject Fatal Streaming Error", 1);
    let error = camera.next().unwrap().unwrap_err();
    assert!(matches!(error, CaptureError::BrokenOff { restarted: false, .. }), "{error}");
    assert_ended(&mut camera);
    assert!(Camera::open(&options()).is_ok(), "it was closed");
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_stream_that_cannot_be_started_again_ends() {
    enter();
    let mut camera = Camera::open(&options()).unwrap();
    frames(&mut camera, 5);
    set("Inject VIDIOC_STREAMON Error", 1);
    set("Inject Fatal Streaming Error", 1);
    let error = until_error(&mut camera).1;
    assert!(matches!(error, CaptureError::BrokenOff { restarted: false, .. }), "{error}");
    assert!(!error.is_recoverable());
    assert_ended(&mut camera);
    frames(&mut Camera::open(&options()).unwrap(), 1);
}

/// The frames until the first error, and that.
fn until_error(camera: &mut Camera) -> (Vec<daffi_camera::Frame>, CaptureError) {
    let mut frames = Vec::new();
    loop {
        match camera.next().expect("an error before the end") {
            Ok(frame) => frames.push(frame),
            Err(error) => return (frames, error),
        }
        assert!(frames.len() < 1_000, "no error comes");
    }
}

fn assert_ended(camera: &mut Camera) {
    assert!(camera.next().is_none() && camera.next().is_none());
}
