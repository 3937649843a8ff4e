//! Which of a camera's offers is taken.

use super::{Code, Offer, Options, SizeRange};
use crate::{PixelFormat, Rate};

/// What the driver is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) code: Code,
    /// The present one if there is none.
    pub(super) size: Option<(u32, u32)>,
}

/// The formats that are taken if nothing else was asked for. What is least work to show comes first, and grey is for cameras
/// that know no colours.
const ORDER: [PixelFormat; 5] =
    [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb8, PixelFormat::Jpeg, PixelFormat::Gray8];

/// The offer that comes nearest to what is wanted: its size first, then its rate, then its format.
pub(super) fn choose(offers: &[Offer], wanted: &Options, present: (u32, u32)) -> Option<Choice> {
    let order = if wanted.formats.is_empty() { &ORDER[..] } else { &wanted.formats };
    let candidates = offers.iter().flat_map(|offer| {
        let place = order.iter().position(|format| Some(*format) == offer.format);
        place.into_iter().flat_map(move |place| fits(offer, wanted, present).map(move |fit| (fit, place, offer.code)))
    });
    let lost_colours = |place: usize| wanted.formats.is_empty() && order[place] == PixelFormat::Gray8;
    let (fit, _, code) = candidates.min_by_key(|(fit, place, _)| (lost_colours(*place), fit.off, fit.slow, *place))?;
    Some(Choice { code, size: wanted.size.map(|_| fit.size) })
}

/// How far something is from what is wanted.
#[derive(Debug, Clone, Copy)]
struct Fit {
    size: (u32, u32),
    /// How many pixels width and height are off, together.
    off: u32,
    /// How many millionths the rate falls short.
    slow: u32,
}

/// Every size of an offer. Where the driver does not tell its sizes or rates, it is taken to have what is wanted.
fn fits(offer: &Offer, wanted: &Options, present: (u32, u32)) -> impl Iterator<Item = Fit> {
    let size = wanted.size.unwrap_or(present);
    let untold = offer.sizes.is_empty().then_some(Fit { size, off: 0, slow: 0 });
    let told = offer.sizes.iter().map(move |range| {
        let nearest = nearest(range, size);
        let off = nearest.0.abs_diff(size.0).saturating_add(nearest.1.abs_diff(size.1));
        Fit { size: nearest, off, slow: wanted.rate.map_or(0, |rate| shortfall(&range.rates, rate)) }
    });
    untold.into_iter().chain(told)
}

fn nearest(range: &SizeRange, size: (u32, u32)) -> (u32, u32) {
    let side = |side: u32, smallest: u32, largest: u32| side.min(largest).max(smallest);
    (side(size.0, range.smallest.0, range.largest.0), side(size.1, range.smallest.1, range.largest.1))
}

fn shortfall(rates: &[Rate], wanted: Rate) -> u32 {
    let Some(fastest) = rates.iter().map(|rate| rate.fps()).reduce(f64::max) else { return 0 };
    // Drivers round their intervals: what is off by less than a hundredth is not slow. The cast saturates.
    let short = 1.0 - fastest / wanted.fps();
    if short < 0.01 { 0 } else { (short * 1e6) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(fps: u32) -> Rate {
        Rate::new(fps, 1).unwrap()
    }

    fn offer(code: &[u8; 4], sizes: &[((u32, u32), u32)]) -> Offer {
        let code = Code(*code);
        let sizes = sizes.iter().map(|(size, fps)| SizeRange {
            smallest: *size,
            largest: *size,
            rates: vec![rate(1), rate(*fps)],
        });
        Offer { code, format: code.format(), sizes: sizes.collect() }
    }

    /// What webcams are like: raw pictures need too much of the bus to be large and fast.
    fn webcam() -> [Offer; 3] {
        [
            offer(b"H264", &[((1920, 1080), 60)]),
            offer(b"MJPG", &[((640, 480), 30), ((1280, 720), 30)]),
            offer(b"YUYV", &[((640, 480), 30), ((1280, 720), 10)]),
        ]
    }

    fn chosen(offers: &[Offer], wanted: &Options) -> Option<(String, Option<(u32, u32)>)> {
        choose(offers, wanted, (640, 480)).map(|choice| (choice.code.to_string(), choice.size))
    }

    #[test]
    fn a_raw_format_is_taken_unless_it_is_too_slow() {
        let taken = |width, height, fps: Option<u32>| {
            let wanted = Options { size: Some((width, height)), rate: fps.map(rate), ..Options::default() };
            chosen(&webcam(), &wanted).unwrap().0
        };
        assert_eq!(taken(640, 480, Some(30)), "YUYV");
        assert_eq!(taken(1280, 720, Some(30)), "MJPG");
        assert_eq!(taken(1280, 720, Some(10)), "YUYV");
        assert_eq!(taken(1280, 720, None), "YUYV");
    }

    #[test]
    fn the_nearest_size_comes_before_the_format() {
        let wanted = Options { size: Some((1300, 700)), ..Options::default() };
        assert_eq!(chosen(&webcam(), &wanted), Some(("YUYV".to_owned(), Some((1280, 720)))));
        let offers = [offer(b"YUYV", &[((320, 180), 30)]), offer(b"MJPG", &[((1280, 720), 30)])];
        assert_eq!(chosen(&offers, &wanted), Some(("MJPG".to_owned(), Some((1280, 720)))));
    }

    #[test]
    fn nothing_wanted_leaves_the_size_as_it_is() {
        assert_eq!(chosen(&webcam(), &Options::default()), Some(("YUYV".to_owned(), None)));
    }

    #[test]
    fn only_what_is_allowed_is_taken() {
        let only = |format| Options { formats: vec![format], ..Options::default() };
        assert_eq!(chosen(&webcam(), &only(PixelFormat::Jpeg)).unwrap().0, "MJPG");
        assert_eq!(chosen(&webcam(), &only(PixelFormat::Nv12)), None);
        assert_eq!(chosen(&webcam()[..1], &Options::default()), None);
        let both = Options {
            formats: vec![PixelFormat::Jpeg, PixelFormat::Yuyv],
            size: Some((640, 480)),
            ..Options::default()
        };
        assert_eq!(chosen(&webcam(), &both).unwrap().0, "MJPG");
    }

    #[test]
    fn colours_are_not_given_up_for_speed() {
        let offers = [offer(b"GREY", &[((640, 480), 90)]), offer(b"YUYV", &[((640, 480), 30)])];
        let wanted = Options { rate: Some(rate(90)), ..Options::default() };
        assert_eq!(chosen(&offers, &wanted).unwrap().0, "YUYV");
        assert_eq!(chosen(&offers[..1], &wanted).unwrap().0, "GREY");
    }

    #[test]
    fn a_range_has_every_size_in_it_and_an_untold_one_any() {
        let mut offers = [offer(b"NV12", &[((2, 2), 60)])];
        offers[0].sizes[0].largest = (800, 600);
        let wanted = Options { size: Some((1000, 300)), ..Options::default() };
        assert_eq!(chosen(&offers, &wanted), Some(("NV12".to_owned(), Some((800, 300)))));
        offers[0].sizes.clear();
        assert_eq!(chosen(&offers, &wanted), Some(("NV12".to_owned(), Some((1000, 300)))));
    }
}
