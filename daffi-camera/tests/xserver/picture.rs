//! What was seen on the screen.

use std::{fmt, ops::Range};

use daffi_camera::{Frame, PixelFormat, pattern::Stamp};

/// Pixels of red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    pub(super) const fn new(width: usize, pixels: Vec<[u8; 3]>) -> Self {
        Self { width, pixels }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.pixels.len() / self.width)
    }

    /// All pixels, row by row.
    pub(crate) fn pixels(&self) -> &[[u8; 3]] {
        &self.pixels
    }

    /// The columns and rows that are not all black, from the first to the last one.
    pub(crate) fn inside_of_borders(&self) -> (Range<usize>, Range<usize>) {
        let lit = || self.pixels.iter().enumerate().filter(|(_, pixel)| **pixel != [0; 3]).map(|(index, _)| index);
        (span(lit().map(|index| index % self.width)), span(lit().map(|index| index / self.width)))
    }

    /// What the strip of the test pattern says; `None` if there is something else inside of the borders.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let (columns, rows) = self.inside_of_borders();
        let is_empty = columns.is_empty() || rows.is_empty();
        (!is_empty).then(|| Stamp::read(&self.cut((columns, rows)).frame()).ok()).flatten()
    }

    /// A part of it.
    pub(crate) fn cut(&self, (columns, rows): (Range<usize>, Range<usize>)) -> Self {
        let row = |y: usize| &self.pixels[y * self.width..][columns.clone()];
        Self { width: columns.len(), pixels: rows.flat_map(row).copied().collect() }
    }

    /// The same in half the size, if each of its pixels was shown as four.
    pub(crate) fn halved(&self) -> Self {
        let rows = self.pixels.chunks(self.width).step_by(2);
        Self { width: self.width.div_ceil(2), pixels: rows.flat_map(|row| row.iter().step_by(2)).copied().collect() }
    }

    /// The same as a frame, to be read and saved as frames are.
    pub(crate) fn frame(&self) -> Frame {
        let (width, height) = self.size();
        let side = |side| u32::try_from(side).expect("no screen is that large");
        let frame = Frame::new((side(width), side(height)), PixelFormat::Rgb8, self.pixels.as_flattened().to_vec());
        frame.expect("it has three bytes a pixel, and pixels")
    }
}

/// From the least to the greatest of them.
fn span(positions: impl Iterator<Item = usize> + Clone) -> Range<usize> {
    positions.clone().min().unwrap_or(0)..positions.max().map_or(0, |last| last + 1)
}

/// Without the pixels.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size();
        write!(f, "picture of {width}x{height}")
    }
}
