//! What the test pattern looks like: the strip above, SMPTE colour bars below, and a box that moves over them.

use super::strip::{MIN_SIZE, SHARE, Stamp};
use crate::{Frame, PixelFormat};

type Rgb = [u8; 3];

/// The seven bars at 75 %, and what stands below them: the same backwards, every other one black.
///
/// These and the last row are those of SMPTE EG 1-1990, in RGB with black at 0.
const BARS: [Rgb; 7] = [GREY, [191, 191, 0], CYAN, [0, 191, 0], MAGENTA, [191, 0, 0], BLUE];
const CASTELLATIONS: [Rgb; 7] = [BLUE, BLACK, MAGENTA, BLACK, CYAN, BLACK, GREY];
/// In-phase, white, quadrature and black, five quarters of a bar each; then three steps around black, a third each; then black.
const FOOT: [(u32, Rgb); 8] = [
    (15, [0, 33, 76]),
    (15, [255, 255, 255]),
    (15, [50, 0, 106]),
    (15, BLACK),
    (4, BLACK),
    (4, [9, 9, 9]),
    (4, [19, 19, 19]),
    (12, BLACK),
];
/// What the widths of the foot add up to: twelfths of a bar, seven bars.
const FOOT_WIDTH: u32 = 84;

const GREY: Rgb = [191, 191, 191];
const CYAN: Rgb = [0, 191, 191];
const MAGENTA: Rgb = [191, 0, 191];
const BLUE: Rgb = [0, 0, 191];
const BLACK: Rgb = [0, 0, 0];

/// The box crosses the picture in this many frames, and comes back in as many.
const CROSSING: u32 = 120;

/// Draws the pictures of one size.
///
/// A picture depends on nothing but its size and its [`Stamp`]: whoever reads the stamp can draw the same picture, and see whether
/// every pixel arrived.
#[derive(Debug, Clone)]
pub struct Picture {
    size: (u32, u32),
    /// All that does not change.
    background: Vec<u8>,
}

/// The picture would have no room for the strip, or be larger than any picture may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the test pattern takes {}x{} to {}x{} pixels, and {}x{} were asked for", MIN_SIZE.0, MIN_SIZE.1, MAX_PATTERN, MAX_PATTERN, .0.0, .0.1)]
pub struct InvalidSize(pub (u32, u32));

/// The longest side of a test pattern, in pixels; so large a picture has 200 MB.
const MAX_PATTERN: u32 = 8_192;

impl Picture {
    /// Pictures of that size.
    ///
    /// # Errors
    ///
    /// [`InvalidSize`].
    pub fn new((width, height): (u32, u32)) -> Result<Self, InvalidSize> {
        let fits = width >= MIN_SIZE.0 && height >= MIN_SIZE.1 && width.max(height) <= MAX_PATTERN;
        if !fits {
            return Err(InvalidSize((width, height)));
        }
        let mut background = vec![0; (3 * width * height) as usize];
        let row_bytes = 3 * width as usize;
        let equal = |colors: [Rgb; 7]| colors.map(|color| (1, color));
        let strip = height / SHARE;
        // Of what is below the strip, bars take two thirds, castellations a twelfth, and the foot the rest.
        let below = height - strip;
        let (castellations, foot) = (strip + below * 2 / 3, strip + below * 3 / 4);
        for (y, row) in background.chunks_exact_mut(row_bytes).enumerate() {
            match y as u32 {
                y if y < strip => {}
                y if y < castellations => fill(row, &equal(BARS), 7),
                y if y < foot => fill(row, &equal(CASTELLATIONS), 7),
                _ => fill(row, &FOOT, FOOT_WIDTH),
            }
        }
        Ok(Self { size: (width, height), background })
    }

