//! A picture and what is known of it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest side of a picture, in pixels: that of JPEG, which is far beyond any camera's.
pub const MAX_SIDE: u32 = 65_535;

/// How the bytes of a [`Frame`] make a picture.
///
/// The YUV formats have the matrix of BT.601 and its limited range (luma 16 to 235), as cameras and y4m files do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue: three bytes a pixel.
    Rgb8,
    /// Luma: one byte a pixel.
    Gray8,
    /// Two pixels in four bytes: luma, blue difference, luma, red difference. V4L2's YUYV.
    Yuyv,
    /// A plane of luma, then one of pairs of differences, half as wide and half as high. V4L2's NV12.
    Nv12,
    /// A plane of luma, one of blue differences, one of red ones, the latter half as wide and half as high.
    I420,
    /// The same with planes of differences that are half as wide and as high as that of luma.
    I422,
    /// The same with three planes of one size.
    I444,
    /// A whole JPEG file.
    Jpeg,
    /// One access unit of an H.264 stream, with start codes (Annex B).
    H264,
}

impl PixelFormat {
    /// Whether there are rows of pixels in it, and not a compressed picture.
    pub const fn is_raw(self) -> bool {
        !matches!(self, Self::Jpeg | Self::H264)
    }

    /// How many bytes a row of luma, or of whole pixels, has at least; none if the picture is compressed.
    pub const fn row_bytes(self, width: u32) -> u64 {
        let width = width as u64;
        match self {
            Self::Rgb8 => 3 * width,
            Self::Yuyv => 2 * (width + width % 2),
            // Its second plane has two bytes for two pixels.
            Self::Nv12 => width + width % 2,
            Self::Gray8 | Self::I420 | Self::I422 | Self::I444 => width,
            Self::Jpeg | Self::H264 => 0,
        }
    }

    /// How many bytes a picture of that height has if its first plane has rows of `stride` bytes; none if it is compressed.
    ///
    /// The planes of I420 and I422 have rows of half the stride, rounded up.
    pub(crate) const fn picture_bytes(self, stride: u32, height: u32) -> u64 {
        let (stride, height) = (stride as u64, height as u64);
        let first = stride * height;
        match self {
            Self::Rgb8 | Self::Gray8 | Self::Yuyv => first,
            Self::Nv12 => first + stride * height.div_ceil(2),
            Self::I420 => first + 2 * stride.div_ceil(2) * height.div_ceil(2),
            Self::I422 => first + 2 * stride.div_ceil(2) * height,
            Self::I444 => 3 * first,
            Self::Jpeg | Self::H264 => 0,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb8 => "RGB",
            Self::Gray8 => "grey",
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::I420 => "I420",
            Self::I422 => "I422",
            Self::I444 => "I444",
            Self::Jpeg => "JPEG",
            Self::H264 => "H.264",
        })
    }
}

/// One picture of a video. It owns its bytes; clones share them. They travel as MessagePack bin.
///
/// ```
/// use daffi_camera::{Frame, PixelFormat};
///
/// let frame = Frame::new((2, 1), PixelFormat::Rgb8, vec![255, 0, 0, 0, 0, 255])?.stamped(7, daffi_camera::clock::now());
/// assert_eq!((frame.size(), frame.sequence()), ((2, 1), 7));
/// # Ok::<(), daffi_camera::InvalidFrame>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Frame {
    width: u32,
    height: u32,
    stride: u32,
    format: PixelFormat,
    sequence: u64,
    captured_at: Duration,
    sync: bool,
    data: Bytes,
}

/// What came over the wire, before it is known to be a frame.
#[derive(Deserialize)]
struct Unchecked {
    width: u32,
    height: u32,
    stride: u32,
    format: PixelFormat,
    sequence: u64,
    captured_at: Duration,
    sync: bool,
    data: Bytes,
}

