//! The receiver's side of a stream: batches in, a callback run for them, credit and an answer back.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::Fuse};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    arrivals::{Hop, Hops},
    intake::{Answers, answer_end, answer_last, answer_standing, end, ending, stopped_by, take_in, tell_progress},
    progress::Progress,
    results,
    worker::{self, WorkerEnd},
};
use crate::{
    link::{LinkError, Reader},
    node::{
        Inner,
        context::Scope,
        event::{Event, StreamEnded},
        invoke::explain,
        registry::Registered,
        session::Link,
        span::ServerSpan,
    },
    transport::{CloseCode, Priority, StreamLost},
    wire::{
        Malformed,
        batch::{Assembler, Batch},
        failure::Failure,
        item_stream::{StreamEnd, StreamOffer},
        limits::{RESUME, TELL_DROPPED},
    },
};

/// How often a receiver that is slow tells how far it is, so that it is not taken for stalled. More often, if it would be
/// taken for that sooner.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

/// Accepts streams from the controller until the connection is gone. Each runs in a task of its own, which notices by itself
/// when its connection is gone, waits for it to go on over the next, and tells this node's user.
pub(crate) async fn accept(inner: &Arc<Inner>, link: &Arc<Link>) -> LinkError {
    loop {
        let (send, receive) = match link.connection.accept_bi().await {
            Ok(streams) => streams,
            Err(lost) => return lost.into(),
        };
        // Answers: small, and the producer or the caller waits for them.
        send.set_priority(Priority::Control);
        let (inner, link) = (inner.clone(), link.clone());
        // Counted among what runs for others until it is known to be something else.
        let tracked = inner.tasks.token();
        let weak = Arc::downgrade(&link);
        tokio::spawn(async move {
            let mut reader = Reader::new(receive);
            let ended = match reader.item_stream_header::<StreamOffer>().await {
                Ok(StreamOffer { answers: Some(call), producer, .. }) => {
                    drop(tracked);
                    results::receive(&inner, &link, call, producer, send, reader).await
                }
                Ok(offer) => {
                    let hop = Hop { link: weak.clone(), send, reader };
                    begin(&inner, link, offer, hop).await
                }
                Err(error) => Err(error),
            };
            if let Err(LinkError::Malformed(malformed)) = ended {
                dismiss(&weak, malformed);
            }
        });
    }
}

/// Closes the connection over which the controller said what makes no sense.
fn dismiss(link: &Weak<Link>, malformed: Malformed) {
    tracing::error!(%malformed, "a stream makes no sense");
    if let Some(link) = link.upgrade() {
        link.connection.close(CloseCode::Malformed, malformed.0);
    }
}

/// Begins a stream, or goes on with one.
async fn begin(inner: &Arc<Inner>, link: Arc<Link>, offer: StreamOffer, hop: Hop) -> Result<(), LinkError> {
    let key = offer.stream.map(|stream| (offer.name.clone(), stream, offer.receiver));
    let mut hop = hop;
    if offer.resumed {
        let Some(key) = &key else { return Err(Malformed("a stream that goes on and has no id").into()) };
        hop = match inner.arrivals.hand_over(key, hop) {
            None => return Ok(()),
            Some(hop) => hop,
        };
        match inner.arrivals.ended(key) {
            // Its producer has not heard of it, and the controller knows nothing.
            Some(Some(ending)) => return answer_last(&mut Answers::new(hop.send), ending).await,
            Some(None) => return refuse(hop, Failure::NodeLost).await,
            // It was for the process that had this name before.
            None if offer.begun => return refuse(hop, Failure::NodeLost).await,
            None => {}
        }
    }
    if inner.tasks.is_closed() {
        return refuse(hop, Failure::NodeStopping).await;
    }
    let Some(callback) = inner.registry.find(offer.callback) else {
        return refuse(hop, Failure::NoCallback).await;
    };
    let hops = Hops::new(inner, key);
    let receiving = Receiving::new(inner, &link, &offer, callback, hops);
    drop(link);
    receiving.run(inner, hop, offer.resumed).await;
    Ok(())
}

async fn refuse(hop: Hop, failure: Failure) -> Result<(), LinkError> {
    answer_end(&mut Answers::new(hop.send), &end(0, Err(failure))).await
}

/// A stream that is taken in, over one connection after the other.
struct Receiving {
    callback: Arc<Registered>,
    producer: String,
    hops: Hops,
    /// For how long it waits for another connection.
    patience: Duration,
    progress: Arc<Progress>,
    /// Where batches go until nobody wants them.
    batches: Option<mpsc::UnboundedSender<Batch>>,
    assembler: Assembler,
    worker: JoinHandle<WorkerEnd>,
    /// Nobody wants the items.
    cancelled: CancellationToken,
    span: ServerSpan,
    tell_every: Duration,
}

