//! The caller's side of a stream of results.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    intake::{Answers, answer_end, end, stopped_by, take_in, tell_progress},
    items::Items,
    next::{Iter, Next},
    progress::Progress,
    receive::TELL_EVERY,
};
use crate::{
    link::{LinkError, Reader},
    node::{
        Inner,
        answers::Answer,
        call::options,
        choice::Busy,
        context::Place,
        contract::Stub,
        error::{CallError, Never},
        event::StreamEnded,
        outgoing::{Codec, Modifier, Outgoing, Request},
        runtime::Op,
        session::Link,
        span::ClientSpan,
        stub::{DecodeError, EncodedArgs},
    },
    transport::SendStream,
    wire::{CallId, NodeId, batch::Assembler, failure::Right, frame::Status, item_stream::result},
};

/// A call to a callback that returns a stream. `.await` it, or `.wait()` where there is no async runtime: it is done when the
/// callback has returned its stream, and gives the [`Results`] to take from it.
///
/// Without [`timeout`](Self::timeout) the callback has the node's default, 30 seconds unless the node was told otherwise, to return
/// its stream, and the stream takes as long as it takes. With one, stream and all end then.
///
/// Cancel safe: dropping the future cancels the callback.
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct ResultsCall<T, E = Never> {
    pub(in crate::node) request: Request,
    codec: Codec<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> ResultsCall<T, E> {
    options!(common);
    options!(timeout);
    options!(one);

    /// Makes the call and blocks the thread until the callback has returned its stream.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn wait(self) -> Result<Results<T, E>, CallError<E>> {
        self.into_future().wait()
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for ResultsCall<T, E> {
    type Output = Result<Results<T, E>, CallError<E>>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { request, codec } = self;
        let request = Box::new(request);
        let place = Place::here();
        Op::new(async move {
            let outgoing = Outgoing::new(request, Modifier::Results, place).map_err(CallError::widen)?;
            match open(&outgoing, codec).await {
                Ok(results) => Ok(Results { span: Some(outgoing.span), ..results }),
                Err(error) => outgoing.span.ends(Err(error)),
            }
        })
    }
}

/// What a callback gives that returns a stream, item by item as it comes: an async [`Stream`]; [`next`](Self::next) and
/// [`iter`](Self::iter) need none of that.
///
/// [`CallError::App`] is an item that is an error, where the callback's items are `Result`s: others may follow. Every other error is
/// the last item, and says what broke the stream: [`SourceFailed`](CallError::SourceFailed), if it panicked;
/// [`NodeLost`](CallError::NodeLost), [`ControllerLost`](CallError::ControllerLost); [`Timeout`](CallError::Timeout), of the call's
/// own timeout or that of the callback which made it; [`BadReply`](CallError::BadReply), if an item is no `T`. What came before is
/// given first, except that a lost controller takes along what waits. `None` is the end.
///
/// Whoever pauses holds the remote source back, at some 4 MiB or 32,768 items, for as long as it pleases. Dropping it stops the
/// source: an async one at once, one that blocks its thread when it has made its next item.
///
/// A node has at most 128 streams under way towards it that have not been sent whole, and as many from it; the next one waits.
/// Whoever opens more has to take from them meanwhile, and holds up the node that answers if it does not.
///
/// [`Stream`]: https://docs.rs/futures-core/latest/futures_core/stream/trait.Stream.html
pub struct Results<T, E = Never> {
    items: Items,
    codec: Codec<T, E>,
    node: String,
    callback: String,
    began: Instant,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The callback that made the call is no longer wanted.
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The callee has one call of this node more under way.
    busy: Vec<Busy>,
    /// It goes on from the call to the end of the stream.
    span: Option<ClientSpan>,
    over: bool,
    /// Its I/O thread keeps the time of `deadline`.
    keeps_time: Arc<Inner>,
}

impl<T, E> Results<T, E> {
    /// The next item; `None` at the end. Cancel safe.
    pub const fn next(&mut self) -> Next<'_, Self> {
        Next(self)
    }

    /// The items that are still to come, for code that is not async: the iterator blocks the thread.
    pub const fn iter(&mut self) -> Iter<'_, Self> {
        Iter(self)
    }

    /// The name of the node that answers.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What broke the stream, if anything did.
    fn broken(&self) -> Option<CallError<E>> {
        let node = self.node.clone();
        Some(match self.items.end()?.clone() {
            StreamEnded::Finished => return None,
            StreamEnded::SourceFailed { message } => CallError::SourceFailed { message, sent: self.items.taken() },
            StreamEnded::ProducerLost => CallError::NodeLost { node },
            StreamEnded::Disconnected => CallError::ControllerLost,
            StreamEnded::Deadline => CallError::Timeout { after: self.waited() },
            StreamEnded::CallbackFailed { message } => CallError::BadReply { node, message },
            StreamEnded::NotAllowed => CallError::NotAllowed {
                caller: self.keeps_time.name.clone(),
                node,
                callback: self.callback.clone(),
                right: Right::Call,
            },
            StreamEnded::Cancelled
            | StreamEnded::Stalled
            | StreamEnded::OtherReceiverFailed
            | StreamEnded::CallbackReturned => CallError::Cancelled,
        })
    }

    /// Whether it is to end here, although the callee may go on.
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Option<CallError<E>> {
        if self.cancelled.as_mut().is_some_and(|cancelled| cancelled.as_mut().poll(cx).is_ready()) {
            return Some(CallError::Cancelled);
        }
        let passed = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        passed.then(|| CallError::Timeout { after: self.waited() })
    }

    fn waited(&self) -> Duration {
        self.keeps_time.runtimes.now().saturating_duration_since(self.began)
    }

    /// Takes nothing more: the callee is told. Gives back the error that it ends with.
    fn end(&mut self, error: Option<CallError<E>>) -> Option<CallError<E>> {
        self.items.leave();
        self.busy.clear();
        (self.deadline, self.cancelled, self.over) = (None, None, true);
        match self.span.take() {
            Some(span) => span.ends(error.map_or(Ok(()), Err)).err(),
            None => error,
        }
    }
}

