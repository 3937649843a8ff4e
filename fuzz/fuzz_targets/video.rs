#![no_main]
//! Files of video, y4m and MJPEG, in whatever pieces they are read.

use std::io::{BufRead, BufReader};

use daffi_camera::{
    Frame,
    file::{MjpegReader, Y4mReader},
};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;

/// A header may ask for a frame of so many bytes, and is taken at its word: of a file, which somebody chose.
const Y4M_FRAME: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let capacity = usize::from(*first) + 1;
    let whole = within(data.len(), 64, || mjpeg(data));
    assert_eq!(whole, mjpeg(BufReader::with_capacity(capacity, data)), "the pieces make a difference");
    if pixels(data).is_some_and(|pixels| pixels <= Y4M_FRAME) {
        let whole = within(data.len() + Y4M_FRAME, 16, || y4m(data));
        assert_eq!(whole, y4m(BufReader::with_capacity(capacity, data)), "the pieces make a difference");
    }
});

fn mjpeg(input: impl BufRead) -> (Vec<Frame>, u64, bool) {
    let (mut reader, mut frames) = (MjpegReader::new(input), Vec::new());
    let failed = loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    (frames, reader.damaged(), failed)
}

fn y4m(input: impl BufRead) -> Option<(Vec<Frame>, bool)> {
    let (mut reader, mut frames) = (Y4mReader::new(input).ok()?, Vec::new());
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                assert_eq!((frame.size(), frame.format()), (reader.mode().size, reader.mode().format));
                frames.push(frame);
            }
            Ok(None) => return Some((frames, false)),
            Err(_) => return Some((frames, true)),
        }
    }
}

/// How many pixels the header says.
fn pixels(data: &[u8]) -> Option<usize> {
    let (width, height) = Y4mReader::new(data).ok()?.mode().size;
    Some(width as usize * height as usize)
}