/// Why a stream left a connection.
enum Left {
    /// The callback's part is over.
    Over(Result<WorkerEnd, JoinError>),
    /// It goes on elsewhere.
    Broken,
    /// It goes on there.
    Moved(Hop),
}

impl Receiving {
    fn new(inner: &Arc<Inner>, link: &Link, offer: &StreamOffer, callback: Arc<Registered>, hops: Hops) -> Self {
        let over = if hops.last() { inner.stopping.child_token() } else { link.ended.clone() };
        let cancelled = over.child_token();
        let (batches, queue) = mpsc::unbounded_channel();
        let progress = Arc::new(Progress::new(offer.paced, offer.late));
        let (caller, unwanted) = (offer.producer, cancelled.clone());
        let span = ServerSpan::begin(inner, &callback.name, caller, offer.trace);
        let scope = Scope::of_callback(inner, callback.clone(), caller, None, None, span.trace(), unwanted, over);
        let producer = offer.name.clone();
        let worker = span.within(|| worker::start(inner, &callback, queue, progress.clone(), producer.clone(), scope));
        let stall = Duration::from_millis(offer.stall_millis);
        Self {
            callback,
            producer,
            hops,
            patience: stall.min(RESUME),
            progress,
            batches: Some(batches),
            assembler: Assembler::default(),
            worker,
            cancelled,
            span,
            tell_every: TELL_EVERY.min(stall / 4).max(Duration::from_millis(1)),
        }
    }

    /// Takes the stream in and answers; says where it stands, if that is `asked`.
    async fn run(mut self, inner: &Arc<Inner>, hop: Hop, asked: bool) {
        let Some((ended, mut answers)) = self.take_all(inner, hop, asked).await else { return };
        let delivered = self.progress.items();
        // The worker panics in no case; its runtime ending drops it.
        let (how, result) = self.result(ended.unwrap_or(WorkerEnd::Stopped));
        let Self { callback, producer, progress, span, mut hops, patience, .. } = self;
        tracing::debug!(callback = callback.name, producer, delivered, end = ?how, "a stream ended");
        span.ends_stream(delivered, &how, result.as_ref().err());
        let gives_up = how == StreamEnded::Disconnected;
        let missed = progress.missed();
        inner.announce(Event::StreamEnded { callback: callback.name.clone(), producer, delivered, missed, end: how });
        let end = end(delivered, if gives_up { Err(Failure::NodeLost) } else { result });
        // It may be for another controller, which does not know where this one began and what it missed.
        let ending = ending(&progress, &end);
        hops.end_with(ending.clone());
        let mut answered = answer_end(&mut answers, &end).await;
        while let Err(LinkError::Lost(StreamLost::Connection(_))) = &answered
            && hops.last()
            && !gives_up
        {
            let Some(hop) = next_hop(&mut hops, inner, patience).await else { return };
            answered = answer_last(&mut Answers::new(hop.send), ending.clone()).await;
        }
        // Nothing can be done about an answer that does not arrive.
    }

    /// Takes the stream in until the callback's part is over; how it is, and where to say so. Nothing if the stream makes no sense: that
    /// ends the connection that it came over.
    async fn take_all(
        &mut self,
        inner: &Arc<Inner>,
        hop: Hop,
        mut asked: bool,
    ) -> Option<(Result<WorkerEnd, JoinError>, Answers)> {
        let Hop { mut link, send, mut reader } = hop;
        let mut answers = Answers::new(send);
        loop {
            if std::mem::replace(&mut asked, true) {
                // Should the connection break here, that is found out below.
                let _ = answer_standing(&mut answers, &self.progress).await;
            }
            let next = match self.take_from(inner, &mut answers, reader).await {
                Err(malformed) => {
                    dismiss(&link, malformed);
                    return None;
                }
                Ok(Left::Over(ended)) => return Some((ended, answers)),
                Ok(Left::Moved(hop)) => hop,
                Ok(Left::Broken) => {
                    tracing::info!(callback = self.callback.name, "a stream waits for another connection");
                    tokio::select! {
                        // What is here is run all the same.
                        ended = &mut self.worker => return Some((ended, answers)),
                        hop = next_hop(&mut self.hops, inner, self.patience) => match hop {
                            Some(hop) => hop,
                            None => {
                                self.stop(StreamEnded::Disconnected);
                                return Some(((&mut self.worker).await, answers));
                            }
                        },
                    }
                }
            };
            (link, answers, reader) = (next.link, Answers::new(next.send), next.reader);
        }
    }

