//! JPEG, by `jpeg-encoder` and `zune-jpeg`.

mod tables;

use std::{fmt, io::Cursor, str::FromStr};

use jpeg_encoder::{ColorType, SamplingFactor};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{colorspace::ColorSpace, options::DecoderOptions},
};

use super::{CodecError, check_size};
use crate::{Frame, MAX_SIDE, PixelFormat, convert::convert};

/// The most pixels that a byte of JPEG can hold.
///
/// No kind of scan that is decoded leaves out the DC code of a block of 8x8 samples, which takes one bit at least (ITU-T T.81, F.1.2.1
/// and G.1.2.1; only what follows it may be left out for many blocks at once). And a block covers 128 pixels at most: that is when
/// one component is sampled 4x1 and the other one 1x4, which makes eight blocks of 32x32 pixels. Usual pictures have less than a
/// hundred pixels a byte even where they are all of one colour.
const MAX_PIXELS_PER_BYTE: u64 = 1_024;

/// How much of a picture JPEG keeps: 1 is least, 100 is most. 80 unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(u8);

impl Default for Quality {
    fn default() -> Self {
        Self(80)
    }
}

/// What was given is no JPEG quality.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a JPEG quality is a number from 1 to 100")]
pub struct InvalidQuality;

impl FromStr for Quality {
    type Err = InvalidQuality;

