//! Streams (STREAM): every item of an iterator or async stream goes to every node that offers the callback.
//!
//! The source is taken from as fast as the slowest receiver allows: items are packed into batches, and the producer holds
//! credit from each receiver's callback. Each receiver answers with what became of the stream at its place.
//!
//! A callback may take the items one by one, or the stream as a whole ([`Incoming`]). A callback that returns a stream of
//! results ([`Results`]) is the producer of one whose only receiver is its caller.

mod arrivals;
mod carry;
mod incoming;
mod intake;
mod items;
mod next;
mod on_slow;
mod party;
mod produce;
mod progress;
pub(crate) mod receive;
pub(crate) mod respond;
mod results;
mod slot;
mod source;
mod worker;
mod writer;

use std::{future::IntoFuture, time::Duration};

use tokio_util::sync::CancellationToken;

pub(crate) use self::arrivals::Arrivals;
pub use self::{
    incoming::{Incoming, incoming, incoming_bytes},
    items::Items,
    next::{Iter, Next},
    on_slow::OnSlow,
    respond::results,
    results::{Results, ResultsCall, results_call},
    source::{Fallible, Feed, Source, StartingAt, fallible, starting},
};
use super::{
    Inner,
    call::options,
    context::Place,
    contract::Stub,
    error::{CallError, Never},
    outgoing::{Codec, Modifier, Request},
    runtime::Op,
    span::ClientSpan,
    stub::{DecodeError, EncodeError, EncodedArgs},
};
use crate::wire::{item_stream::ReceiverEnd, limits, offer::Kind};

/// Nothing, as MessagePack has it.
const NIL: &[u8] = &[0xc0];

/// A stream to every other node that offers the callback. `.await` it, or `.wait()` where there is no async runtime: it ends when
/// every receiver's callback has returned from the last item.
///
/// What happens to items that come faster than a receiver finishes them is said by [`on_slow`](Self::on_slow), or by the stub; unless
/// it is, a receiver that is slow slows the source down. One that finishes nothing for [`stall_after`](Self::stall_after) leaves
/// the stream. Dropping the future ends the stream: receivers finish the item at
/// hand and nothing more. A source that blocks inside its `next` is dropped when that returns.
#[must_use = "a stream does nothing until it is awaited or waited for"]
pub struct StreamCall<T = (), E = Never> {
    pub(super) request: Request,
    source: Feed,
    codec: Codec<T, E>,
    options: Options,
}

/// What was chosen for a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    stall: Duration,
    on_error: OnError,
    wait: Option<Duration>,
    on_slow: OnSlow,
    live: Option<bool>,
}

impl Options {
    fn live(&self) -> bool {
        self.live.unwrap_or(self.on_slow != OnSlow::Block)
    }
}

/// What one receiver's failure does to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnError {
    /// The receiver leaves, the others go on.
    #[default]
    StopReceiver,
    /// The stream ends for all.
    StopStream,
}

impl<T: Send + 'static, E: Send + 'static> StreamCall<T, E> {
    options!(common);

    /// What a failure of one receiver's callback does. Unless told otherwise that receiver leaves and the others go on.
    pub const fn on_error(mut self, on_error: OnError) -> Self {
        self.options.on_error = on_error;
        self
    }

    /// What happens to items that come faster than a receiver finishes them, instead of what the stub says.
    pub const fn on_slow(mut self, on_slow: OnSlow) -> Self {
        self.options.on_slow = on_slow;
        self
    }

