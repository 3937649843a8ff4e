//! Calls without a stub: by name, with whatever arguments.

use std::{fmt, future::IntoFuture, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    call::{BackgroundCall, BroadcastCall, Call, options},
    error::CallError,
    outgoing::{Codec, Request},
    runtime::Op,
    stub::{DecodeError, EncodedArgs, decode},
};

/// A call by name, made by [`Node::call`](super::Node::call). For tools, which learn of a callback only when they run; what is known
/// when a program is written is better declared by a `#[fetcher]`, which is compared with the callback.
///
/// ```no_run
/// # async fn example(node: daffi_core::node::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let sum: i64 = node.call("add").arg(1).arg(2).await?.decode()?;
/// # Ok(()) }
/// ```
///
/// Awaiting it waits for the result of one node (FG); [`background`](Self::background) and [`broadcast`](Self::broadcast) make
/// the other kinds of calls of it. Whether the arguments fit, the callback's node finds out: [`CallError::BadArguments`]. A callback
/// that takes or returns a stream cannot be called like this, and is not: [`CallError::Mismatch`].
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct DynamicCall {
    request: Request,
    args: Arguments,
}

impl DynamicCall {
    pub(super) fn new(callback: String) -> Self {
        Self { request: Request::named(callback, EncodedArgs::none()), args: Arguments::default() }
    }

    options!(common);
    options!(timeout);
    options!(one);
    options!(retry);

    /// The next argument, of any type with serde's `Serialize`. Bytes go as bytes if they are wrapped in `serde_bytes::Bytes`. One
    /// that cannot be encoded is an error of the call.
    pub fn arg(mut self, value: impl Serialize) -> Self {
        self.args.push(&value);
        self
    }

    /// Further arguments, all of one type: what a command line or a JSON list gives.
    pub fn args(mut self, values: impl IntoIterator<Item: Serialize>) -> Self {
        values.into_iter().for_each(|value| self.args.push(&value));
        self
    }

    /// A call that hands back a handle (BG).
    pub fn background(self) -> BackgroundCall<Dynamic, Dynamic> {
        BackgroundCall::new(self.into_request(), CODEC)
    }

    /// A call to every other node that offers the callback (BROADCAST). Which node it was to go to no longer counts.
    pub fn broadcast(self) -> BroadcastCall<Dynamic, Dynamic> {
        BroadcastCall::new(self.into_request(), CODEC)
    }

    /// Makes the call and blocks the thread until it has ended.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the callback's own error is a [`Dynamic`] too.
    pub fn wait(self) -> Result<Dynamic, CallError<Dynamic>> {
        self.into_future().wait()
    }

    fn into_request(self) -> Request {
        Request { args: self.args.encoded(), ..self.request }
    }
}

impl IntoFuture for DynamicCall {
    type Output = Result<Dynamic, CallError<Dynamic>>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Call::new(self.into_request(), CODEC).into_future()
    }
}

const CODEC: Codec<Dynamic, Dynamic> = Codec::new(Dynamic::take, Dynamic::take);

/// A result, or a callback's own error, whose type the caller has yet to name. Printing it shows the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Dynamic(Bytes);

/// A value is of another type than it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not of the type that was asked for: {message}")]
#[non_exhaustive]
pub struct WrongType {
    /// The value, as it prints.
    pub value: String,
    /// What does not fit.
    pub message: String,
}

impl Dynamic {
    #[expect(clippy::unnecessary_wraps, reason = "it stands in for a decoder that may fail")]
    fn take(payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(Bytes::copy_from_slice(payload)))
    }

    /// The value as a `T`. Every type works that a stub could name, and those that take any value, like `serde_json::Value`.
    ///
    /// # Errors
    ///
    /// [`WrongType`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, WrongType> {
        decode(&self.0).map_err(|DecodeError(message)| WrongType { value: self.to_string(), message })
    }

    /// The value as it came: MessagePack.
    pub const fn as_message_pack(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Display for Dynamic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match rmpv::decode::read_value(&mut &*self.0) {
            Ok(value) => value.fmt(f),
            Err(_) => write!(f, "{} bytes that are no MessagePack", self.0.len()),
        }
    }
}

impl fmt::Debug for Dynamic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Arguments that are encoded one by one.
#[derive(Debug, Default)]
struct Arguments {
    count: u32,
    encoded: Vec<u8>,
    failed: Option<DynamicArgument>,
}

/// An argument that cannot be encoded.
#[derive(Debug)]
struct DynamicArgument {
    position: u32,
    message: String,
}

impl Arguments {
    fn push(&mut self, value: &impl Serialize) {
        self.count += 1;
        if let Err(error) = rmp_serde::encode::write_named(&mut self.encoded, value) {
            let (position, message) = (self.count, error.to_string());
            self.failed.get_or_insert(DynamicArgument { position, message });
        }
    }

    fn encoded(self) -> EncodedArgs {
        if let Some(DynamicArgument { position, message }) = self.failed {
            return EncodedArgs::failed(format!("argument {position}: {message}"));
        }
        let mut list = Vec::with_capacity(self.encoded.len() + 5);
        // A vector takes all that is written to it.
        let _ = rmp::encode::write_array_len(&mut list, self.count);
        list.extend_from_slice(&self.encoded);
        EncodedArgs::of(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::stub::decode_args;

    #[test]
    fn arguments_of_several_types_are_one_list() {
        let call = DynamicCall::new("f".into()).arg(1).arg("two").args([3.0, 4.0]);
        let payload = call.into_request().args.into_payload().unwrap();
        assert_eq!(decode_args(&payload, 4), Ok((1, "two", 3.0, 4.0)));
    }

    #[test]
    fn an_argument_that_cannot_be_encoded_is_named() {
        struct Unsayable;
        impl Serialize for Unsayable {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no words"))
            }
        }
        let call = DynamicCall::new("f".into()).arg(1).arg(Unsayable);
        let message = "argument 2: no words".into();
        assert_eq!(call.into_request().args.into_payload(), Err(CallError::Encode { message }));
    }

    #[test]
    fn a_value_prints_and_tells_when_it_is_something_else() {
        let payload = rmp_serde::to_vec_named(&("two", [1, 2])).unwrap();
        let value = Dynamic::take(&payload).unwrap();
        assert_eq!(value.to_string(), r#"["two", [1, 2]]"#);
        assert_eq!(value.decode::<(String, [u8; 2])>(), Ok(("two".into(), [1, 2])));
        let wrong = value.decode::<u8>().unwrap_err();
        assert!(wrong.to_string().starts_with(r#"["two", [1, 2]] is not of the type"#), "{wrong}");
        assert_eq!(Dynamic::take(&[0x92, 1]).unwrap().to_string(), "2 bytes that are no MessagePack");
    }
}