    /// Takes the stream in over one connection.
    async fn take_from(&mut self, inner: &Inner, answers: &mut Answers, reader: Reader) -> Result<Left, Malformed> {
        let (source, first) = reader.into_parts();
        let (progress, batches, lasts) = (self.progress.clone(), self.batches.clone(), self.hops.last());
        let assembler = &mut self.assembler;
        let taken = async {
            match batches {
                Some(batches) => take_in(source, first, &batches, assembler, &progress).await,
                None => Ok(()),
            }
        };
        let mut taken = std::pin::pin!(taken.fuse());
        let mut told = std::pin::pin!(tell_progress(&progress, self.tell_every, answers).fuse());
        let mut missed = std::pin::pin!(tell_missed(&progress, inner, &self.callback.name, &self.producer));
        // The worker goes on after the last batch has come: what waits is still to be run.
        loop {
            let why = tokio::select! {
                ended = &mut self.worker => return Ok(Left::Over(ended)),
                hop = self.hops.next() => return Ok(Left::Moved(hop)),
                taken = &mut taken => match taken {
                    Ok(()) => continue,
                    Err(LinkError::Malformed(malformed)) => {
                        stop(&self.cancelled, &progress, &mut self.batches, StreamEnded::Cancelled);
                        return Err(malformed);
                    }
                    Err(LinkError::Lost(StreamLost::Connection(_))) if lasts => return Ok(Left::Broken),
                    Err(LinkError::Lost(lost)) => stopped_by(&lost),
                },
                // The source may have ended long ago; this side of the stream still tells that nobody wants the rest.
                why = &mut told => match why {
                    StreamEnded::Disconnected if lasts => return Ok(Left::Broken),
                    why => why,
                },
                never = &mut missed => match never {},
            };
            // What comes in holds the queue open too.
            taken.set(Fuse::terminated());
            stop(&self.cancelled, &progress, &mut self.batches, why);
        }
    }

    fn stop(&mut self, why: StreamEnded) {
        stop(&self.cancelled, &self.progress, &mut self.batches, why);
    }

    fn result(&self, ended: WorkerEnd) -> (StreamEnded, Result<Option<bytes::Bytes>, Failure>) {
        let progress = &self.progress;
        match ended {
            WorkerEnd::Failed(failure) => {
                let failure = explain(failure, &self.callback);
                (StreamEnded::CallbackFailed { message: failure.to_string() }, Err(failure))
            }
            WorkerEnd::Finished(end) => (end.into(), Ok(None)),
            WorkerEnd::Returned(value) => {
                let end = progress.seen().or_else(|| progress.stopped()).cloned();
                (end.unwrap_or(StreamEnded::CallbackReturned), Ok(Some(value)))
            }
            WorkerEnd::Stopped => (progress.stopped().cloned().unwrap_or(StreamEnded::Cancelled), Ok(None)),
        }
    }
}

/// Nobody wants the rest. An async callback that is to be dropped must not see that nothing more comes: first the token, then the
/// reason, and only then is the queue closed.
fn stop(
    cancelled: &CancellationToken,
    progress: &Progress,
    batches: &mut Option<mpsc::UnboundedSender<Batch>>,
    why: StreamEnded,
) {
    cancelled.cancel();
    progress.stop(why);
    *batches = None;
}

/// Waits for the stream to go on over another connection, unless the node leaves. Cancel safe.
async fn next_hop(hops: &mut Hops, inner: &Inner, patience: Duration) -> Option<Hop> {
    tokio::select! {
        hop = timeout(patience, hops.next()) => hop.ok(),
        () = inner.leaving.cancelled() => None,
        () = inner.stopping.cancelled() => None,
    }
}

/// Tells this node's user of items that did not come, now and then.
async fn tell_missed(progress: &Progress, inner: &Inner, callback: &str, producer: &str) -> Infallible {
    loop {
        progress.missing().await;
        inner.announce(Event::ItemsDropped {
            callback: callback.to_owned(),
            producer: producer.to_owned(),
            receiver: inner.name.clone(),
            dropped: progress.missed(),
        });
        tokio::time::sleep(TELL_DROPPED).await;
    }
}

impl From<StreamEnd> for StreamEnded {
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Finished => Self::Finished,
            StreamEnd::SourceFailed { message } => Self::SourceFailed { message },
            StreamEnd::ProducerLost => Self::ProducerLost,
            StreamEnd::OtherReceiverFailed => Self::OtherReceiverFailed,
            StreamEnd::Deadline => Self::Deadline,
            StreamEnd::Unknown => Self::Cancelled,
        }
    }
}
