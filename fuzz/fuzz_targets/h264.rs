#![no_main]
//! H.264 of a peer: decoded to the size that its frames say, or refused. openh264 is C++, without a sanitizer here: what it breaks
//! shows if it crashes.

use arbitrary::Arbitrary;
use daffi_camera::{
    Frame, PixelFormat,
    codec::{Codec, Decoder, Encoder},
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    size: (u8, u8),
    units: Vec<Unit>,
}

#[derive(Debug, Arbitrary)]
enum Unit {
    Raw {
        sync: bool,
        size: (u16, u16),
        data: Vec<u8>,
    },
    /// A real one, damaged.
    Encoded {
        grey: u8,
        changes: Vec<(u16, u8)>,
        cut: u16,
    },
}

fuzz_target!(|input: Input| {
    let size = (u32::from(input.size.0 % 64) + 1, u32::from(input.size.1 % 64) + 1);
    let mut encoder = Encoder::new(Codec::H264 { bitrate: 1_000_000 }, None);
    let mut decoder = Decoder::new();
    for (number, unit) in input.units.into_iter().take(16).enumerate() {
        let frame = match unit {
            Unit::Raw { sync, size, data } => {
                let size = (u32::from(size.0), u32::from(size.1));
                Frame::new(size, PixelFormat::H264, data).map(|frame| frame.with_sync(sync))
            }
            Unit::Encoded { grey, changes, cut } => {
                let pixels = vec![grey; size.0 as usize * size.1 as usize];
                let picture = Frame::new(size, PixelFormat::Gray8, pixels).expect("it has as many pixels");
                let Ok(unit) = encoder.encode(&picture) else { continue };
                let mut data = unit.data().to_vec();
                let length = data.len();
                for (at, byte) in changes {
                    data[usize::from(at) % length] ^= byte;
                }
                data.truncate(length.saturating_sub(usize::from(cut) % length));
                Frame::new(size, PixelFormat::H264, data).map(|frame| frame.with_sync(unit.is_sync()))
            }
        };
        let Ok(frame) = frame else { continue };
        let frame = frame.stamped(number as u64, std::time::Duration::ZERO);
        if let Ok(picture) = decoder.decode(&frame) {
            assert_eq!((picture.size(), picture.format()), (frame.size(), PixelFormat::Rgb8));
        }
    }
});
