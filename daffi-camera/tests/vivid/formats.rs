//! Each format that vivid has, by the colours of its bars.

use daffi_camera::{
    Frame, PixelFormat, VideoSource,
    v4l2::{Camera, Options},
};

use crate::guest::{enter, frames, options};

/// White, yellow, cyan, green, magenta, red, blue and black at three quarters, as luma and differences of blue and red.
const YUV: [[u8; 3]; 8] = [
    [179, 128, 128],
    [160, 44, 141],
    [130, 156, 44],
    [111, 72, 58],
    [83, 183, 197],
    [64, 99, 211],
    [34, 211, 114],
    [16, 128, 128],
];
/// The same as red, green and blue.
const RGB: [[u8; 3]; 8] =
    [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191], [0, 0, 0]];
/// The same as grey. Here the driver has the full range, and the weights of BT.709.
const GREY: [u8; 8] = [190, 176, 149, 136, 54, 40, 13, 0];

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn yuyv() {
    assert_bars(
        &bars(PixelFormat::Yuyv, |frame, x, y| {
            let pair = &row(frame, y)[x / 2 * 4..][..4];
            [pair[x % 2 * 2], pair[1], pair[3]]
        }),
        &YUV,
    );
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn nv12() {
    assert_bars(
        &bars(PixelFormat::Nv12, |frame, x, y| {
            let height = frame.size().1 as usize;
            let differences = &frame.data()[(height + y / 2) * frame.stride() as usize..][x / 2 * 2..][..2];
            [row(frame, y)[x], differences[0], differences[1]]
        }),
        &YUV,
    );
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn rgb() {
    assert_bars(
        &bars(PixelFormat::Rgb8, |frame, x, y| {
            let pixel = &row(frame, y)[x * 3..][..3];
            [pixel[0], pixel[1], pixel[2]]
        }),
        &RGB,
    );
}

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn grey() {
    let bars = bars(PixelFormat::Gray8, |frame, x, y| [row(frame, y)[x]; 3]);
    assert_bars(&bars, &GREY.map(|luma| [luma; 3]));
}

/// The middle of each bar, of a frame in that format.
fn bars(format: PixelFormat, pixel: impl Fn(&Frame, usize, usize) -> [u8; 3]) -> [[u8; 3]; 8] {
    enter();
    let mut camera = Camera::open(&Options { formats: [format].into(), ..options() }).unwrap();
    assert_eq!(camera.mode().format, format);
    let frame = frames(&mut camera, 1).remove(0);
    assert_eq!((frame.format(), frame.size()), (format, (320, 180)));
    // Bars of 40 pixels.
    std::array::from_fn(|bar| pixel(&frame, bar * 40 + 20, 90))
}

fn row(frame: &Frame, y: usize) -> &[u8] {
    frame.rows().nth(y).unwrap()
}

fn assert_bars(bars: &[[u8; 3]; 8], expected: &[[u8; 3]; 8]) {
    // The driver rounds.
    let close = bars.iter().flatten().zip(expected.iter().flatten()).all(|(have, want)| have.abs_diff(*want) <= 1);
    assert!(close, "the bars are {bars:?}, not {expected:?}");
}
