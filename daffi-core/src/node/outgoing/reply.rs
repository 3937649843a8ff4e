//! What comes back, read: a value, the error of the callback, or why there is neither.

use super::Outgoing;
use crate::{
    node::{error::CallError, stub::DecodeError},
    wire::{failure::Failure, frame::Status},
};

/// How to decode what a callback returns.
#[derive(Debug)]
pub(crate) struct Codec<T, E> {
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
}

impl<T, E> Clone for Codec<T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, E> Copy for Codec<T, E> {}

impl<T, E> Codec<T, E> {
    pub(crate) const fn new(
        value: fn(&[u8]) -> Result<T, DecodeError>,
        error: fn(&[u8]) -> Result<E, DecodeError>,
    ) -> Self {
        Self { value, error }
    }

    pub(crate) fn value(&self, payload: &[u8]) -> Result<T, String> {
        (self.value)(payload).map_err(|DecodeError(message)| message)
    }

    pub(crate) fn error(&self, payload: &[u8]) -> Result<E, String> {
        (self.error)(payload).map_err(|DecodeError(message)| message)
    }
}

impl Outgoing {
    pub(crate) fn decode<T, E>(
        &self,
        node: impl FnOnce() -> String,
        status: Status,
        payload: &[u8],
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        let bad = |node, message: String| {
            let message = match self.request.stub {
                Some(stub) => format!("{message}; the stub is `{}`", stub.signature.text),
                None => message,
            };
            CallError::BadReply { node, message }
        };
        match status {
            Status::Value => codec.value(payload).map_err(|error| bad(node(), error)),
            Status::Error => Err(codec.error(payload).map_or_else(|error| bad(node(), error), CallError::App)),
            Status::Failure => Err(match Failure::decode(payload) {
                // The callee's clock may fire first.
                Failure::Deadline => CallError::Timeout { after: self.waited() },
                failure => {
                    let callback = &self.request.callback;
                    let error = CallError::from_failure(failure, node(), callback, |error| codec.error(error));
                    self.node.directory.borrow().lists_for(error)
                }
            }),
        }
    }
}

/// The callback returns a stream, and its node has not said so beforehand. Dropping the stream ends it.
pub(super) fn stream_instead<E>(node: String) -> CallError<E> {
    CallError::BadReply { node, message: "it returns a stream of results, and the call expects one result".into() }
}
