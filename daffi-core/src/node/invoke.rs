//! Runs this node's callbacks for others.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::task::{AbortOnDropHandle, task_tracker::TaskTrackerToken};

use super::{
    Inner,
    callback::{Handler, State},
    context::Scope,
    registry::Registered,
    session::Link,
    span::{ServerSpan, carry},
    stream::respond::respond,
    stub::{Outcome, Reply},
};
use crate::wire::{
    CallId, Malformed, NodeId,
    failure::Failure,
    frame::{Ask, Frame, Head, Status},
};

/// How much of a panic's message is passed on, in bytes.
const PANIC_MESSAGE: usize = 4 << 10;

/// Takes a frame from the controller; `alone` if no other came with it.
pub(crate) fn handle(inner: &Arc<Inner>, link: &Arc<Link>, frame: Frame, alone: bool) -> Result<(), Malformed> {
    let Frame { head, payload } = frame;
    match head {
        Head::Call { id, peer, ask } => start(inner, link, Arrived { id, caller: peer, ask, args: payload, alone }),
        Head::Reply { id, node, status } => inner.pending.answer(id, node, status, payload),
        Head::Cancel { id } => link.cancel(id),
        Head::Broadcast { .. } => return Err(Malformed("a broadcast towards a node")),
    }
    Ok(())
}

/// A call that came in.
struct Arrived {
    id: CallId,
    caller: NodeId,
    ask: Ask,
    args: Bytes,
    /// No other frame came with it.
    alone: bool,
}

fn start(inner: &Arc<Inner>, link: &Arc<Link>, call: Arrived) {
    let Arrived { id, caller, ask, args, alone } = call;
    if link.tasks.is_closed() {
        return fail(link, id, &Failure::NodeStopping, false);
    }
    let Some(callback) = inner.registry.find(ask.callback) else {
        return fail(link, id, &Failure::NoCallback, false);
    };
    let deadline = ask.budget.and_then(|budget| Instant::now().checked_add(budget));
    let (unwanted, first) = link.begin(id);
    let alone = alone && first;
    let span = ServerSpan::begin(inner, &callback.name, caller, ask.trace);
    let scope = Scope::of_callback(inner, callback.clone(), caller, Some(id), deadline, span.trace(), unwanted);
    let (handler, inline) = (callback.handler(), callback.options().inline);
    let running = {
        let (inner, link) = (inner.clone(), link.clone());
        async move {
            let (outcome, place) = span.around(run_within(&callback, args, &scope, &link)).await;
            if let Some(Ok(Reply::Results(results))) = outcome {
                span.around(respond(&inner, &link, id, caller, ask, results, scope)).await;
                link.end(id);
                return span.ends(Some(&Ok(Reply::Value(Bytes::new()))));
            }
            // Whoever gets a result may call again at once: the place is free before.
            drop(place);
            let last = link.end(id);
            let alone = alone && last;
            span.ends(outcome.as_ref());
            match outcome {
                None | Some(Ok(Reply::Results(_))) => {}
                Some(Ok(Reply::Value(payload))) => answer(&link, id, Status::Value, &payload, alone),
                Some(Ok(Reply::Error(payload))) => answer(&link, id, Status::Error, &payload, alone),
                Some(Err(failure)) => fail(&link, id, &explain(failure, &callback), alone),
            }
        }
    };
    let running = link.tasks.track_future(running);
    match handler {
        _ if inline => drop(inner.runtimes.io.spawn(running)),
        Handler::Async(_) if alone => inner.runtimes.run_alone(running),
        // A sync one is for a blocking thread, which the runtime is to wait for.
        _ => drop(inner.runtimes.work.spawn(running)),
    }
}

