//! A strip in the picture that a program can read: which frame it is, and when it was drawn.
//!
//! 128 bits as blocks of black and white, in four rows of 32, over the upper quarter of the picture, the highest bit of the first byte
//! first: a magic number (16 bits), the frame's number (32), the microseconds of the clock (64), and a CRC-16 of these. Blocks
//! are sampled in their middle, so that the strip survives coarse JPEG, scaling and a screen.

use std::time::Duration;

use crc::{CRC_16_IBM_3740, Crc};

use crate::{Frame, PixelFormat};

/// Blocks in a row.
const COLUMNS: u32 = 32;
/// Rows of blocks.
const ROWS: u32 = 4;
/// The part of the picture's height that the strip covers: one of so many.
pub(super) const SHARE: u32 = 4;

/// The smallest picture that has room for it: a pixel for each block.
pub const MIN_SIZE: (u32, u32) = (COLUMNS, ROWS * SHARE);

const BYTES: usize = (COLUMNS * ROWS / 8) as usize;
const MAGIC: [u8; 2] = *b"dF";
/// The darkest and brightest luma that every kind of video can carry.
const DARK: u8 = 16;
const BRIGHT: u8 = 235;
/// Half way between the two.
const THRESHOLD: u8 = 126;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

/// What the strip says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The frame's number; after 2^32 frames it begins again.
    pub frame: u32,
    /// When the picture was drawn, by the [`clock`](crate::clock), in whole microseconds.
    pub drawn_at: Duration,
}

/// There is no strip to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoStamp {
    /// The picture is compressed.
    #[error("a {0} picture is compressed: decode it first")]
    Compressed(PixelFormat),
    /// The picture is smaller than [`MIN_SIZE`].
    #[error("a picture of {}x{} pixels has no room for the strip, which takes {}x{}", .0.0, .0.1, MIN_SIZE.0, MIN_SIZE.1)]
    TooSmall((u32, u32)),
    /// The picture is not of the test pattern, or damaged.
    #[error("there is no strip in the picture, or it is damaged")]
    Unreadable,
}

impl Stamp {
    /// Reads the strip of a raw picture of any layout and size.
    ///
    /// # Errors
    ///
    /// [`NoStamp`].
    pub fn read(frame: &Frame) -> Result<Self, NoStamp> {
        let (width, height) = frame.size();
        if !frame.format().is_raw() {
            return Err(NoStamp::Compressed(frame.format()));
        }
        if width < MIN_SIZE.0 || height < MIN_SIZE.1 {
            return Err(NoStamp::TooSmall((width, height)));
        }
        let mut bytes = [0; BYTES];
        for block in 0..COLUMNS * ROWS {
            let [left, top, right, bottom] = place(block, (width, height));
            let bright = luma(frame, u32::midpoint(left, right), u32::midpoint(top, bottom)) > THRESHOLD;
            bytes[(block / 8) as usize] |= u8::from(bright) << (7 - block % 8);
        }
        Self::from_bytes(bytes).ok_or(NoStamp::Unreadable)
    }

    /// Draws the strip onto an RGB picture of that size, whose rows follow each other.
    pub(super) fn draw(self, rgb: &mut [u8], (width, height): (u32, u32)) {
        let bytes = self.to_bytes();
        let row_bytes = 3 * width as usize;
        for row in 0..ROWS {
            let [_, top, _, bottom] = place(row * COLUMNS, (width, height));
            let (top, bottom) = (top as usize, bottom as usize);
            let first = top * row_bytes..(top + 1) * row_bytes;
            for column in 0..COLUMNS {
                let block = row * COLUMNS + column;
                let [left, _, right, _] = place(block, (width, height));
                let bright = bytes[(block / 8) as usize] >> (7 - block % 8) & 1 == 1;
                let pixels = 3 * left as usize..3 * right as usize;
                rgb[first.clone()][pixels].fill(if bright { BRIGHT } else { DARK });
            }
            for below in top + 1..bottom {
                rgb.copy_within(first.clone(), below * row_bytes);
            }
        }
    }