/// The bytes do not make a picture of that size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// A side is zero, or longer than [`MAX_SIDE`].
    #[error("a picture of {width}x{height} pixels: both sides are to be 1 to {MAX_SIDE}")]
    Size {
        /// The picture's width in pixels.
        width: u32,
        /// The picture's height in pixels.
        height: u32,
    },
    /// A row is longer than the stride.
    #[error("a row of {width} {format} pixels does not fit a stride of {stride} bytes")]
    Stride {
        /// The picture's width in pixels.
        width: u32,
        /// From one row to the next, in bytes.
        stride: u32,
        /// The layout of the pixels.
        format: PixelFormat,
    },
    /// There are too few or too many bytes.
    #[error("a {format} picture of {height} rows of {stride} bytes has {expected} bytes, and {actual} were given")]
    Length {
        /// The layout of the pixels.
        format: PixelFormat,
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
    /// A frame whose rows follow each other without padding. It is the source's frame 0, captured at no time, and a sync frame,
    /// until [`stamped`](Self::stamped) and [`with_sync`](Self::with_sync) say otherwise.
    ///
    /// # Errors
    ///
    /// [`InvalidFrame`].
    pub fn new((width, height): (u32, u32), format: PixelFormat, data: impl Into<Bytes>) -> Result<Self, InvalidFrame> {
        let stride = u32::try_from(format.row_bytes(width)).map_err(|_| InvalidFrame::Size { width, height })?;
        Self::with_stride((width, height), stride, format, data)
    }

    /// The same with rows that begin every `stride` bytes. For the planar formats that is the plane of luma; the planes of
    /// differences have the same stride (NV12, I444), or half of it, rounded up (I420, I422). Compressed pictures have none.
    ///
    /// # Errors
    ///
    /// [`InvalidFrame`].
    pub fn with_stride(
        (width, height): (u32, u32),
        stride: u32,
        format: PixelFormat,
        data: impl Into<Bytes>,
    ) -> Result<Self, InvalidFrame> {
        let data = data.into();
        let (sequence, captured_at, sync) = (0, Duration::ZERO, true);
        Unchecked { width, height, stride, format, sequence, captured_at, sync, data }.try_into()
    }

    /// The same picture as the source's frame number `sequence`, captured at that time by [`clock::now`](crate::clock::now).
    #[must_use]
    pub fn stamped(self, sequence: u64, captured_at: Duration) -> Self {
        Self { sequence, captured_at, ..self }
    }

    /// The same picture, which can be decoded without those before it, or cannot.
    #[must_use]
    pub fn with_sync(self, sync: bool) -> Self {
        Self { sync, ..self }
    }

    /// Another picture with this one's number and capture time.
    pub(crate) fn become_picture(&self, picture: Self) -> Self {
        picture.stamped(self.sequence, self.captured_at)
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// From one row of the first plane to the next, in bytes; zero if the picture is compressed.
    pub const fn stride(&self) -> u32 {
        self.stride
    }

    /// How the bytes make a picture.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The frame's number at its source. A gap is frames that were lost, there or on the way.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was captured, by the [`clock`](crate::clock) of its machine.
    pub const fn captured_at(&self) -> Duration {
        self.captured_at
    }

    /// Whether it can be decoded without the frames before it. Only H.264 has frames that cannot.
    pub const fn is_sync(&self) -> bool {
        self.sync
    }

    /// All bytes, whatever they are.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The rows of the first plane from top to bottom, without what pads them to the stride; none if the picture is compressed.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        // A row fits the stride, which is an u32.
        let row = self.format.row_bytes(self.width) as usize;
        let height = if self.format.is_raw() { self.height as usize } else { 0 };
        self.data.chunks((self.stride as usize).max(1)).take(height).map(move |padded| &padded[..row])
    }
}

impl TryFrom<Unchecked> for Frame {
    type Error = InvalidFrame;

    fn try_from(frame: Unchecked) -> Result<Self, InvalidFrame> {
        let Unchecked { width, height, stride, format, sequence, captured_at, sync, data } = frame;
        if [width, height].iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            return Err(InvalidFrame::Size { width, height });
        }
        if format.row_bytes(width) > u64::from(stride) {
            return Err(InvalidFrame::Stride { width, stride, format });
        }
        let (expected, actual) = (format.picture_bytes(stride, height), data.len() as u64);
        if format.is_raw() && expected != actual {
            return Err(InvalidFrame::Length { format, height, stride, expected, actual });
        }
        Ok(Self { width, height, stride, format, sequence, captured_at, sync, data })
    }
}

/// Without the bytes.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, format, sequence, data, .. } = self;
        write!(f, "Frame {sequence}: {width}x{height} {format}, {} bytes", data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let padded = vec![1, 2, 3, 0, 4, 5, 6, 0];
        let frame = Frame::with_stride((1, 2), 4, PixelFormat::Rgb8, padded).unwrap();
        frame.stamped(7, Duration::from_millis(5))
    }

    #[test]
    fn rows_leave_the_padding_out() {
        assert_eq!(frame().rows().collect::<Vec<_>>(), [&[1, 2, 3], &[4, 5, 6]]);
    }

    #[test]
    fn rows_of_a_planar_picture_are_its_luma() {
        let frame = Frame::new((3, 3), PixelFormat::I420, (0..17).collect::<Vec<u8>>()).unwrap();
        assert_eq!(frame.rows().collect::<Vec<_>>(), [&[0, 1, 2], &[3, 4, 5], &[6, 7, 8]]);
        let frame = Frame::new((3, 3), PixelFormat::Nv12, (0..20).collect::<Vec<u8>>()).unwrap();
        assert_eq!(frame.rows().last(), Some(&[8, 9, 10, 11][..]));
        assert_eq!(Frame::new((8, 8), PixelFormat::Jpeg, vec![0; 99]).unwrap().rows().count(), 0);
    }

    #[test]
    fn the_bytes_travel_as_bin() {
        let encoded = rmp_serde::to_vec_named(&frame()).unwrap();
        assert!(encoded.windows(2).any(|window| window == [0xc4, 8]), "a bin of eight bytes");
        assert_eq!(rmp_serde::from_slice::<Frame>(&encoded).unwrap(), frame());
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let short = Frame::with_stride((2, 2), 4, PixelFormat::Gray8, vec![0; 7]);
        assert!(matches!(short, Err(InvalidFrame::Length { expected: 8, actual: 7, .. })));
        let wide = Frame::with_stride((2, 2), 4, PixelFormat::Rgb8, Bytes::new());
        assert!(matches!(wide, Err(InvalidFrame::Stride { .. })));
        let none = Frame::new((0, 2), PixelFormat::Jpeg, Bytes::new());
        assert!(matches!(none, Err(InvalidFrame::Size { .. })));
    }

    #[test]
    fn a_frame_from_the_wire_is_checked() {
        // A peer that claims more rows than it sends.
        let good = Frame { height: 2, ..frame() };
        let encoded = rmp_serde::to_vec_named(&Frame { height: 2_000, ..good }).unwrap();
        let error = rmp_serde::from_slice::<Frame>(&encoded).unwrap_err();
        assert!(error.to_string().contains("has 8000 bytes, and 8 were given"), "{error}");
    }
}