    fn from_str(text: &str) -> Result<Self, InvalidQuality> {
        text.parse().ok().filter(|quality| (1..=100).contains(quality)).map(Self).ok_or(InvalidQuality)
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The picture as JPEG, its colours at half the resolution (4:2:0).
pub(crate) fn encode(frame: &Frame, Quality(quality): Quality) -> Result<Frame, CodecError> {
    let (format, colors) = match frame.format() {
        PixelFormat::Gray8 => (PixelFormat::Gray8, ColorType::Luma),
        _ => (PixelFormat::Rgb8, ColorType::Rgb),
    };
    let raw = convert(frame, format)?;
    let pixels = match raw.format().row_bytes(raw.size().0) == u64::from(raw.stride()) {
        true => raw.data().clone(),
        false => raw.rows().collect::<Vec<_>>().concat().into(),
    };
    // No side is longer than MAX_SIDE, which is the largest u16.
    let (width, height) = (raw.size().0 as u16, raw.size().1 as u16);
    // A tenth of the pixels is more than most pictures take at this quality.
    let mut data = Vec::with_capacity(pixels.len() / 10);
    let mut encoder = jpeg_encoder::Encoder::new(&mut data, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder
        .encode(&pixels, width, height, colors)
        .map_err(|error| CodecError::Encode { sequence: frame.sequence(), reason: error.to_string() })?;
    let packed = Frame::new(frame.size(), PixelFormat::Jpeg, data).expect("it has the size of another frame");
    Ok(frame.become_picture(packed))
}

/// The picture that the JPEG holds, as RGB or grey. Bytes after its end do not matter, since some cameras pad their frames; nor do
/// missing Huffman tables, which others leave out.
pub(crate) fn decode(frame: &Frame) -> Result<Frame, CodecError> {
    let sequence = frame.sequence();
    let damaged = |error: zune_jpeg::errors::DecodeErrors| CodecError::Damaged { sequence, reason: error.to_string() };
    let jpeg = tables::completed(frame.data());
    let mut decoder = decoder(&jpeg);
    decoder.decode_headers().map_err(damaged)?;
    let has = decoder.dimensions().unwrap_or_default();
    // The decoder was told to take no longer sides than MAX_SIDE.
    let has = (has.0 as u32, has.1 as u32);
    check_size(frame, has)?;
    check_bytes(frame, has)?;
    let format = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => PixelFormat::Gray8,
        _ => PixelFormat::Rgb8,
    };
    let colors = if format == PixelFormat::Gray8 { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options().jpeg_set_out_colorspace(colors));
    let pixels = decoder.decode().map_err(damaged)?;
    let picture = Frame::new(frame.size(), format, pixels)
        .map_err(|error| CodecError::Damaged { sequence, reason: error.to_string() })?;
    Ok(frame.become_picture(picture))
}

/// The size of the picture that the JPEG holds, if it is one.
pub(crate) fn size(data: &[u8]) -> Option<(u32, u32)> {
    let mut decoder = decoder(data);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
}

/// Refuses a picture that its bytes cannot hold, before the decoder takes memory for it.
fn check_bytes(frame: &Frame, has: (u32, u32)) -> Result<(), CodecError> {
    let (pixels, bytes) = (u64::from(has.0) * u64::from(has.1), frame.data().len());
    if pixels > MAX_PIXELS_PER_BYTE * bytes as u64 {
        return Err(CodecError::TooFewBytes { sequence: frame.sequence(), has, bytes });
    }
    Ok(())
}

fn decoder(data: &[u8]) -> JpegDecoder<Cursor<&[u8]>> {
    JpegDecoder::new_with_options(Cursor::new(data), options())
}

fn options() -> DecoderOptions {
    // Strict: a picture that breaks off is damaged, not grey from there on. One whose scan ends early by an end marker is not seen.
    DecoderOptions::default().set_strict_mode(true).set_max_width(MAX_SIDE as usize).set_max_height(MAX_SIDE as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that changes slowly from corner to corner, as JPEG likes it.
    fn slope((width, height): (u32, u32), format: PixelFormat) -> Frame {
        let pixel = |place: u32| {
            let (x, y) = (place % width, place / width);
            [(x * 255 / width) as u8, (y * 255 / height) as u8, 128]
        };
        let rgb = (0..width * height).flat_map(pixel).collect::<Vec<_>>();
        let rgb = Frame::new((width, height), PixelFormat::Rgb8, rgb).unwrap();
        convert(&rgb, format).unwrap().stamped(9, crate::clock::now())
    }

    fn largest_difference(one: &Frame, other: &Frame) -> u8 {
        let differences = one.data().iter().zip(other.data()).map(|(one, other)| one.abs_diff(*other));
        differences.max().unwrap()
    }

    #[test]
    fn a_picture_comes_back_much_as_it_was() {
        for format in [PixelFormat::Rgb8, PixelFormat::Gray8, PixelFormat::Yuyv, PixelFormat::I420] {
            for size in [(64, 48), (33, 17), (1, 1)] {
                let frame = slope(size, format);
                let packed = encode(&frame, Quality(95)).unwrap();
                assert_eq!((packed.format(), packed.size(), packed.sequence()), (PixelFormat::Jpeg, size, 9));
                let back = decode(&packed).unwrap();
                let expected = convert(&frame, back.format()).unwrap();
                assert_eq!((back.sequence(), back.captured_at()), (9, frame.captured_at()));
                assert!(largest_difference(&back, &expected) <= 16, "{format} {size:?}");
            }
        }
        assert_eq!(
            decode(&encode(&slope((8, 8), PixelFormat::Gray8), Quality(80)).unwrap()).unwrap().format(),
            PixelFormat::Gray8
        );
    }

    #[test]
    fn bytes_after_the_end_do_not_matter() {
        let packed = encode(&slope((64, 48), PixelFormat::Rgb8), Quality::default()).unwrap();
        let padded = [packed.data(), &[0; 4_000][..]].concat();
        let padded = Frame::new((64, 48), PixelFormat::Jpeg, padded).unwrap();
        assert_eq!(decode(&padded).unwrap().data(), decode(&packed).unwrap().data());
    }

    /// The same JPEG without its Huffman tables.
    fn without_tables(packed: &Frame) -> Frame {
        let mut bytes = packed.data().to_vec();
        let find = |bytes: &[u8]| bytes.windows(2).position(|marker| marker == [0xff, 0xc4]);
        let mut removed = 0;
        while let Some(at) = find(&bytes) {
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            bytes.drain(at..at + 2 + length);
            removed += 1;
        }
        assert!(removed > 0, "there were tables");
        Frame::new(packed.size(), PixelFormat::Jpeg, bytes).unwrap()
    }

    #[test]
    fn without_tables_the_usual_ones_are_taken() {
        for format in [PixelFormat::Rgb8, PixelFormat::Gray8] {
            let packed = encode(&slope((64, 48), format), Quality::default()).unwrap();
            let bare = without_tables(&packed);
            assert_eq!(decode(&bare).unwrap().data(), decode(&packed).unwrap().data());
            assert_eq!(size(bare.data()), Some((64, 48)));
        }
    }

    #[test]
    fn a_damaged_picture_is_an_error() {
        let packed = encode(&slope((64, 48), PixelFormat::Rgb8), Quality::default()).unwrap();
        for length in [0, 1, 20, packed.data().len() / 2, packed.data().len() - 20] {
            let cut = Frame::new((64, 48), PixelFormat::Jpeg, packed.data().slice(..length)).unwrap();
            assert!(matches!(decode(&cut), Err(CodecError::Damaged { .. })), "cut at {length}");
        }
        let lie = Frame::new((32, 48), PixelFormat::Jpeg, packed.data().clone()).unwrap();
        assert!(matches!(decode(&lie), Err(CodecError::Size { says: (32, 48), has: (64, 48), .. })));
    }

    /// A small picture whose header claims to have another size.
    fn claim(size: (u16, u16)) -> Frame {
        let packed = encode(&slope((64, 48), PixelFormat::Rgb8), Quality::default()).unwrap();
        let mut bytes = packed.data().to_vec();
        // The frame header: its length, the precision, then height and width.
        let header = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        bytes[header + 5..header + 7].copy_from_slice(&size.1.to_be_bytes());
        bytes[header + 7..header + 9].copy_from_slice(&size.0.to_be_bytes());
        Frame::new((size.0.into(), size.1.into()), PixelFormat::Jpeg, bytes).unwrap()
    }

    #[test]
    fn a_huge_claim_is_refused_before_memory_is_taken() {
        assert!(matches!(decode(&claim((65_535, 65_535))), Err(CodecError::Size { .. })));
        for size in [(8_192, 8_192), (8_192, 128), (16, 65_535)] {
            let error = decode(&claim(size)).unwrap_err();
            assert!(matches!(error, CodecError::TooFewBytes { bytes: 600..1_000, .. }), "{error}");
        }
    }

    #[test]
    fn the_largest_picture_of_one_colour_is_decoded() {
        let flat = Frame::new((8_192, 8_192), PixelFormat::Gray8, vec![77; 8_192 * 8_192]).unwrap();
        let packed = encode(&flat, Quality::default()).unwrap();
        drop(flat);
        let picture = decode(&packed).unwrap();
        assert!(picture.size() == (8_192, 8_192) && picture.data().iter().all(|sample| *sample == 77));
    }

    #[test]
    fn the_densest_pictures_are_decoded() {
        let flat = vec![77; 2_048 * 2_048];
        let mut sizes = Vec::new();
        for progressive in [false, true] {
            let mut bytes = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
            // The shortest codes that there are for this picture.
            encoder.set_optimized_huffman_tables(true);
            encoder.set_progressive(progressive);
            encoder.encode(&flat, 2_048, 2_048, ColorType::Luma).unwrap();
            sizes.push(bytes.len());
            let packed = Frame::new((2_048, 2_048), PixelFormat::Jpeg, bytes).unwrap();
            assert!(decode(&packed).unwrap().data().iter().all(|sample| *sample == 77));
        }
        assert!(sizes.iter().any(|bytes| flat.len() / bytes > 200), "{sizes:?} bytes");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(place in 0..600usize, with: u8, cut in 0..4_000usize) {
            let packed = encode(&slope((48, 32), PixelFormat::Rgb8), Quality::default()).unwrap();
            let mut bytes = packed.data().to_vec();
            let place = place % bytes.len();
            bytes[place] = with;
            bytes.truncate(bytes.len().saturating_sub(cut / 4).max(1));
            let _ = decode(&Frame::new((48, 32), PixelFormat::Jpeg, bytes).unwrap());
        }
    }
}
