//! What holds for every length-prefixed MessagePack message.

use std::fmt::Debug;

use daffi_core::wire::{message, varint};
use serde::{Serialize, de::DeserializeOwned};

use crate::within;

/// A list of one-byte values takes so many times the memory of its bytes while a tagged enum is decoded: serde keeps what it has yet
/// to find the tag of as values of 32 bytes, in vectors that double.
const TIMES: usize = 160;

/// Decodes the bytes as they are, and as the body of a message.
///
/// # Panics
///
/// If what was decoded does not round trip, if a message that is cut off is taken for one, or if it takes too much memory.
pub fn check_message<M: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    check::<M>(data);
    let mut message = Vec::with_capacity(data.len() + 8);
    varint::put(data.len() as u64, &mut message);
    message.extend_from_slice(data);
    check::<M>(&message);
}

fn check<M: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    let mut rest = data;
    match within(data.len(), TIMES, || message::take::<M>(&mut rest)) {
        Ok(None) => assert_eq!(rest.len(), data.len(), "what waits for more takes nothing"),
        Err(_) => {}
        Ok(Some(said)) => {
            let used = data.len() - rest.len();
            let cut = message::take::<M>(&mut &data[..used - 1]);
            assert_eq!(cut, Ok(None), "a byte is missing");
            let mut again = Vec::new();
            message::put(&said, &mut again);
            let mut input = again.as_slice();
            assert_eq!(message::take::<M>(&mut input), Ok(Some(said)), "what was written reads otherwise");
            assert!(input.is_empty());
        }
    }
}
