//! JPEGs without Huffman tables.
//!
//! Many webcams leave them out of the frames of Motion JPEG, since they are always the usual ones (ITU-T T.81, K.3.3).

use std::borrow::Cow;

const START: u8 = 0xD8;
const HUFFMAN_TABLES: u8 = 0xC4;
const SCAN: u8 = 0xDA;

/// The segment APP0 of a JPEG in an AVI file, where tables may be left out. `zune-jpeg` fills in the usual ones if it is there, and
/// has no other way to be told to.
const AVI1: [u8; 9] = [0xFF, 0xE0, 0, 7, b'A', b'V', b'I', b'1', 0];

/// The JPEG, and if it has no Huffman tables, with what has `zune-jpeg` decode it by the usual ones.
pub(super) fn completed(jpeg: &[u8]) -> Cow<'_, [u8]> {
    match jpeg {
        [0xFF, START, segments @ ..] if lacks_tables(segments) => [&jpeg[..2], &AVI1, segments].concat().into(),
        _ => jpeg.into(),
    }
}

/// Whether there is no table before the first scan. What is damaged is left to the decoder to refuse.
fn lacks_tables(mut segments: &[u8]) -> bool {
    loop {
        let [0xFF, rest @ ..] = segments else { return false };
        segments = match rest {
            // Any number of 0xFF may stand before a marker.
            [0xFF, ..] => rest,
            [HUFFMAN_TABLES, ..] => return false,
            [SCAN, ..] => return true,
            [_, high, low, ..] => {
                // The length counts itself.
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest.get(1 + length..).unwrap_or_default()
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENSITY: &[u8] = &[0xFF, 0xE0, 0, 4, 1, 2];
    const TABLES: &[u8] = &[0xFF, HUFFMAN_TABLES, 0, 3, 9];
    const PICTURE: &[u8] = &[0xFF, SCAN, 0, 2, 3, 4, 5, 0xFF, 0xD9];

    fn jpeg(segments: &[&[u8]]) -> Vec<u8> {
        [&[0xFF, START], segments.concat().as_slice()].concat()
    }

    #[test]
    fn only_what_lacks_tables_is_changed() {
        for segments in [&[DENSITY, PICTURE][..], &[&[0xFF; 3], DENSITY, &[0xFF], PICTURE], &[PICTURE]] {
            let jpeg = jpeg(segments);
            assert_eq!(completed(&jpeg), [&jpeg[..2], &AVI1, &jpeg[2..]].concat(), "{jpeg:?}");
        }
        for segments in [&[DENSITY, TABLES, PICTURE][..], &[TABLES, PICTURE], &[DENSITY, &[0xFF], TABLES, PICTURE]] {
            assert!(matches!(completed(&jpeg(segments)), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn what_is_damaged_stays_as_it_is() {
        let whole = jpeg(&[DENSITY, PICTURE]);
        let scan = whole.windows(2).position(|pair| pair == [0xFF, SCAN]).unwrap();
        for length in 0..scan + 2 {
            assert!(matches!(completed(&whole[..length]), Cow::Borrowed(_)), "cut at {length}");
        }
        // A segment without a length goes nowhere, and one that is too long leads out of the bytes.
        for wrong in [&[0xFF, 0xE0, 0, 0][..], &[0xFF, 0xE0, 0xFF, 0xFF], &[0x12]] {
            let jpeg = jpeg(&[wrong, PICTURE]);
            assert!(matches!(completed(&jpeg), Cow::Borrowed(_)));
        }
    }
}
