//! Variable-length integers as QUIC has them (RFC 9000, section 16): the first two bits say how many bytes there are.
//!
//! The form allows an encoding that is longer than needed, which [`write_padded`] uses for a field whose value is only known
//! once the bytes behind it are written.

use super::Malformed;

/// The largest value that fits.
pub const MAX: u64 = (1 << 62) - 1;

/// How many bytes [`put`] writes for `value`.
pub const fn size(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// How many bytes an integer has that begins with this one.
pub const fn width(first: u8) -> usize {
    1 << (first >> 6)
}

/// Appends `value` in its shortest form. Values above [`MAX`] are clamped to it: no id or length of ours comes near.
pub fn put(value: u64, out: &mut Vec<u8>) {
    let value = value.min(MAX);
    match size(value) {
        1 => out.push(value as u8),
        2 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        4 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Writes `value` into all of `slot`, which is 4 or 8 bytes long.
///
/// # Panics
///
/// If the slot has another length, or the value does not fit it: the callers' limits are below 2^30.
pub fn write_padded(value: u64, slot: &mut [u8]) {
    match slot.len() {
        4 => {
            assert!(value < 1 << 30, "a four-byte integer holds less than 2^30");
            slot.copy_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes());
        }
        8 => {
            assert!(value <= MAX, "an eight-byte integer holds less than 2^62");
            slot.copy_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes());
        }
        _ => panic!("a padded integer has four or eight bytes"),
    }
}

/// Takes one integer off the front of `input`; `None` if more bytes are needed, and then `input` is as it was.
pub fn take(input: &mut &[u8]) -> Option<u64> {
    let first = *input.first()?;
    let length = width(first);
    let bytes = input.get(..length)?;
    let mut value = u64::from(first & 0x3f);
    for byte in &bytes[1..] {
        value = value << 8 | u64::from(*byte);
    }
    *input = &input[length..];
    Some(value)
}

/// Takes one integer that must be there.
///
/// # Errors
///
/// [`Malformed`] if the input ends within it.
pub fn expect(input: &mut &[u8]) -> Result<u64, Malformed> {
    take(input).ok_or(Malformed("cut off within an integer"))
}

/// Takes one integer that must be there and fit an id.
///
/// # Errors
///
/// [`Malformed`] if the input ends within it or the value is above `u32::MAX`.
pub fn expect_u32(input: &mut &[u8]) -> Result<u32, Malformed> {
    u32::try_from(expect(input)?).map_err(|_| Malformed("an id out of range"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(value in 0..=MAX, tail in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            put(value, &mut out);
            prop_assert_eq!(out.len(), size(value));
            out.extend_from_slice(&tail);
            let mut input = out.as_slice();
            prop_assert_eq!(take(&mut input), Some(value));
            prop_assert_eq!(input, tail.as_slice());
        }

        #[test]
        fn padded_forms_read_back(value in 0..1u64 << 30) {
            let mut four = [0; 4];
            write_padded(value, &mut four);
            prop_assert_eq!(take(&mut four.as_slice()), Some(value));
            let mut eight = [0; 8];
            write_padded(value, &mut eight);
            prop_assert_eq!(take(&mut eight.as_slice()), Some(value));
        }

        #[test]
        fn a_cut_integer_asks_for_more(value in 0x40..=MAX) {
            let mut out = Vec::new();
            put(value, &mut out);
            for length in 0..out.len() {
                let mut input = &out[..length];
                prop_assert_eq!(take(&mut input), None);
                prop_assert_eq!(input.len(), length);
            }
        }
    }
}
