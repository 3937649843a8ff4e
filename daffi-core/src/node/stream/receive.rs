//! The receiver's side of a stream: batches in, a callback run for them, credit and an answer back.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::Fuse};
use tokio::sync::mpsc;

use super::{
    intake::{Answers, answer_end, stopped_by, take_in, tell_progress},
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
        session::Link,
        span::ServerSpan,
    },
    transport::{CloseCode, Priority, SendStream},
    wire::{
        failure::Failure,
        item_stream::{StreamEnd, StreamOffer},
        limits::TELL_DROPPED,
    },
};

/// How often a receiver that is slow tells how far it is, so that it is not taken for stalled. More often, if it would be
/// taken for that sooner.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

/// Accepts streams from the controller until the connection is gone. Each runs in a task of its own, which notices by itself
/// when its connection is gone, and tells this node's user.
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
        let tracked = link.tasks.token();
        tokio::spawn(async move {
            let mut reader = Reader::new(receive);
            let ended = match reader.item_stream_header::<StreamOffer>().await {
                Ok(StreamOffer { answers: Some(call), producer, .. }) => {
                    drop(tracked);
                    results::receive(&inner, &link, call, producer, send, reader).await
                }
                Ok(offer) => run(inner, &link, offer, send, reader).await,
                Err(error) => Err(error),
            };
            if let Err(LinkError::Malformed(malformed)) = ended {
                tracing::error!(%malformed, "a stream makes no sense");
                link.connection.close(CloseCode::Malformed, malformed.0);
            }
        });
    }
}

async fn run(
    inner: Arc<Inner>,
    link: &Link,
    offer: StreamOffer,
    send: SendStream,
    reader: Reader,
) -> Result<(), LinkError> {
    let mut answers = Answers::new(send);
    if link.tasks.is_closed() {
        return answer_end(&mut answers, 0, Err(Failure::NodeStopping)).await;
    }
    let Some(callback) = inner.registry.find(offer.callback) else {
        return answer_end(&mut answers, 0, Err(Failure::NoCallback)).await;
    };
    let producer = inner.directory.borrow().name_of(offer.producer);
    let cancelled = link.ended.child_token();
    let (batches, queue) = mpsc::unbounded_channel();
    let progress = Arc::new(Progress::new(offer.paced, offer.late));
    let (caller, unwanted) = (offer.producer, cancelled.clone());
    let span = ServerSpan::begin(&inner, &callback.name, caller, offer.trace);
    let (trace, over) = (span.trace(), link.ended.clone());
    let scope = Scope::of_callback(&inner, callback.clone(), caller, None, None, trace, unwanted, over);
    let tell_every = TELL_EVERY.min(Duration::from_millis(offer.stall_millis) / 4).max(Duration::from_millis(1));
    let mut worker = span.within(|| worker::start(&inner, &callback, queue, progress.clone(), producer.clone(), scope));

    let (source, first) = reader.into_parts();
    let taken = async {
        let taken = take_in(source, first, &batches, &progress).await;
        (taken, batches)
    };
    let ended = {
        let mut taken = std::pin::pin!(taken.fuse());
        let mut told = std::pin::pin!(tell_progress(&progress, tell_every, &mut answers).fuse());
        let mut missed = std::pin::pin!(tell_missed(&progress, &inner, &callback.name, &producer));
        // An async callback that is to be dropped must not see that nothing more comes: first the token, then the reason,
        // and only then is the queue closed.
        let stop = |why| {
            cancelled.cancel();
            progress.stop(why);
        };
        // The worker goes on after the last batch has come: what waits is still to be run.
        loop {
            tokio::select! {
                ended = &mut worker => break ended,
                (taken, _queue) = &mut taken => match taken {
                    Ok(()) => {}
                    Err(LinkError::Malformed(malformed)) => {
                        stop(StreamEnded::Cancelled);
                        return Err(malformed.into());
                    }
                    Err(LinkError::Lost(lost)) => stop(stopped_by(&lost)),
                },
                // The source may have ended long ago; this side of the stream still tells that nobody wants the rest.
                why = &mut told => {
                    stop(why);
                    taken.set(Fuse::terminated());
                }
                never = &mut missed => match never {},
            }
        }
    };
    let delivered = progress.items();
    // The worker panics in no case; its runtime ending drops it.
    let (how, result) = match ended.unwrap_or(WorkerEnd::Stopped) {
        WorkerEnd::Failed(failure) => {
            let failure = explain(failure, &callback);
            (StreamEnded::CallbackFailed { message: failure.to_string() }, Err(failure))
        }
        WorkerEnd::Finished(end) => (end.into(), Ok(None)),
        WorkerEnd::Returned(value) => {
            let end = progress.seen().or_else(|| progress.stopped()).cloned();
            (end.unwrap_or(StreamEnded::CallbackReturned), Ok(Some(value)))
        }
        WorkerEnd::Stopped => (progress.stopped().cloned().unwrap_or(StreamEnded::Cancelled), Ok(None)),
    };
    tracing::debug!(callback = callback.name, producer, delivered, end = ?how, "a stream ended");
    span.ends_stream(delivered, &how, result.as_ref().err());
    let missed = progress.missed();
    inner.announce(Event::StreamEnded { callback: callback.name.clone(), producer, delivered, missed, end: how });
    answer_end(&mut answers, delivered, result).await
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
