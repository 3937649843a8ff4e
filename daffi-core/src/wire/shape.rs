//! Whether bytes hold what their MessagePack says, before they are decoded.
//!
//! What has yet to find its tag serde keeps as values, and takes memory for as many as a list says it has, up to 1 MiB for each list that
//! stands in another: a few kilobytes could ask for a gigabyte. So a message is walked once, without memory.

use rmp::Marker;

use super::Malformed;

/// How deep lists and maps may stand in each other. Those of the protocol are nine deep.
const MAX_DEPTH: usize = 16;

/// Checks that there is one whole value, whatever stands behind it.
///
/// # Errors
///
/// [`Malformed`] if the bytes end within it, or if it is too deep.
pub(super) fn check(mut input: &[u8]) -> Result<(), Malformed> {
    // How many values are to come, at each depth.
    let (mut open, mut depth) = ([0; MAX_DEPTH], 0);
    open[0] = 1;
    loop {
        while open[depth] == 0 {
            let Some(outer) = depth.checked_sub(1) else { return Ok(()) };
            depth = outer;
        }
        open[depth] -= 1;
        let within = take_head(&mut input)?;
        if within > 0 {
            depth += 1;
            *open.get_mut(depth).ok_or(Malformed("a message that is nested too deeply"))? = within;
        }
    }
}

/// Goes past a value, or past the head of a list or map: how many values that has.
fn take_head(input: &mut &[u8]) -> Result<u64, Malformed> {
    let marker = Marker::from_u8(take::<1>(input)?[0]);
    let length = match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => 0,
        Marker::U8 | Marker::I8 => 1,
        Marker::U16 | Marker::I16 => 2,
        Marker::U32 | Marker::I32 | Marker::F32 => 4,
        Marker::U64 | Marker::I64 | Marker::F64 => 8,
        Marker::FixStr(length) => u64::from(length),
        Marker::Str8 | Marker::Bin8 => take_u8(input)?,
        Marker::Str16 | Marker::Bin16 => take_u16(input)?,
        Marker::Str32 | Marker::Bin32 => take_u32(input)?,
        // The type of an extension is a byte more.
        Marker::FixExt1 => 2,
        Marker::FixExt2 => 3,
        Marker::FixExt4 => 5,
        Marker::FixExt8 => 9,
        Marker::FixExt16 => 17,
        Marker::Ext8 => take_u8(input)? + 1,
        Marker::Ext16 => take_u16(input)? + 1,
        Marker::Ext32 => take_u32(input)? + 1,
        Marker::FixArray(count) => return Ok(u64::from(count)),
        Marker::Array16 => return take_u16(input),
        Marker::Array32 => return take_u32(input),
        Marker::FixMap(count) => return Ok(2 * u64::from(count)),
        Marker::Map16 => return Ok(2 * take_u16(input)?),
        Marker::Map32 => return Ok(2 * take_u32(input)?),
        Marker::Reserved => return Err(Malformed("a message with a byte that is no MessagePack")),
    };
    *input = usize::try_from(length).ok().and_then(|length| input.get(length..)).ok_or(CUT_OFF)?;
    Ok(0)
}

const CUT_OFF: Malformed = Malformed("a message with less in it than it says");

fn take_u8(input: &mut &[u8]) -> Result<u64, Malformed> {
    take(input).map(|bytes| u64::from(u8::from_be_bytes(bytes)))
}

fn take_u16(input: &mut &[u8]) -> Result<u64, Malformed> {
    take(input).map(|bytes| u64::from(u16::from_be_bytes(bytes)))
}

fn take_u32(input: &mut &[u8]) -> Result<u64, Malformed> {
    take(input).map(|bytes| u64::from(u32::from_be_bytes(bytes)))
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, rest) = input.split_first_chunk().ok_or(CUT_OFF)?;
    *input = rest;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z]{0,300}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
            (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Value::Ext(kind, data)),
        ];
        leaf.prop_recursive(6, 200, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
                prop::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_whole_passes_and_what_is_cut_off_does_not(value in values(), cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            rmpv::encode::write_value(&mut bytes, &value).unwrap();
            prop_assert_eq!(check(&bytes), Ok(()));
            prop_assert!(check(&bytes[..cut.index(bytes.len())]).is_err());
            bytes.push(0xc1);
            prop_assert_eq!(check(&bytes), Ok(()), "what follows is for others");
        }

        #[test]
        fn any_bytes_pass_or_fail(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }
    }

    #[test]
    fn a_length_is_no_reason_to_believe_it() {
        check(&[0xdd, 0x27, 0x10, 0xa5, 0x74, 0, 0]).unwrap_err();
        check(&[0xdf, 0xff, 0xff, 0xff, 0xff]).unwrap_err();
        check(&[0xdb, 0xff, 0xff, 0xff, 0xff, 1]).unwrap_err();
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        check(&nested(MAX_DEPTH - 1)).unwrap();
        check(&nested(MAX_DEPTH)).unwrap_err();
        check(&nested(1 << 20)).unwrap_err();
    }
}