    fn to_bytes(self) -> [u8; BYTES] {
        // The clock's microseconds fit for half a million years.
        let micros = self.drawn_at.as_micros() as u64;
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2..6].copy_from_slice(&self.frame.to_be_bytes());
        bytes[6..14].copy_from_slice(&micros.to_be_bytes());
        let sum = CRC.checksum(&bytes[..14]);
        bytes[14..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; BYTES]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk()?;
        let (magic, content) = content.split_first_chunk()?;
        let (frame, micros) = content.split_first_chunk()?;
        let intact = *magic == MAGIC && u16::from_be_bytes(*sum) == CRC.checksum(&bytes[..14]);
        let micros = u64::from_be_bytes(micros.try_into().ok()?);
        intact.then_some(Self { frame: u32::from_be_bytes(*frame), drawn_at: Duration::from_micros(micros) })
    }
}

/// A block's left, top, right and bottom edge; the latter two are just outside.
fn place(block: u32, (width, height): (u32, u32)) -> [u32; 4] {
    let (column, row) = (block % COLUMNS, block / COLUMNS);
    let (x, y) = (|column| column * width / COLUMNS, |row| row * height / (ROWS * SHARE));
    [x(column), y(row), x(column + 1), y(row + 1)]
}

fn luma(frame: &Frame, x: u32, y: u32) -> u8 {
    let row = y as usize * frame.stride() as usize;
    let (data, x) = (frame.data(), x as usize);
    match frame.format() {
        // The strip is grey: of it, green is as good as a weighted sum.
        PixelFormat::Rgb8 => data[row + 3 * x + 1],
        PixelFormat::Yuyv => data[row + 2 * x],
        _ => data[row + x],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Percent, Scaler,
        codec::{Codec, Decoder, Encoder},
        convert,
    };

    fn picture(stamp: Stamp, (width, height): (u32, u32)) -> Frame {
        let mut rgb = vec![90; (3 * width * height) as usize];
        stamp.draw(&mut rgb, (width, height));
        Frame::new((width, height), PixelFormat::Rgb8, rgb).unwrap()
    }

    fn stamp(frame: u32) -> Stamp {
        let drawn_at = Duration::from_micros(0x0123_4567_89ab_cdef_u64.wrapping_mul(u64::from(frame) | 1) >> 8);
        Stamp { frame, drawn_at }
    }

    #[test]
    fn it_is_read_in_every_size_and_layout() {
        for size in [MIN_SIZE, (33, 17), (320, 180), (1280, 720), (641, 359)] {
            let picture = picture(stamp(77), size);
            let formats =
                [PixelFormat::Rgb8, PixelFormat::Gray8, PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420];
            for format in formats {
                assert_eq!(Stamp::read(&convert(&picture, format).unwrap()), Ok(stamp(77)), "{size:?} {format}");
            }
        }
    }

    #[test]
    fn it_survives_coarse_jpeg_and_scaling() {
        for number in 0..20 {
            let picture = picture(stamp(number), (1280, 720));
            for (percent, quality) in [(20, 5), (10, 50), (100, 5)] {
                let scaled = Scaler::new(Percent::new(percent).unwrap()).scale(&picture).unwrap();
                let codec: Codec = format!("jpeg:{quality}").parse().unwrap();
                let packed = Encoder::new(codec, None).encode(&scaled).unwrap();
                assert_eq!(Stamp::read(&packed), Err(NoStamp::Compressed(PixelFormat::Jpeg)));
                let seen = Decoder::new().decode(&packed).unwrap();
                assert_eq!(Stamp::read(&seen), Ok(stamp(number)), "{percent} percent, quality {quality}");
            }
        }
    }

    #[test]
    fn other_pictures_have_none() {
        let grey = Frame::new((320, 180), PixelFormat::Gray8, vec![200; 320 * 180]).unwrap();
        assert_eq!(Stamp::read(&grey), Err(NoStamp::Unreadable));
        let small = Frame::new((31, 16), PixelFormat::Gray8, vec![0; 31 * 16]).unwrap();
        assert_eq!(Stamp::read(&small), Err(NoStamp::TooSmall((31, 16))));
    }

    #[test]
    fn every_block_matters() {
        let size = (64, 32);
        for block in 0..COLUMNS * ROWS {
            let [left, top, right, bottom] = place(block, size);
            let mut rgb = picture(stamp(5), size).data().to_vec();
            for y in top..bottom {
                for byte in &mut rgb[(3 * (y * size.0 + left)) as usize..(3 * (y * size.0 + right)) as usize] {
                    *byte = DARK + BRIGHT - *byte;
                }
            }
            let damaged = Frame::new(size, PixelFormat::Rgb8, rgb).unwrap();
            assert_eq!(Stamp::read(&damaged), Err(NoStamp::Unreadable), "block {block}");
        }
    }
}
