//! Length-prefixed MessagePack messages: control messages, stream headers and reports.
//!
//! Structs and enums are maps with named fields. A reader ignores fields that it does not know and fills in those that
//! are missing, so that both ends can grow without a new protocol version.

use serde::{Serialize, de::DeserializeOwned};

use super::{Malformed, limits, shape, varint};

/// Appends `message` with its length in front.
pub fn put<M: Serialize>(message: &M, out: &mut Vec<u8>) {
    let body = rmp_serde::to_vec_named(message).unwrap_or_else(|error| {
        // Messages are plain structs of numbers, strings and bytes: there is nothing in them that cannot be encoded.
        unreachable!("a wire message always encodes: {error}")
    });
    varint::put(body.len() as u64, out);
    out.extend_from_slice(&body);
}

/// Takes one message off the front of `input`; `None` if more bytes are needed, and then `input` is as it was.
///
/// # Errors
///
/// [`Malformed`] if the message is longer than [`limits::MAX_CONTROL`] or does not decode.
pub fn take<M: DeserializeOwned>(input: &mut &[u8]) -> Result<Option<M>, Malformed> {
    let mut rest = *input;
    let Some(length) = varint::take(&mut rest) else {
        return Ok(None);
    };
    if length > limits::MAX_CONTROL as u64 {
        return Err(Malformed("a message above the limit"));
    }
    let Some(body) = rest.get(..length as usize) else {
        return Ok(None);
    };
    shape::check(body)?;
    let message = rmp_serde::from_slice(body).map_err(|_| Malformed("a message that does not decode"))?;
    *input = &rest[length as usize..];
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Old {
        a: u32,
    }

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct New {
        a: u32,
        #[serde(default)]
        b: String,
    }

    #[test]
    fn fields_can_be_added_and_left_out() {
        let mut out = Vec::new();
        put(&New { a: 1, b: "x".into() }, &mut out);
        assert_eq!(take::<Old>(&mut out.as_slice()), Ok(Some(Old { a: 1 })));
        let mut out = Vec::new();
        put(&Old { a: 2 }, &mut out);
        assert_eq!(take::<New>(&mut out.as_slice()), Ok(Some(New { a: 2, b: String::new() })));
    }

    /// Found by fuzzing: a list that says that it is long, in a message whose kind is not known yet, took 1 MiB, and 1 MiB more for each
    /// list in it.
    #[test]
    fn what_says_that_it_is_long_is_refused_before_memory_is_taken() {
        for body in
            [&[0x81, 0xa1, b'x', 0xdd, 0x27, 0x10, 0xa5, 0x74][..], &[0xdd, 0xff, 0xff, 0xff, 0xff].repeat(1_000)]
        {
            let mut message = Vec::new();
            varint::put(body.len() as u64, &mut message);
            message.extend_from_slice(body);
            let taken = take::<crate::wire::control::ToController>(&mut message.as_slice());
            assert!(matches!(taken, Err(Malformed(why)) if why != "a message that does not decode"), "{taken:?}");
        }
    }

    #[test]
    fn a_cut_message_asks_for_more_and_a_huge_one_is_refused() {
        let mut out = Vec::new();
        put(&Old { a: 7 }, &mut out);
        for length in 0..out.len() {
            assert_eq!(take::<Old>(&mut &out[..length]), Ok(None));
        }
        let mut huge = Vec::new();
        varint::put(limits::MAX_CONTROL as u64 + 1, &mut huge);
        assert!(take::<Old>(&mut huge.as_slice()).is_err());
    }
}