    /// Whether the stream is that of a camera, say: it goes on while receivers come and go, until its source ends, and its report
    /// lists all that ever took part. One that comes gets the last item with which a receiver can begin (see
    /// [`starting`](crate::node::starting)) and goes on from there. While there is none, items go nowhere.
    ///
    /// Unless told otherwise, a stream that may drop items is live, and one that may not has the receivers of its beginning. For a
    /// live stream too there has to be one at the beginning, or [`wait_for_receiver`](Self::wait_for_receiver) waits for it.
    pub const fn live(mut self, live: bool) -> Self {
        self.options.live = Some(live);
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
    pub fn wait(self) -> Result<StreamReport<T, E>, CallError<E>> {
        self.into_future().wait()
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for StreamCall<T, E> {
    /// The report; a receiver's failure is in there. An error if there is no receiver, if the source failed, or if the
    /// controller was lost.
    type Output = Result<StreamReport<T, E>, CallError<E>>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { request, source, codec, options } = self;
        let place = Place::here();
        Op::new(async move {
            let (node, scope) = place.resolve(request.node.clone()).map_err(CallError::widen)?;
            let span =
                place.begin(|| ClientSpan::begin(&request.callback, Modifier::Stream, request.trace, scope.as_ref()));
            let request = Request { trace: span.trace(), ..request };
            // Dropping this future cancels the task, and with it the stream.
            let cancelled = CancellationToken::new();
            let _guard = cancelled.clone().drop_guard();
            let io = node.runtimes.io.clone();
            let produced = io.spawn(produce::run(
                node.clone(),
                request.clone(),
                scope.clone(),
                source,
                options,
                cancelled.clone(),
            ));
            let given_up = async {
                match scope {
                    Some(scope) => scope.cancelled.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            let produced = tokio::select! {
                // The task panics in no case; its node going away drops it.
                produced = produced => produced.unwrap_or(Err(CallError::Cancelled)),
                () = given_up => Err(CallError::Cancelled),
            };
            let produced = span.ends(produced.map_err(CallError::widen))?;
            let report = StreamReport::of(produced, &request, &node, codec);
            span.has_report(&report);
            Ok(report)
        })
    }
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport<T = (), E = Never> {
    /// How many items the source gave.
    pub sent: u64,
    /// What became of them at each receiver.
    pub receivers: Vec<ReceiverReport<T, E>>,
}

/// What became of a stream at one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverReport<T = (), E = Never> {
    /// The receiver's name. One that left a live stream and came back is there twice.
    pub node: String,
    /// How many items its callback returned from without an error, or took, if it takes the whole stream. For a receiver that was
    /// lost: at least so many.
    pub delivered: u64,
    /// The number of the first item that was for it: 0, unless it came during a live stream.
    pub first: u64,
    /// How many items from `first` on it was too slow for. Of a receiver that went on to the end, what was delivered and what was
    /// dropped are together all items that were sent from `first` on.
    pub dropped: u64,
    /// What its callback returned for the whole stream, nothing if it is called for each item; or why it did not go on to
    /// the end.
    pub result: Result<T, CallError<E>>,
}

impl<T, E> StreamReport<T, E> {
    fn of(produced: produce::Produced, request: &Request, producer: &Inner, codec: Codec<T, E>) -> Self {
        let wants_results = request.stub.is_some_and(|stub| stub.signature.kind == Kind::Incoming);
        let receivers = produced.ends.into_iter().map(|(node, mut end)| {
            let result = match end.failure.take() {
                // What nobody asked for may be of any type.
                None => {
                    let value = end.value.take().filter(|_| wants_results);
                    let decoded = codec.value(value.as_deref().unwrap_or(NIL));
                    decoded.map_err(|message| CallError::BadReply { node: node.clone(), message })
                }
                Some(failure) => {
                    let error =
                        CallError::from_failure(failure, node.clone(), &request.callback, |error| codec.error(error));
                    Err(producer.directory.borrow().lists_for(error))
                }
            };
            let ReceiverEnd { delivered, first, dropped, .. } = end;
            ReceiverReport { node, delivered, first, dropped, result }
        });
        let misfits = produced.misfits.into_iter().map(|(node, error)| {
            let result = Err(error.widen());
            ReceiverReport { node, delivered: 0, first: 0, dropped: 0, result }
        });
        Self { sent: produced.sent, receivers: receivers.chain(misfits).collect() }
    }

    /// Whether every receiver has every item.
    pub fn is_complete(&self) -> bool {
        self.receivers.iter().all(|receiver| receiver.result.is_ok() && receiver.delivered == self.sent)
    }

    /// The receivers that did not go on to the end.
    pub fn failed(&self) -> impl Iterator<Item = &ReceiverReport<T, E>> {
        self.receivers.iter().filter(|receiver| receiver.result.is_err())
    }

    /// The report of the receiver of this name.
    pub fn receiver(&self, node: &str) -> Option<&ReceiverReport<T, E>> {
        self.receivers.iter().find(|receiver| receiver.node == node)
    }
}

/// A STREAM call, for the macros.
pub fn stream<I, S, K, T, E>(
    stub: &'static Stub,
    source: S,
    encode: fn(&I, &mut Vec<u8>) -> Result<(), EncodeError>,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> StreamCall<T, E>
where
    S: Source<I, K>,
{
    StreamCall {
        request: Request::of(stub, EncodedArgs::none()),
        source: source.into_feed(encode, |_| true),
        codec: Codec::new(value, error),
        options: Options {
            stall: limits::STALL,
            on_error: OnError::default(),
            wait: None,
            on_slow: stub.on_slow,
            live: None,
        },
    }
}