impl<T, E> Stream for Results<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        // Not for each of the items that came together.
        if !self.items.is_within_a_batch()
            && let Some(error) = self.poll_given_up(cx)
        {
            return Poll::Ready(self.end(Some(error)).map(Err));
        }
        let codec = self.codec;
        let last = match ready!(self.items.poll_item(cx, |item| decode(item, codec))) {
            Some(Ok(item)) => return Poll::Ready(Some(item.map_err(CallError::App))),
            Some(Err(message)) => Some(CallError::BadReply { node: self.node.clone(), message }),
            None => self.broken(),
        };
        Poll::Ready(self.end(last).map(Err))
    }
}

impl<T, E> fmt::Debug for Results<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("node", &self.node)
            .field("taken", &self.items.taken())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// A call to a callback that returns a stream, for the macros.
pub const fn results_call<T, E>(
    stub: &'static Stub,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> ResultsCall<T, E> {
    ResultsCall { request: Request::of(stub, args), codec: Codec::new(value, error) }
}

/// An item's value or error, or why it is neither.
fn decode<T, E>(item: &[u8], codec: Codec<T, E>) -> Result<Result<T, E>, String> {
    match result::take(item).map_err(|malformed| malformed.to_string())? {
        Ok(value) => codec.value(value).map(Ok),
        Err(error) => codec.error(error).map(Err),
    }
}

async fn open<T, E>(outgoing: &Outgoing, codec: Codec<T, E>) -> Result<Results<T, E>, CallError<E>> {
    let patience = outgoing.request.timeout.is_none().then_some(outgoing.node.call_timeout);
    let opening = async {
        let mut sent = outgoing.send_one().await.map_err(CallError::widen)?;
        let answer = outgoing.within(sent.answers.recv()).await.map_err(CallError::widen)?;
        Ok((sent, answer))
    };
    let (sent, answer) = tokio::select! {
        biased;
        opened = opening => opened?,
        after = passed(&outgoing.node, patience) => return Err(CallError::Timeout { after }),
    };
    match answer {
        Some(Answer::Results { node, items, busy }) => {
            let _runtime = outgoing.node.runtimes.io.enter();
            Ok(Results {
                items,
                codec,
                node: sent.name_of(node),
                callback: outgoing.request.callback.to_string(),
                began: outgoing.began,
                deadline: outgoing.deadline.map(|deadline| Box::pin(sleep_until(deadline))),
                cancelled: outgoing.scope.as_ref().map(|scope| Box::pin(scope.cancelled.clone().cancelled_owned())),
                busy,
                span: None,
                over: false,
                keeps_time: outgoing.node.clone(),
            })
        }
        Some(Answer::Reply { node, status: Status::Value, .. }) => {
            let message = "it returns one result, and the stub expects a stream of them".into();
            Err(CallError::BadReply { node: sent.name_of(node), message })
        }
        Some(Answer::Reply { node, status, payload }) => {
            let failed = outgoing.decode(|| sent.name_of(node), status, &payload, codec);
            // The status says that it is an error.
            Err(failed.err().unwrap_or(CallError::Cancelled))
        }
        Some(Answer::ControllerLost) | None => Err(CallError::ControllerLost),
    }
}

/// Waits so long, in any executor.
async fn passed(node: &Inner, patience: Option<Duration>) -> Duration {
    let Some(patience) = patience else {
        return std::future::pending().await;
    };
    let timer = {
        let _runtime = node.runtimes.io.enter();
        sleep(patience)
    };
    timer.await;
    patience
}

/// Takes in a stream that answers a call of this node's, until all of it is here or the caller wants no more.
pub(super) async fn receive(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    call: CallId,
    producer: NodeId,
    send: SendStream,
    reader: Reader,
) -> Result<(), LinkError> {
    let mut answers = Answers::new(send);
    let (batches, queue) = mpsc::unbounded_channel();
    let progress = Arc::new(Progress::default());
    let (items, mut left) = Items::new(queue, progress.clone(), inner.directory.borrow().name_of(producer));
    // If nobody waits for it any more, it is dropped, and so has left.
    inner.pending.answer_by_stream(call, producer, items);
    let (source, first) = reader.into_parts();
    let mut assembler = Assembler::default();
    let ended = tokio::select! {
        biased;
        () = left.left() => Ok(()),
        // What is here whole needs nothing more of the callee, however slowly it is taken.
        taken = take_in(source, first, &batches, &mut assembler, &progress) => taken,
        why = tell_progress(&progress, TELL_EVERY, &mut answers) => {
            progress.stop(why);
            Ok(())
        }
        () = link.ended.cancelled() => {
            progress.stop(StreamEnded::Disconnected);
            Ok(())
        }
    };
    match ended {
        Ok(()) => {}
        Err(LinkError::Lost(lost)) => progress.stop(stopped_by(&lost)),
        Err(malformed) => {
            progress.stop(StreamEnded::Disconnected);
            return Err(malformed);
        }
    }
    drop(batches);
    answer_end(&mut answers, &end(progress.items(), Ok(None))).await
}
