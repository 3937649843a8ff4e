//! Streams (STREAM): every item of an iterator or async stream goes to every node that offers the callback.
//!
//! The source is taken from as fast as the slowest receiver allows: items are packed into batches, and the producer holds
//! credit from each receiver's callback. Each receiver answers with what became of the stream at its place.

mod produce;
pub(crate) mod receive;
mod slot;
mod source;

use std::{future::IntoFuture, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

pub use self::source::{Fallible, Source, fallible};
use super::{
    Inner,
    context::node_for,
    error::{CallError, Never},
    outgoing::Codec,
    runtime::Op,
    stub::{DecodeError, EncodeError},
};
use crate::wire::limits;

/// A stream to every other node that offers the callback. `.await` it, or `.wait()` where there is no async runtime: it ends when
/// every receiver's callback has returned from the last item.
///
/// Lossless: a receiver that is slow slows the source down, and one that finishes nothing for
/// [`stall_after`](Self::stall_after) leaves the stream. Dropping the future ends the stream: receivers finish the item at
/// hand and nothing more. A source that blocks inside its `next` is dropped when that returns.
#[must_use = "a stream does nothing until it is awaited or waited for"]
pub struct StreamCall<E = Never> {
    callback: &'static str,
    source: source::Feed,
    codec: Codec<(), E>,
    node: Option<Arc<Inner>>,
    options: Options,
}

/// What was chosen for a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    stall: Duration,
    on_error: OnError,
    wait: Option<Duration>,
}

/// What one receiver's failure does to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The receiver leaves, the others go on.
    #[default]
    StopReceiver,
    /// The stream ends for all.
    StopStream,
}

impl<E: Send + 'static> StreamCall<E> {
    /// Sends the stream through this node instead of the process's first, or of the one whose callback is running.
    pub fn on(mut self, node: impl AsRef<super::Node>) -> Self {
        self.node = Some(node.as_ref().inner().clone());
        self
    }

    /// What a failure of one receiver's callback does. Unless told otherwise that receiver leaves and the others go on.
    pub const fn on_error(mut self, on_error: OnError) -> Self {
        self.options.on_error = on_error;
        self
    }

    /// Takes a receiver off the stream that finishes no item for so long while some wait for it. 10 seconds unless told
    /// otherwise; longer, if one item may take longer.
    pub const fn stall_after(mut self, stall: Duration) -> Self {
        self.options.stall = stall;
        self
    }

    /// If nobody offers the callback yet, waits so long for the first who does.
    pub const fn wait_for_receiver(mut self, patience: Duration) -> Self {
        self.options.wait = Some(patience);
        self
    }

    /// Sends the stream and blocks the thread until every receiver is through.
    ///
    /// # Errors
    ///
    /// As for awaiting it.
    pub fn wait(self) -> Result<StreamReport<E>, CallError<E>> {
        self.into_future().wait()
    }
}

impl<E: Send + 'static> IntoFuture for StreamCall<E> {
    /// The report; a receiver's failure is in there. An error if there is no receiver, if the source failed, or if the
    /// controller was lost.
    type Output = Result<StreamReport<E>, CallError<E>>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { callback, source, codec, node, options } = self;
        let (node, context) = match node_for(node) {
            Ok(found) => found,
            Err(error) => return Op::new(async { Err(error.widen()) }),
        };
        Op::new(async move {
            // Dropping this future cancels the task, and with it the stream.
            let cancelled = CancellationToken::new();
            let _guard = cancelled.clone().drop_guard();
            let io = node.runtimes.io.clone();
            let produced = io.spawn(produce::run(node, callback, source, options, cancelled.clone()));
            let given_up = async {
                match context {
                    Some(context) => context.cancelled.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The task panics in no case; its node going away drops it.
                produced = produced => {
                    let produced = produced.unwrap_or(Err(CallError::Cancelled)).map_err(CallError::widen)?;
                    Ok(StreamReport::of(produced, callback, codec))
                }
                () = given_up => Err(CallError::Cancelled),
            }
        })
    }
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport<E = Never> {
    /// How many items the source gave.
    pub sent: u64,
    /// What became of them at each receiver.
    pub receivers: Vec<ReceiverReport<E>>,
}

/// What became of a stream at one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverReport<E = Never> {
    /// The receiver's name.
    pub node: String,
    /// How many items its callback returned from without an error. For a receiver that was lost: at least so many.
    pub delivered: u64,
    /// Why it did not go on to the end, if it did not.
    pub result: Result<(), CallError<E>>,
}

impl<E> StreamReport<E> {
    fn of(produced: produce::Produced, callback: &str, codec: Codec<(), E>) -> Self {
        let receivers = produced.ends.into_iter().map(|(node, end)| {
            let result = match end.failure {
                None => Ok(()),
                Some(failure) => {
                    Err(CallError::from_failure(failure, node.clone(), callback, |error| codec.error(error)))
                }
            };
            ReceiverReport { node, delivered: end.delivered, result }
        });
        Self { sent: produced.sent, receivers: receivers.collect() }
    }

    /// Whether every receiver has every item.
    pub fn is_complete(&self) -> bool {
        self.receivers.iter().all(|receiver| receiver.result.is_ok() && receiver.delivered == self.sent)
    }

    /// The receivers that did not go on to the end.
    pub fn failed(&self) -> impl Iterator<Item = &ReceiverReport<E>> {
        self.receivers.iter().filter(|receiver| receiver.result.is_err())
    }

    /// The report of the receiver of this name.
    pub fn receiver(&self, node: &str) -> Option<&ReceiverReport<E>> {
        self.receivers.iter().find(|receiver| receiver.node == node)
    }
}

/// A STREAM call, for the macros.
pub fn stream<T, S, K, E>(
    name: &'static str,
    source: S,
    encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> StreamCall<E>
where
    S: Source<T, K>,
{
    StreamCall {
        callback: name,
        source: source.into_feed(encode),
        codec: Codec::new(|_| Ok(()), error),
        node: None,
        options: Options { stall: limits::STALL, on_error: OnError::default(), wait: None },
    }
}
