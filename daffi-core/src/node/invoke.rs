//! Runs this node's callbacks for others.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Inner,
    context::Context,
    registry::{Callback, Handler},
    session::Link,
    stub::{Outcome, Reply},
};
use crate::wire::{
    CallId, CallbackId, Malformed,
    failure::Failure,
    frame::{Frame, Head, Status},
};

/// How much of a panic's message is passed on, in bytes.
const PANIC_MESSAGE: usize = 4 << 10;

/// Takes a frame from the controller.
pub(crate) fn handle(inner: &Arc<Inner>, link: &Arc<Link>, frame: Frame) -> Result<(), Malformed> {
    let Frame { head, payload } = frame;
    match head {
        Head::Call { id, callback, peer: _, budget } => start(inner, link, id, callback, budget, payload),
        Head::Reply { id, node, status } => inner.pending.answer(id, node, status, payload),
        Head::Cancel { id } => link.cancel(id),
        Head::Broadcast { .. } => return Err(Malformed("a broadcast towards a node")),
    }
    Ok(())
}

fn start(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    id: CallId,
    callback: CallbackId,
    budget: Option<Duration>,
    args: Bytes,
) {
    if link.tasks.is_closed() {
        return answer(link, id, Err(Failure::NodeStopping));
    }
    let Some(callback) = inner.registry.find(callback) else {
        return answer(link, id, Err(Failure::NoCallback));
    };
    let deadline = budget.and_then(|budget| Instant::now().checked_add(budget));
    let context = Context { node: inner.clone(), deadline, cancelled: link.begin(id) };
    let running = {
        let link = link.clone();
        async move {
            let outcome = run_within(callback, args, context).await;
            link.end(id);
            if let Some(outcome) = outcome {
                answer(&link, id, outcome.map_err(|failure| explain(failure, &callback)));
            }
        }
    };
    inner.runtimes.work.spawn(link.tasks.track_future(running));
}

/// Runs a callback until it returns, its deadline passes, or nobody wants its result (`None`).
async fn run_within(callback: Callback, args: Bytes, context: Context) -> Option<Outcome> {
    let Context { deadline, cancelled, .. } = context.clone();
    let passed = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancelled.cancelled() => None,
        outcome = run(callback, args, context) => Some(match deadline {
            // It may have come of the deadline itself, passed on to a call of the callback's.
            Some(deadline) if deadline <= Instant::now() => Err(Failure::Deadline),
            _ => outcome,
        }),
        () = passed => {
            // What the callback asked of others is not wanted any more either.
            cancelled.cancel();
            Some(Err(Failure::Deadline))
        }
    }
}

/// Runs a callback once. Dropping the future stops an async callback at its next await; a sync one runs to its end.
async fn run(callback: Callback, args: Bytes, context: Context) -> Outcome {
    match callback.handler {
        Handler::Async(handler) => {
            let running = AssertUnwindSafe(async move { handler(args).await }).catch_unwind();
            context.scope(running).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        }
        Handler::Sync(handler) => tokio::task::spawn_blocking(move || run_sync(handler, &args, context))
            .await
            // The closure does not panic; a runtime that shuts down drops it before it ran.
            .unwrap_or(Err(Failure::Cancelled)),
    }
}

/// Runs a sync callback once.
fn run_sync(handler: fn(&[u8]) -> Outcome, args: &[u8], context: Context) -> Outcome {
    context
        .sync_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| handler(args))))
        .unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// What a panic says of itself.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let mut text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
    // It travels in messages that have a limit.
    text.truncate(text.floor_char_boundary(PANIC_MESSAGE));
    text
}

pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    Failure::Panicked { message: panic_message(panic) }
}

/// Shows the caller what the callback would have taken: the decoder knows bytes and not names.
pub(crate) fn explain(failure: Failure, callback: &Callback) -> Failure {
    match failure {
        Failure::BadArguments { message } => {
            Failure::BadArguments { message: format!("{message}; the callback is `{}`", callback.signature) }
        }
        other => other,
    }
}

fn answer(link: &Link, id: CallId, outcome: Outcome) {
    let (status, payload) = match outcome {
        Ok(Reply::Value(payload)) => (Status::Value, payload),
        Ok(Reply::Error(payload)) => (Status::Error, payload),
        Err(failure) => (Status::Failure, failure.encode().into()),
    };
    link.frames.send(&Head::Reply { id, node: 0, status }, &payload);
}
