#![no_main]
//! Pictures of a peer, of any size and layout: what is a frame can be converted and scaled, and what is not is refused.

use arbitrary::Arbitrary;
use daffi_camera::{Frame, Percent, PixelFormat, Scaler, codec::Decoder, convert};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    size: (u32, u32),
    stride: u32,
    small: bool,
    padding: u8,
    from: u8,
    to: u8,
    percent: u16,
    data: Vec<u8>,
    fill: bool,
}

const FORMATS: [PixelFormat; 9] = [
    PixelFormat::Rgb8,
    PixelFormat::Gray8,
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::I422,
    PixelFormat::I444,
    PixelFormat::Jpeg,
    PixelFormat::H264,
];

/// So many bytes of a picture are taken to be there whatever came.
const MOST: usize = 1 << 18;

fuzz_target!(|input: Input| {
    let [from, to] = [input.from, input.to].map(|format| FORMATS[usize::from(format) % FORMATS.len()]);
    let size = if input.small { (input.size.0 % 300 + 1, input.size.1 % 300 + 1) } else { input.size };
    let stride = if input.small { from.row_bytes(size.0) as u32 + u32::from(input.padding % 40) } else { input.stride };
    let mut data = input.data;
    if input.fill
        && from.is_raw()
        && let Some(length) = length(size, stride, from)
    {
        data.resize(length, 77);
    }
    let Ok(frame) = Frame::with_stride(size, stride, from, data) else { return };
    // As it comes from a peer.
    let travelled = rmp_serde::from_slice::<Frame>(&rmp_serde::to_vec_named(&frame).expect("it is a frame"));
    assert_eq!(travelled.as_ref().ok(), Some(&frame));
    if frame.format().is_raw() {
        assert_eq!(frame.rows().count(), size.1 as usize);
    }
    if let Ok(converted) = convert(&frame, to) {
        assert_eq!((converted.size(), converted.format()), (size, to));
        assert!(from.is_raw() && to.is_raw());
    } else {
        assert!(!from.is_raw() || !to.is_raw(), "{frame:?} to {to}");
    }
    if from.is_raw() {
        assert_eq!(Decoder::new().decode(&frame).expect("raw frames are converted").size(), size);
        if let Some(percent) = Percent::new(u32::from(input.percent)) {
            let wanted = percent.of(size);
            if u64::from(wanted.0) * u64::from(wanted.1) < 4 * MOST as u64 {
                let scaled = Scaler::new(percent).scale(&frame).expect("raw frames are scaled");
                assert_eq!(scaled.size(), wanted);
            }
        }
    }
});

/// How many bytes such a picture has, if not too many.
fn length((_, height): (u32, u32), stride: u32, format: PixelFormat) -> Option<usize> {
    let (stride, height) = (stride as usize, height as usize);
    let first = stride.checked_mul(height).filter(|first| *first <= MOST)?;
    Some(match format {
        PixelFormat::Nv12 => first + stride * height.div_ceil(2),
        PixelFormat::I420 => first + 2 * stride.div_ceil(2) * height.div_ceil(2),
        PixelFormat::I422 => first + 2 * stride.div_ceil(2) * height,
        PixelFormat::I444 => 3 * first,
        _ => first,
    })
}