    /// The picture with that stamp, as RGB.
    pub fn draw(&self, stamp: Stamp) -> Frame {
        let mut rgb = self.background.clone();
        stamp.draw(&mut rgb, self.size);
        self.draw_box(&mut rgb, stamp.frame);
        Frame::new(self.size, PixelFormat::Rgb8, rgb)
            .expect("the buffer was made for a picture of this size")
            .stamped(stamp.frame.into(), stamp.drawn_at)
    }

    /// A white box with a dark edge, a sixth of the height, in the middle of the bars.
    fn draw_box(&self, rgb: &mut [u8], frame: u32) {
        let (width, height) = self.size;
        let side = (height / 6).min(width / 2);
        let way = frame % (2 * CROSSING);
        let way = if way < CROSSING { way } else { 2 * CROSSING - way };
        let (left, top) = ((width - side) * way / CROSSING, height / SHARE + height / 6);
        let edge = side / 10;
        for y in 0..side {
            let row = 3 * ((top + y) * width + left) as usize;
            let row = &mut rgb[row..row + 3 * side as usize];
            let (dark, edge) = (y < edge || y >= side - edge, 3 * edge as usize);
            row.fill(16);
            if !dark {
                let end = row.len() - edge;
                row[edge..end].fill(255);
            }
        }
    }
}

/// Fills a row with colours as wide as their parts of the whole.
fn fill(row: &mut [u8], parts: &[(u32, Rgb)], whole: u32) {
    let width = (row.len() / 3) as u32;
    let mut from = 0;
    for (part, color) in parts {
        let (left, right) = (from * width / whole, (from + part) * width / whole);
        for pixel in row[3 * left as usize..3 * right as usize].chunks_exact_mut(3) {
            pixel.copy_from_slice(color);
        }
        from += part;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pixel(frame: &Frame, x: u32, y: u32) -> &[u8] {
        let place = (3 * (y * frame.size().0 + x)) as usize;
        &frame.data()[place..place + 3]
    }

    #[test]
    fn bars_castellations_and_foot_are_where_they_belong() {
        let frame = Picture::new((700, 400)).unwrap().draw(Stamp { frame: 0, drawn_at: Duration::ZERO });
        for bar in 0..7 {
            let x = 100 * bar + 50;
            assert_eq!(pixel(&frame, x, 290), BARS[bar as usize], "bar {bar}");
            assert_eq!(pixel(&frame, x, 312), CASTELLATIONS[bar as usize], "castellation {bar}");
        }
        assert_eq!(pixel(&frame, 60, 390), [0, 33, 76]);
        assert_eq!(pixel(&frame, 190, 390), [255, 255, 255]);
        assert_eq!(pixel(&frame, 699, 399), BLACK);
    }

    #[test]
    fn the_box_moves_and_stays_inside() {
        for size in [MIN_SIZE, (16 * 40, 360), (40, 8_000)] {
            let picture = Picture::new(size).unwrap();
            let mut last = None;
            for frame in [0, 1, 60, 119, 120, 121, 239, 240, u32::MAX] {
                let drawn = picture.draw(Stamp { frame, drawn_at: Duration::ZERO });
                let below = drawn.data().slice((3 * size.0 * (size.1 / SHARE)) as usize..);
                assert!(
                    size.0 < 100 || frame == 121 || Some(&below) != last.as_ref(),
                    "{size:?}: frame {frame} is like the one before"
                );
                last = Some(below);
            }
        }
    }

    #[test]
    fn the_same_stamp_draws_the_same_picture() {
        let picture = Picture::new((320, 180)).unwrap();
        let drawn = picture.draw(Stamp { frame: 9, drawn_at: Duration::from_micros(123_456_789) });
        let stamp = Stamp::read(&drawn).unwrap();
        assert_eq!(Picture::new(drawn.size()).unwrap().draw(stamp), drawn);
    }

    #[test]
    fn a_size_without_room_is_refused() {
        for size in [(31, 100), (100, 15), (8_193, 100), (0, 0)] {
            assert_eq!(Picture::new(size).err(), Some(InvalidSize(size)));
        }
    }
}
