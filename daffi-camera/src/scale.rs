//! Smaller and larger pictures, by `fast_image_resize`.

use std::{fmt, str::FromStr};

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};

use crate::{ConvertError, Frame, MAX_SIDE, PixelFormat, convert::convert};

/// A size in percent of the original's: 20 makes a fifth of the width and of the height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u32);

impl Percent {
    /// The size as it is.
    pub const ORIGINAL: Self = Self(100);

    /// 1 to 1000 percent; `None` beyond that.
    pub const fn new(percent: u32) -> Option<Self> {
        match percent {
            1..=1000 => Some(Self(percent)),
            _ => None,
        }
    }

    /// Both sides in percent, rounded down as in the original demo, and one pixel at least.
    pub fn of(self, (width, height): (u32, u32)) -> (u32, u32) {
        // A side is at most MAX_SIDE, and that ten times fits.
        let side = |side: u32| (side * self.0 / 100).clamp(1, MAX_SIDE);
        (side(width), side(height))
    }
}

/// What was given is no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a size is given in percent, 1 to 1000")]
pub struct InvalidPercent;

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        digits.parse().ok().and_then(Self::new).ok_or(InvalidPercent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes pictures of another size. Every pixel is the mean of those that it covers (a box filter, which OpenCV calls
/// `INTER_AREA`).
#[derive(Debug)]
pub struct Scaler {
    percent: Percent,
    resizer: Resizer,
}

impl Scaler {
    /// To that part of each picture's size.
    pub fn new(percent: Percent) -> Self {
        Self { percent, resizer: Resizer::new() }
    }

    /// The picture in the other size, as RGB. One that keeps its size is given back as it is.
    ///
    /// # Errors
    ///
    /// [`ConvertError::Compressed`] if it is to be decoded first.
    pub fn scale(&mut self, frame: &Frame) -> Result<Frame, ConvertError> {
        let size = self.percent.of(frame.size());
        if size == frame.size() && frame.format().is_raw() {
            return Ok(frame.clone());
        }
        let rgb = without_padding(&convert(frame, PixelFormat::Rgb8)?);
        let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
        // Of one kind of pixels: on `Resizer::resize`, which knows them all, the compiler works for minutes.
        let from = TypedImageRef::<U8x3>::from_buffer(rgb.size().0, rgb.size().1, rgb.data());
        let from = from.expect("the rows have no padding");
        let mut to = TypedImage::<U8x3>::from_buffer(size.0, size.1, &mut pixels).expect("it was made for this size");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
        self.resizer.resize_typed(&from, &mut to, &options).expect("nothing is cropped");
        let scaled =
            Frame::new(size, PixelFormat::Rgb8, pixels).expect("the buffer was made for a picture of this size");
        Ok(frame.become_picture(scaled))
    }
}

/// The same picture with rows that follow each other.
fn without_padding(frame: &Frame) -> Frame {
    if frame.format().row_bytes(frame.size().0) == u64::from(frame.stride()) {
        return frame.clone();
    }
    let rows = frame.rows().collect::<Vec<_>>().concat();
    let tight = Frame::new(frame.size(), frame.format(), rows).expect("these are its rows");
    frame.become_picture(tight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(percent: u32) -> Scaler {
        Scaler::new(Percent::new(percent).unwrap())
    }

    #[test]
    fn a_pixel_is_the_mean_of_those_it_covers() {
        let frame = Frame::with_stride((4, 2), 6, PixelFormat::Gray8, vec![10, 20, 30, 40, 0, 0, 10, 20, 30, 80, 0, 0])
            .unwrap();
        let small = scaler(50).scale(&frame.stamped(3, crate::clock::now())).unwrap();
        assert_eq!((small.size(), small.sequence(), &small.data()[..]), ((2, 1), 3, &[15, 15, 15, 45, 45, 45][..]));
    }

    #[test]
    fn other_layouts_become_rgb() {
        let frame = Frame::new((20, 10), PixelFormat::Yuyv, [179, 128, 179, 128].repeat(100)).unwrap();
        let small = scaler(20).scale(&frame).unwrap();
        assert_eq!((small.size(), small.format()), ((4, 2), PixelFormat::Rgb8));
        assert!(small.data().iter().all(|value| value.abs_diff(190) <= 2), "{:?}", &small.data()[..3]);
        let same = scaler(100).scale(&frame).unwrap();
        assert_eq!(same, frame);
    }

    #[test]
    fn nothing_vanishes() {
        assert_eq!(Percent::new(1).unwrap().of((40, 2)), (1, 1));
        assert_eq!(Percent::new(20).unwrap().of((1280, 720)), (256, 144));
        assert_eq!(Percent::new(1000).unwrap().of((MAX_SIDE, 1)), (MAX_SIDE, 10));
    }

    #[test]
    fn percentages_are_read() {
        assert_eq!(("20".parse(), "150%".parse()), (Ok(Percent(20)), Ok(Percent(150))));
        for wrong in ["0", "1001", "-5", "half", ""] {
            assert_eq!(wrong.parse::<Percent>(), Err(InvalidPercent), "{wrong}");
        }
    }
}