/// Runs a callback until it returns, its deadline passes, or nobody wants its result (`None`). One that is to finish does so in any
/// case, once it has begun. With the outcome comes its place among those that may run at a time: results that are a stream are
/// still being made.
async fn run_within(
    callback: &Arc<Registered>,
    args: Bytes,
    scope: &Scope,
    link: &Link,
) -> (Option<Outcome>, Option<OwnedSemaphorePermit>) {
    let Scope { deadline, cancelled, .. } = scope;
    let passed = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(*deadline).await,
            None => std::future::pending().await,
        }
    };
    let run = async {
        let place = match &callback.limiter {
            Some(limiter) => match scope.wanted(limiter.enter()).await {
                Ok(Ok(place)) => Some(place),
                Ok(Err(failure)) | Err(failure) => return (Err(failure), None),
            },
            None => None,
        };
        run(callback, args, scope.clone(), Running { place, _tracked: link.tasks.token() }).await
    };
    tokio::select! {
        biased;
        () = cancelled.cancelled() => (None, None),
        (outcome, place) = run => match deadline {
            // It may have come of the deadline itself, passed on to a call of the callback's.
            Some(deadline) if *deadline <= Instant::now() => (Some(Err(Failure::Deadline)), place),
            _ => (Some(outcome), place),
        },
        () = passed => {
            // What the callback asked of others is not wanted any more either.
            cancelled.cancel();
            (Some(Err(Failure::Deadline)), None)
        }
    }
}

/// What a callback holds until it has run, whoever still waits for it: a thread cannot be stopped.
struct Running {
    /// Its place among those that may run at a time.
    place: Option<OwnedSemaphorePermit>,
    /// The node's end waits for it.
    _tracked: TaskTrackerToken,
}

/// Runs a callback once. Dropping the future stops an async callback at its next await; a sync one runs to its end, unless it has
/// not begun.
async fn run(
    callback: &Arc<Registered>,
    args: Bytes,
    scope: Scope,
    running: Running,
) -> (Outcome, Option<OwnedSemaphorePermit>) {
    let state = callback.state.clone();
    let outcome = match callback.handler() {
        Handler::Async(handler) => {
            let running = AssertUnwindSafe(async move { handler(state, args).await }).catch_unwind();
            scope.enter(running).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        }
        Handler::Sync(handler) if callback.options().inline => run_sync(handler, &state, &args, scope),
        Handler::Sync(handler) => {
            let run = carry(move || {
                let Running { place, _tracked } = running;
                (run_sync(handler, &state, &args, scope), place)
            });
            // One that waits for a thread is taken out of the queue; of one that runs nothing changes.
            let thread = AbortOnDropHandle::new(tokio::task::spawn_blocking(run));
            // The closure does not panic; a runtime that shuts down drops it before it ran.
            return thread.await.unwrap_or((Err(Failure::Cancelled), None));
        }
        Handler::TakeSync(_) | Handler::TakeAsync(_) => {
            Err(Failure::BadArguments { message: "it takes a stream, and this is a single call".into() })
        }
    };
    (outcome, running.place)
}

/// Runs a sync callback once.
fn run_sync(handler: fn(&State, &[u8]) -> Outcome, state: &State, args: &[u8], scope: Scope) -> Outcome {
    scope
        .enter_sync(|| std::panic::catch_unwind(AssertUnwindSafe(|| handler(state, args))))
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
pub(crate) fn explain(failure: Failure, callback: &Registered) -> Failure {
    match failure {
        Failure::BadArguments { message } => {
            Failure::BadArguments { message: format!("{message}; the callback is `{}`", callback.signature()) }
        }
        other => other,
    }
}

/// Sends an answer; `alone` if no other is about to follow it.
fn answer(link: &Link, id: CallId, status: Status, payload: &[u8], alone: bool) {
    let head = Head::Reply { id, node: 0, status };
    if alone {
        link.frames.send_alone(&head, payload);
    } else {
        link.frames.send(&head, payload);
    }
}

fn fail(link: &Link, id: CallId, failure: &Failure, alone: bool) {
    answer(link, id, Status::Failure, &failure.encode(), alone);
}
