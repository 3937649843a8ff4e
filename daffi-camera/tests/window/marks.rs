//! Pictures that say when they were made, and stay readable at any size on a screen.

use std::time::Duration;

use daffi_camera::{Frame, PixelFormat};

use crate::xserver::Picture;

/// What is written into a frame's pixels: eight bands side by side, and below them white.
///
/// The first band is red and the last one blue, so that a picture that is mirrored, cut or of wrong colours is not read. The six
/// between have three bytes each: number and time of capture in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) sequence: u64,
    pub(crate) captured_at: Duration,
}

const BANDS: usize = 8;
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255; 3];

impl Marks {
    /// A frame with them, of at least eight by four pixels.
    pub(crate) fn frame(self, (width, height): (u32, u32)) -> Frame {
        let bands = self.bands();
        let row: Vec<_> = (0..width as usize).flat_map(|x| bands[x * BANDS / width as usize]).collect();
        let marked = height * 3 / 4;
        let mut pixels = row.repeat(marked as usize);
        pixels.resize(3 * width as usize * height as usize, WHITE[0]);
        let frame = Frame::new((width, height), PixelFormat::Rgb8, pixels).expect("three bytes a pixel");
        frame.stamped(self.sequence, self.captured_at)
    }

    /// Reads them from a screenshot of a window; `None` if there is something else in it.
    pub(crate) fn read(window: &Picture) -> Option<Self> {
        let (columns, rows) = window.inside_of_borders();
        if columns.len() < BANDS || rows.len() < 4 {
            return None;
        }
        let picture = window.cut((columns, rows));
        let (width, height) = picture.size();
        let middle = |band: usize| picture.at((2 * band + 1) * width / (2 * BANDS), height / 3);
        let white = (0..width).all(|x| picture.at(x, height - 1) == WHITE);
        if !white || middle(0) != RED || middle(BANDS - 1) != BLUE {
            return None;
        }
        let number = |bands: [[u8; 3]; 3]| {
            let [_, number @ ..] = bands.as_flattened() else { return 0 };
            number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let sequence = number([middle(1), middle(2), middle(3)]);
        let captured_at = Duration::from_micros(number([middle(4), middle(5), middle(6)]));
        Some(Self { sequence, captured_at })
    }

    fn bands(self) -> [[u8; 3]; BANDS] {
        let micros = u64::try_from(self.captured_at.as_micros()).expect("the clock is not that far");
        let three = |number: u64| {
            let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
            [[0, a, b], [c, d, e], [f, g, h]]
        };
        let ([a, b, c], [d, e, f]) = (three(self.sequence), three(micros));
        [RED, a, b, c, d, e, f, BLUE]
    }
}
