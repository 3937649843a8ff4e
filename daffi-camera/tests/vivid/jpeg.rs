//! JPEG, which vivid has not: what a feeder writes to v4l2loopback, a camera reads.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use daffi_camera::{
    CaptureError, Frame, PixelFormat, VideoSource,
    v4l2::{Camera, Options},
};
use jpeg_encoder::{ColorType, Encoder};
use v4l::{Format, FourCC, video::Output};
use zune_jpeg::{JpegDecoder, zune_core::bytestream::ZCursor};

use crate::guest::{LOOPBACK, assert_all_accounted_for, enter, options};

/// Small: a machine without speed codes and decodes them.
const SIZE: (u16, u16) = (160, 90);

#[test]
#[ignore = "runs in the virtual machine of tests/vm/run"]
fn pictures_arrive_whole_and_under_their_numbers() {
    enter();
    let (pause, end) = (AtomicBool::new(false), AtomicBool::new(false));
    let feeder = Feeder::open();
    thread::scope(|scope| {
        scope.spawn(|| feeder.feed(&pause, &end));
        let ending = EndOnDrop(&end);
        let mut camera = Camera::open(&Options {
            device: Some(LOOPBACK.into()),
            size: Some((160, 90)),
            timeout: Duration::from_secs(1),
            ..options()
        })
        .unwrap();
        assert_eq!(camera.mode().format, PixelFormat::Jpeg);
        // A slow machine may stall by itself.
        let mut all = camera.by_ref().filter_map(Result::ok).take(15).collect::<Vec<_>>();

        pause.store(true, Ordering::Relaxed);
        let stall = camera.by_ref().find_map(|frame| frame.map(|frame| all.push(frame)).err()).unwrap();
        assert!(matches!(stall, CaptureError::TimedOut { .. }), "{stall}");
        pause.store(false, Ordering::Relaxed);
        all.extend(camera.by_ref().filter_map(Result::ok).take(15));

        assert_all_accounted_for(&camera, &all);
        let offsets =
            all.iter().map(|frame| i128::from(shown(frame)) - i128::from(frame.sequence())).collect::<Vec<_>>();
        assert!(offsets.iter().all(|offset| *offset == offsets[0]), "number shown - number carried: {offsets:?}");
        drop(ending);
    });
}

/// Ends the feeder even if an assertion fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes one picture after another, each of which shows its number.
struct Feeder(v4l::Device);

impl Feeder {
    fn open() -> Self {
        let device = v4l::Device::with_path(LOOPBACK).unwrap();
        let format = Format::new(SIZE.0.into(), SIZE.1.into(), FourCC::new(b"MJPG"));
        Output::set_format(&device, &format).unwrap();
        // Only now it calls itself a camera.
        let mut feeder = Self(device);
        feeder.write(0);
        feeder
    }

    fn feed(mut self, pause: &AtomicBool, end: &AtomicBool) {
        let mut number = 1;
        while !end.load(Ordering::Relaxed) {
            if !pause.load(Ordering::Relaxed) {
                self.write(number);
                number += 1;
            }
            // The rate of a camera: nothing is waited for.
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn write(&mut self, number: u16) {
        let picture = picture(number);
        assert_eq!(self.0.write(&picture).unwrap(), picture.len());
    }
}

/// A JPEG of sixteen bars, white where the number has a one.
fn picture(number: u16) -> Vec<u8> {
    let bar = usize::from(SIZE.0) / 16;
    let row =
        (0..usize::from(SIZE.0)).map(|x| if number >> (x / bar) & 1 == 1 { 235 } else { 16 }).collect::<Vec<u8>>();
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, 80).encode(&row.repeat(SIZE.1.into()), SIZE.0, SIZE.1, ColorType::Luma).unwrap();
    jpeg
}

/// The number that a frame shows, from the middle of its bars.
fn shown(frame: &Frame) -> u16 {
    let mut decoder = JpegDecoder::new(ZCursor::new(&frame.data()[..]));
    let pixels = decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((SIZE.0.into(), SIZE.1.into())));
    let channels = pixels.len() / (usize::from(SIZE.0) * usize::from(SIZE.1));
    let middle = &pixels[usize::from(SIZE.1) / 2 * usize::from(SIZE.0) * channels..];
    (0..16).map(|bit| u16::from(middle[(bit * 10 + 5) * channels] > 128) << bit).sum()
}
