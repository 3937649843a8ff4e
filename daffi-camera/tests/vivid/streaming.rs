//! What works when nothing fails.

use daffi_camera::{
    PixelFormat, Rate, VideoSource, clock,
    v4l2::{Camera, Options, devices},
};

use crate::guest::{CAMERA, assert_all_accounted_for, enter, frames, options, set};

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn cameras_are_listed_in_order_with_what_they_offer() {
    enter();
    let found = devices().unwrap();
    let paths = found.iter().map(|device| device.path.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(paths, ["/dev/video0", "/dev/video1"]);
    let camera = &found[0];
    assert_eq!((&*camera.card, &*camera.driver), ("vivid", "vivid"));
    let offer = |code: &str| camera.offers.iter().find(|offer| offer.code.to_string() == code).unwrap();
    assert_eq!(offer("YUYV").format, Some(PixelFormat::Yuyv));
    let hd = offer("YUYV").sizes.iter().find(|size| size.largest == (1280, 720)).unwrap();
    assert_eq!(hd.rates.iter().map(|rate| rate.fps()).reduce(f64::max), Some(12.5));
    assert_eq!(offer("UYVY").format, None, "frames cannot have it");
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn frames_come_in_order_and_carry_when_they_were_taken() {
    enter();
    let began = clock::now();
    let mut camera = Camera::open(&options()).unwrap();
    assert_eq!(camera.name(), "vivid (/dev/video0)");
    assert_eq!(camera.mode().to_string(), "320x180 YUYV at 30 fps");
    assert!(!camera.differs());
    let frames = frames(&mut camera, 60);
    assert_all_accounted_for(&camera, &frames);
    assert!(frames.is_sorted_by_key(|frame| frame.captured_at()));
    let (first, last) = (frames[0].captured_at(), frames[59].captured_at());
    assert!(began <= first && first < last && last <= clock::now(), "{began:?} {first:?} {last:?}");
    assert!(frames.iter().all(|frame| frame.size() == (320, 180) && frame.data().len() == 2 * 320 * 180));
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn the_first_camera_is_taken_if_none_is_named() {
    enter();
    let mut camera = Camera::open(&Options::default()).unwrap();
    assert_eq!(camera.path().to_str(), Some(CAMERA));
    assert!(!camera.differs(), "nothing was asked for");
    frames(&mut camera, 1);
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn a_rate_and_a_size_that_there_are_not_are_told() {
    enter();
    // Without an error the driver gives the fastest that it has.
    let fast = Camera::open(&Options { size: Some((1280, 720)), ..options() }).unwrap();
    assert_eq!(fast.mode().to_string(), "1280x720 YUYV at 12.5 fps");
    assert!(fast.differs());
    drop(fast);
    let mut odd = Camera::open(&Options { size: Some((333, 222)), ..options() }).unwrap();
    assert_eq!(odd.mode().size, (320, 180));
    assert!(odd.differs());
    assert_eq!(frames(&mut odd, 1)[0].size(), (320, 180));
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn numbers_go_on_where_the_drivers_wrap() {
    enter();
    // The driver then begins 128 before the end of its 32 bits.
    set("Wrap Sequence Number", 1);
    let mut camera = Camera::open(&Options { rate: Some(Rate::new(60, 1).unwrap()), ..options() }).unwrap();
    let frames = frames(&mut camera, 150);
    assert_all_accounted_for(&camera, &frames);
    let last = frames[149].sequence();
    // A mistake would be four milliards off; an emulated machine loses frames, but not that many.
    assert!((149..10_000).contains(&last), "{last}");
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn no_frame_is_from_the_future() {
    enter();
    set("Wrap Timestamp", 1);
    let mut camera = Camera::open(&options()).unwrap();
    for frame in frames(&mut camera, 10) {
        assert!(frame.captured_at() <= clock::now(), "{:?}", frame.captured_at());
    }
}
