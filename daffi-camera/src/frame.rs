//! A picture and what is known of it.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How the pixels of a [`Frame`] are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue: three bytes a pixel.
    Rgb8,
    /// Luma: one byte a pixel.
    Gray8,
}

impl PixelFormat {
    /// How many bytes a pixel takes.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Gray8 => 1,
        }
    }
}

/// One picture of a video. It owns its pixels; clones share them. They travel as MessagePack bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    width: u32,
    height: u32,
    stride: u32,
    format: PixelFormat,
    sequence: u64,
    captured_at: Duration,
    pixels: Bytes,
}

/// The pixels do not make a picture of that size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// A row is longer than the stride.
    #[error("a row of {width} {format:?} pixels does not fit a stride of {stride} bytes")]
    Stride {
        /// The picture's width in pixels.
        width: u32,
        /// From one row to the next, in bytes.
        stride: u32,
        /// The layout of the pixels.
        format: PixelFormat,
    },
    /// There are too few or too many bytes.
    #[error("{height} rows of {stride} bytes are {expected} bytes, and {actual} were given")]
    Length {
        /// The picture's height in pixels.
        height: u32,
        /// From one row to the next, in bytes.
        stride: u32,
        /// How many bytes there should be.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
}

impl Frame {
    /// A frame of `height` rows of `stride` bytes, of which the first `width` pixels count.
    ///
    /// `sequence` counts the frames of the source; `captured_at` is the time since the source began.
    ///
    /// # Errors
    ///
    /// [`InvalidFrame`].
    pub fn new(
        (width, height): (u32, u32),
        stride: u32,
        format: PixelFormat,
        sequence: u64,
        captured_at: Duration,
        pixels: Bytes,
    ) -> Result<Self, InvalidFrame> {
        if u64::from(width) * format.bytes_per_pixel() as u64 > u64::from(stride) {
            return Err(InvalidFrame::Stride { width, stride, format });
        }
        let expected = u64::from(height) * u64::from(stride);
        let actual = pixels.len() as u64;
        if expected != actual {
            return Err(InvalidFrame::Length { height, stride, expected, actual });
        }
        Ok(Self { width, height, stride, format, sequence, captured_at, pixels })
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The layout of the pixels.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The frame's number at its source.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was taken, since the source began.
    pub const fn captured_at(&self) -> Duration {
        self.captured_at
    }

    /// The rows from top to bottom, without what pads them to the stride.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let row = self.width as usize * self.format.bytes_per_pixel();
        self.pixels.chunks_exact((self.stride as usize).max(1)).map(move |padded| &padded[..row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let pixels = Bytes::from_static(&[1, 2, 3, 0, 4, 5, 6, 0]);
        Frame::new((1, 2), 4, PixelFormat::Rgb8, 7, Duration::from_millis(5), pixels).unwrap()
    }

    #[test]
    fn rows_leave_the_padding_out() {
        assert_eq!(frame().rows().collect::<Vec<_>>(), [&[1, 2, 3], &[4, 5, 6]]);
    }

    #[test]
    fn pixels_travel_as_bin() {
        let encoded = rmp_serde::to_vec_named(&frame()).unwrap();
        assert!(encoded.windows(2).any(|window| window == [0xc4, 8]), "a bin of eight bytes");
        assert_eq!(rmp_serde::from_slice::<Frame>(&encoded).unwrap(), frame());
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let short = Frame::new((2, 2), 4, PixelFormat::Gray8, 0, Duration::ZERO, Bytes::from_static(&[0; 7]));
        assert!(matches!(short, Err(InvalidFrame::Length { expected: 8, actual: 7, .. })));
        let wide = Frame::new((2, 2), 4, PixelFormat::Rgb8, 0, Duration::ZERO, Bytes::new());
        assert!(matches!(wide, Err(InvalidFrame::Stride { .. })));
    }
}
