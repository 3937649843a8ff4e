//! What the code that `#[callback]` and `#[fetcher]` emit is made of. Not for people: the facade exports it as
//! `daffi::__private`, and it changes without notice.

use std::pin::Pin;

pub use bytes::Bytes as Payload;
pub use inventory;
use serde::{Deserialize, Serialize, de::DeserializeOwned, ser::SerializeTuple};
pub use serde_bytes::{ByteBuf, Bytes as BytesRef};

pub use super::{
    call::{background, broadcast, call, one_way},
    callback::{Callback, CallbackOptions, Definition, Handler, Signature, State},
    client::{Target, aim},
    context::{IsContext, context},
    contract::{Returns, ReturnsStream, Stub},
    period::period,
    stream::{Feed, Items, OnSlow, incoming, incoming_bytes, results, results_call, stream},
};
pub use crate::wire::{failure::Failure, offer::Kind};
use crate::{
    node::error::CallError,
    wire::{item_stream::result, limits::MAX_PAYLOAD},
};

/// What a callback's handler returns.
pub type Outcome = Result<Reply, Failure>;

/// A future that a handler returns.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// The encoded result of a callback that ran.
#[derive(Debug)]
pub enum Reply {
    /// Its value.
    Value(Payload),
    /// Its own error.
    Error(Payload),
    /// A stream of results, which has yet to begin.
    Results(Feed),
}

/// Encoded arguments, or why they could not be encoded.
#[derive(Debug, Clone)]
pub struct EncodedArgs(pub(crate) Result<Payload, EncodeError>);

/// Something could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(pub(crate) String);

/// Something could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(pub(crate) String);

/// What can be sent to another node.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another node",
    label = "needs `serde::Serialize`",
    note = "add `#[derive(serde::Serialize)]` to the type"
)]
pub trait Encode: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Encode for T {}

/// What can be received from another node.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be received from another node",
    label = "needs `serde::Deserialize`, and to own its data",
    note = "add `#[derive(serde::Deserialize)]` to the type"
)]
pub trait Decode: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Decode for T {}

/// The arguments of a callback without parameters: an empty list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoArgs {}

impl Serialize for NoArgs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_tuple(0)?.end()
    }
}

impl<'de> Deserialize<'de> for NoArgs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[(); 0]>::deserialize(deserializer).map(|_| Self {})
    }
}

/// Decodes a callback's arguments.
pub fn decode_args<'de, A: Deserialize<'de>>(args: &'de [u8], parameters: u32) -> Result<A, Failure> {
    // A list of up to 15 has its length in the first byte, a longer one in the two after it.
    let given = match args {
        [first @ 0x90..=0x9f, ..] => u32::from(first & 0x0f),
        [0xdc, high, low, ..] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => return Err(Failure::BadArguments { message: "the arguments are not a list".into() }),
    };
    if given != parameters {
        let plural = if parameters == 1 { "" } else { "s" };
        let message = format!("the callback takes {parameters} argument{plural}, {given} given");
        return Err(Failure::BadArguments { message });
    }
    rmp_serde::from_slice(args).map_err(|error| Failure::BadArguments { message: explain(&error) })
}

/// Encodes a call's arguments.
pub fn encode_args<A: Serialize>(args: &A) -> EncodedArgs {
    let mut out = Vec::new();
    EncodedArgs(encode_into(args, &mut out).map(|()| out.into()))
}

/// Encodes the value that a callback returned.
pub fn reply<T: Encode + ?Sized>(value: &T) -> Outcome {
    encode_reply(value).map(Reply::Value)
}

/// Encodes the error that a callback returned.
pub fn reply_error<E: Encode>(error: &E) -> Outcome {
    encode_reply(error).map(Reply::Error)
}

fn encode_reply<T: Serialize + ?Sized>(value: &T) -> Result<Payload, Failure> {
    // Nothing, the most frequent result, needs no memory.
    const NIL: &[u8] = &[0xc0];
    if size_of_val(value) == 0 {
        let mut small = [0; 8];
        let mut rest = &mut small[..];
        if rmp_serde::encode::write_named(&mut rest, value).is_ok() && rest.len() == 7 && small[0] == NIL[0] {
            return Ok(Payload::from_static(NIL));
        }
    }
    let mut out = Vec::new();
    encode_into(value, &mut out).map_err(|EncodeError(message)| Failure::BadResult { message })?;
    if out.len() > MAX_PAYLOAD {
        return Err(Failure::TooLarge { size: out.len() as u64, limit: MAX_PAYLOAD as u64 });
    }
    Ok(out.into())
}

/// Decodes a value or an error that a callback returned.
pub fn decode<T: Decode>(payload: &[u8]) -> Result<T, DecodeError> {
    rmp_serde::from_slice(payload).map_err(|error| DecodeError(explain(&error)))
}

/// What does not fit, for people who need not know MessagePack.
fn explain(error: &rmp_serde::decode::Error) -> String {
    use rmp::Marker;
    use rmp_serde::decode::Error;
    let marker = match error {
        Error::TypeMismatch(marker) => marker,
        Error::OutOfRange => return "there is a number that the type has no room for".into(),
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => return "there is less than the type wants".into(),
        other => return other.to_string(),
    };
    let found = match marker {
        Marker::Null => "nothing",
        Marker::True | Marker::False => "a bool",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a string",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "bytes",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "a list",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map or struct",
        Marker::F32 | Marker::F64 => "a number with a fraction",
        _ => "a number",
    };
    format!("there is {found} where the type has something else")
}

