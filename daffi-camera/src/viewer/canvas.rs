//! The pixels of the window, as the window system wants them.

use crate::{Frame, PixelFormat};

/// What is in the window before the first frame: a grey that is neither a dead window's black nor part of a picture.
const WAITING: u32 = 0x0030_3030;

/// The pixels that were last converted. The memory is used again for each frame.
#[derive(Debug)]
pub(super) struct Canvas {
    size: (u32, u32),
    pixels: Vec<u32>,
}

impl Canvas {
    /// A neutral picture of that size, for a window that waits for frames.
    pub(super) fn waiting((width, height): (u32, u32)) -> Self {
        Self { size: (width, height), pixels: vec![WAITING; width as usize * height as usize] }
    }

    /// Paints a frame on it, which has been [decoded](super::is_decoded); of any other, the luma.
    pub(super) fn paint(&mut self, frame: &Frame) {
        self.size = frame.size();
        self.pixels.clear();
        let is_rgb = frame.format() == PixelFormat::Rgb8;
        for row in frame.rows() {
            if is_rgb {
                self.pixels.extend(row.as_chunks().0.iter().map(|&[red, green, blue]| pixel(red, green, blue)));
            } else {
                self.pixels.extend(row.iter().map(|&luma| pixel(luma, luma, luma)));
            }
        }
    }

    /// Width and height in pixels.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.size.0 as usize, self.size.1 as usize)
    }

    /// Row by row from the top, each as [`pixel`] has it.
    pub(super) fn pixels(&self) -> &[u32] {
        &self.pixels
    }
}

/// A zero byte, then red, green and blue.
const fn pixel(red: u8, green: u8, blue: u8) -> u32 {
    u32::from_be_bytes([0, red, green, blue])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_keep_their_places_and_padding_is_left_out() {
        let mut canvas = Canvas::waiting((4, 4));
        let padded = vec![1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12, 99];
        canvas.paint(&Frame::with_stride((2, 2), 7, PixelFormat::Rgb8, padded).unwrap());
        assert_eq!(canvas.size(), (2, 2));
        assert_eq!(canvas.pixels(), [0x01_02_03, 0x04_05_06, 0x07_08_09, 0x0a_0b_0c]);
    }

    #[test]
    fn grey_has_as_much_of_each_colour() {
        let mut canvas = Canvas::waiting((1, 1));
        canvas.paint(&Frame::new((3, 1), PixelFormat::Gray8, vec![0, 128, 255]).unwrap());
        assert_eq!((canvas.size(), canvas.pixels()), ((3, 1), &[0, 0x80_80_80, 0xff_ff_ff][..]));
    }
}
