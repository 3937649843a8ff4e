//! Runs this node's callbacks for others.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, vec::Drain};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, task_tracker::TaskTrackerToken},
};

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

/// Takes the frames that came from the controller together.
pub(crate) fn handle(inner: &Arc<Inner>, link: &Arc<Link>, frames: Drain<'_, Frame>) -> Result<(), Malformed> {
    let alone = frames.len() == 1;
    let mut calls = Vec::new();
    for Frame { head, payload } in frames {
        match head {
            Head::Call { id, peer, ask } => match admit(inner, link, id, peer, ask, payload) {
                Ok(call) if alone && call.first => start(inner, link, call, true),
                Ok(call) if call.callback.options().inline => start(inner, link, call, false),
                Ok(call) => calls.push(call),
                Err(failure) => fail(link, id, &failure, false),
            },
            Head::Reply { id, node, status } => inner.pending.answer(id, node, status, payload),
            Head::Cancel { id } => link.cancel(id),
            Head::Broadcast { .. } => return Err(Malformed("a broadcast towards a node")),
        }
    }
    if let [_] = calls.as_slice() {
        calls.drain(..).for_each(|call| start(inner, link, call, false));
    } else if !calls.is_empty() {
        // The I/O thread hands them over at once: it would have to wake others for each.
        let (inner, link) = (inner.clone(), link.clone());
        let work = inner.runtimes.work.clone();
        work.spawn(async move { calls.into_iter().for_each(|call| start(&inner, &link, call, false)) });
    }
    Ok(())
}

/// A call that came in and is to run.
struct Arrived {
    id: CallId,
    caller: NodeId,
    ask: Ask,
    args: Bytes,
    callback: Arc<Registered>,
    deadline: Option<Instant>,
    unwanted: CancellationToken,
    /// No other is running.
    first: bool,
    /// The node's end waits for it.
    tracked: TaskTrackerToken,
}

fn admit(inner: &Inner, link: &Link, id: CallId, caller: NodeId, ask: Ask, args: Bytes) -> Result<Arrived, Failure> {
    if inner.tasks.is_closed() {
        return Err(Failure::NodeStopping);
    }
    let callback = inner.registry.find(ask.callback).ok_or(Failure::NoCallback)?;
    let deadline = ask.budget.and_then(|budget| Instant::now().checked_add(budget));
    let (unwanted, first) = link.begin(id);
    Ok(Arrived { id, caller, ask, args, callback, deadline, unwanted, first, tracked: inner.tasks.token() })
}

/// Runs it in a task; `alone` if no other came with it or is running.
fn start(inner: &Arc<Inner>, link: &Arc<Link>, call: Arrived, alone: bool) {
    let Arrived { id, caller, ask, args, callback, deadline, unwanted, tracked, .. } = call;
    let span = ServerSpan::begin(inner, &callback.name, caller, ask.trace);
    let (trace, ended) = (span.trace(), link.ended.clone());
    let scope = Scope::of_callback(inner, callback.clone(), caller, Some(id), deadline, trace, unwanted, ended);
    let (handler, inline) = (callback.handler(), callback.options().inline);
    let running = {
        let (inner, link) = (inner.clone(), link.clone());
        async move {
            let (outcome, place) = span.around(run_within(&callback, args, &scope)).await;
            if let Some(Ok(Reply::Results(results))) = outcome {
                // Few calls come here, and all would carry the room that it takes.
                Box::pin(span.around(respond(&inner, &link, id, caller, ask, results, scope))).await;
                link.end(id);
                drop(tracked);
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
            // The answer is on its way before the node may end.
            drop(tracked);
        }
    };
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
) -> (Option<Outcome>, Option<OwnedSemaphorePermit>) {
    let Scope { deadline, cancelled, .. } = scope;
    tokio::select! {
        biased;
        () = cancelled.cancelled() => (None, None),
        (outcome, place) = run(callback, args, scope) => match deadline {
            // It may have come of the deadline itself, passed on to a call of the callback's.
            Some(deadline) if *deadline <= Instant::now() => (Some(Err(Failure::Deadline)), place),
            _ => (Some(outcome), place),
        },
        () = passed(*deadline) => {
            // What the callback asked of others is not wanted any more either.
            cancelled.cancel();
            (Some(Err(Failure::Deadline)), None)
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What a callback holds until it has run, whoever still waits for it: a thread cannot be stopped.
struct Running {
    /// Its place among those that may run at a time.
    place: Option<OwnedSemaphorePermit>,
    /// The node's end waits for it.
    _tracked: TaskTrackerToken,
}

/// Runs a callback once, when there is a place for it. Dropping the future stops an async callback at its next await; a sync one runs
/// to its end, unless it has not begun.
async fn run(callback: &Arc<Registered>, args: Bytes, scope: &Scope) -> (Outcome, Option<OwnedSemaphorePermit>) {
    let place = match &callback.limiter {
        Some(limiter) => match Box::pin(scope.wanted(limiter.enter())).await {
            Ok(Ok(place)) => Some(place),
            Ok(Err(failure)) | Err(failure) => return (Err(failure), None),
        },
        None => None,
    };
    let running = Running { place, _tracked: scope.node.tasks.token() };
    let state = callback.state.clone();
    let outcome = match callback.handler() {
        Handler::Async(handler) => {
            let handled = AssertUnwindSafe(handler(state, args)).catch_unwind();
            scope.clone().enter(handled).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        }
        Handler::Sync(handler) if callback.options().inline => run_sync(handler, &state, &args, scope.clone()),
        Handler::Sync(handler) => {
            let scope = scope.clone();
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
    let (size, limit) = (payload.len() as u64, link.terms.message_size);
    if size > limit {
        // What says so is small.
        return put_answer(link, id, Status::Failure, &Failure::TooLarge { size, limit }.encode(), alone);
    }
    put_answer(link, id, status, payload, alone);
}

fn put_answer(link: &Link, id: CallId, status: Status, payload: &[u8], alone: bool) {
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