/// Decodes bytes that a callback returned.
pub fn decode_bytes(payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode::<ByteBuf>(payload).map(ByteBuf::into_vec)
}

/// Encodes a stream's item as the one argument of its callback.
pub fn encode_item<T: Encode>(item: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_item(item, out)
}

/// Encodes a stream's item of bytes.
#[expect(clippy::ptr_arg, reason = "it stands in for `encode_item::<Vec<u8>>`")]
pub fn encode_bytes_item(item: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // Room for the item at once instead of by doubling.
    out.reserve(item.len() + 8);
    put_item(BytesRef::new(item), out)
}

/// Encodes an item of a stream of results.
pub fn encode_result<T: Encode + ?Sized>(item: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(result::VALUE);
    encode_into(item, out)
}

/// Encodes an item of bytes.
#[expect(clippy::ptr_arg, reason = "it stands in for `encode_result::<Vec<u8>>`")]
pub fn encode_bytes_result(item: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.reserve(item.len() + 8);
    encode_result(BytesRef::new(item), out)
}

/// Encodes an item that may be an error.
pub fn encode_fallible_result<T: Encode, E: Encode>(item: &Result<T, E>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match item {
        Ok(item) => encode_result(item, out),
        Err(error) => encode_error_item(error, out),
    }
}

/// Encodes an item that is bytes or an error.
pub fn encode_fallible_bytes_result<E: Encode>(
    item: &Result<Vec<u8>, E>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match item {
        Ok(item) => encode_bytes_result(item, out),
        Err(error) => encode_error_item(error, out),
    }
}

fn encode_error_item<E: Encode>(error: &E, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(result::ERROR);
    encode_into(error, out)
}

fn put_item<T: Serialize + ?Sized>(item: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // A list of one.
    out.push(0x91);
    encode_into(item, out)
}

fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // Structs are maps with names: two programs that were built at different times still understand each other.
    rmp_serde::encode::write_named(out, value).map_err(|error| EncodeError(error.to_string()))
}

impl EncodedArgs {
    /// Those of a stream, whose items are encoded one by one.
    pub(crate) const fn none() -> Self {
        Self(Ok(Payload::new()))
    }

    /// Those that were encoded already, as a list.
    pub(crate) fn of(list: Vec<u8>) -> Self {
        Self(Ok(list.into()))
    }

    /// Those that could not be encoded.
    pub(crate) const fn failed(message: String) -> Self {
        Self(Err(EncodeError(message)))
    }

    /// The payload, if there is one that can be sent.
    pub(crate) fn into_payload(self) -> Result<Payload, CallError> {
        let payload = self.0.map_err(|EncodeError(message)| CallError::Encode { message })?;
        if payload.len() > MAX_PAYLOAD {
            let (size, limit) = (payload.len() as u64, MAX_PAYLOAD as u64);
            return Err(CallError::TooLarge { what: "the arguments", size, limit });
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_round_trip_and_their_number_is_checked() {
        let EncodedArgs(Ok(payload)) = encode_args(&(1i64, "two")) else { panic!("encodes") };
        assert_eq!(decode_args::<(i64, &str)>(&payload, 2), Ok((1, "two")));
        let wrong = decode_args::<(i64,)>(&payload, 1);
        let message = "the callback takes 1 argument, 2 given".into();
        assert_eq!(wrong, Err(Failure::BadArguments { message }));
        let EncodedArgs(Ok(payload)) = encode_args(&NoArgs {}) else { panic!("encodes") };
        assert_eq!(decode_args::<NoArgs>(&payload, 0), Ok(NoArgs {}));
        assert!(decode_args::<NoArgs>(&[], 0).is_err());
    }

    #[test]
    fn what_does_not_fit_is_told_without_message_pack() {
        let payload = |value: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            value(&mut out);
            out
        };
        let two = payload(&|out| encode_into("two", out).unwrap());
        let found = |found: &str| DecodeError(format!("there is {found} where the type has something else"));
        assert_eq!(decode::<u32>(&two), Err(found("a string")));
        // Of this serde says more.
        let number = decode::<String>(&payload(&|out| encode_into(&2, out).unwrap()));
        assert_eq!(number, Err(DecodeError("invalid type: integer `2`, expected a string".into())));
        let cut = DecodeError("there is less than the type wants".into());
        assert_eq!(decode::<String>(&two[..2]), Err(cut));
        let wide = payload(&|out| encode_into(&300, out).unwrap());
        assert!(decode::<u8>(&wide).is_err());
    }

    #[test]
    fn nothing_and_bytes_are_small() {
        assert!(matches!(reply(&()), Ok(Reply::Value(payload)) if *payload == [0xc0]));
        let Ok(Reply::Value(payload)) = reply(BytesRef::new(&[200; 100])) else { panic!("encodes") };
        assert_eq!(payload.len(), 102);
        assert_eq!(decode_bytes(&payload), Ok(vec![200; 100]));
    }

    #[test]
    fn an_item_is_the_list_of_one_argument() {
        let (mut item, mut bytes) = (Vec::new(), Vec::new());
        encode_item(&7i64, &mut item).unwrap();
        assert_eq!(decode_args::<(i64,)>(&item, 1), Ok((7,)));
        encode_bytes_item(&vec![1, 2], &mut bytes).unwrap();
        assert_eq!(decode_args::<(&BytesRef,)>(&bytes, 1), Ok((BytesRef::new(&[1, 2]),)));
    }
}
