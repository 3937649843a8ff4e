#![no_main]
//! JPEGs of a peer: decoded to the size that their frame says, or refused, in memory that their bytes can account for.

use daffi_camera::{Frame, PixelFormat, codec::Decoder, file::MjpegReader};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((said, jpeg)) = data.split_first_chunk::<4>() else { return };
    let said = (u32::from(u16::from_le_bytes([said[0], said[1]])), u32::from(u16::from_le_bytes([said[2], said[3]])));
    decode(said, jpeg);
    // And with the size that it has.
    if let Ok(Some(frame)) = MjpegReader::new(jpeg).next_frame() {
        decode(frame.size(), jpeg);
    }
});

fn decode(size: (u32, u32), jpeg: &[u8]) {
    let Ok(frame) = Frame::new(size, PixelFormat::Jpeg, jpeg.to_vec()) else { return };
    // A byte may hold 1,024 pixels: of three bytes each, and the decoder has coefficients of two bytes beside them.
    if let Ok(picture) = within(jpeg.len() + 1024, 16 << 10, || Decoder::new().decode(&frame)) {
        assert_eq!(picture.size(), size);
        assert!(matches!(picture.format(), PixelFormat::Rgb8 | PixelFormat::Gray8));
    }
}
