//! Runs a callback for the items of a stream: for each, in order, or once for all of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    items::{Items, malformed_batch},
    progress::Progress,
};
use crate::{
    node::{
        Inner,
        callback::{Handler, State},
        context::Scope,
        invoke::panicked,
        registry::Registered,
        runtime::run_blocking,
        span::{carry, carry_future},
        stub::{BoxFuture, Outcome, Reply},
    },
    wire::{
        Malformed,
        batch::{self, Batch},
        credit::Credit,
        failure::Failure,
        item_stream::StreamEnd,
    },
};

/// How the callback's part ended.
pub(super) enum WorkerEnd {
    /// With the stream.
    Finished(StreamEnd),
    /// With the result of a callback that takes the whole stream.
    Returned(Bytes),
    /// On an item, or with the callback's own error.
    Failed(Failure),
    /// Somebody wants no more of it.
    Stopped,
}

/// Runs the callback: a sync one on one thread for the whole stream, an async one in one task. While a thread blocks, a paused
/// clock stands still, and items that are on their way never come: so there a sync callback has a thread for each batch, unless it
/// takes the stream as a whole.
pub(super) fn start(
    inner: &Arc<Inner>,
    callback: &Arc<Registered>,
    queue: mpsc::UnboundedReceiver<Batch>,
    progress: Arc<Progress>,
    producer: String,
    scope: Scope,
) -> JoinHandle<WorkerEnd> {
    let (inner, callback) = (inner.clone(), callback.clone());
    if callback.limiter.is_none() {
        return begin(&inner, &callback, queue, progress, producer, scope);
    }
    inner.runtimes.work.clone().spawn(carry_future(async move {
        let place = match &callback.limiter {
            Some(limiter) => scope.wanted(limiter.enter()).await,
            None => return WorkerEnd::Stopped,
        };
        match place {
            Ok(Ok(_place)) => {
                let running = begin(&inner, &callback, queue, progress, producer, scope);
                running.await.unwrap_or(WorkerEnd::Stopped)
            }
            Ok(Err(full)) => WorkerEnd::Failed(full),
            Err(_) => WorkerEnd::Stopped,
        }
    }))
}

fn begin(
    inner: &Inner,
    callback: &Registered,
    queue: mpsc::UnboundedReceiver<Batch>,
    progress: Arc<Progress>,
    producer: String,
    scope: Scope,
) -> JoinHandle<WorkerEnd> {
    let work = &inner.runtimes.work;
    let (state, cancelled) = (callback.state.clone(), scope.cancelled.clone());
    match callback.handler() {
        Handler::Sync(handler) if inner.clock.may_be_paused() => work.spawn(carry_future(async move {
            run_all_in_turns(handler, &state, queue, &progress, &scope).await.unwrap_or_else(|end| end)
        })),
        Handler::Sync(handler) => {
            let run =
                move || scope.enter_sync(|| run_all_sync(handler, &state, queue, &progress)).unwrap_or_else(|end| end);
            run_blocking(work, carry(run))
        }
        Handler::Async(handler) => work.spawn(carry_future(async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => WorkerEnd::Stopped,
                end = scope.enter(run_all(handler, &state, queue, &progress)) => end.unwrap_or_else(|end| end),
            }
        })),
        Handler::TakeSync(handler) => {
            let (items, _) = Items::new(queue, progress.clone(), producer);
            let run = carry(move || {
                let outcome = scope.enter_sync(|| catch_unwind(AssertUnwindSafe(|| handler(&state, items))));
                returned(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))), &progress)
            });
            run_blocking(work, run)
        }
        Handler::TakeAsync(handler) => {
            let (items, _) = Items::new(queue, progress.clone(), producer);
            work.spawn(carry_future(async move {
                let running = AssertUnwindSafe(async move { handler(state, items).await }).catch_unwind();
                let outcome = tokio::select! {
                    biased;
                    () = cancelled.cancelled() => return WorkerEnd::Stopped,
                    outcome = scope.enter(running) => outcome,
                };
                returned(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))), &progress)
            }))
        }
    }
}

/// What a callback's result means that takes the whole stream. That its items made no sense says more than what it made of that.
fn returned(outcome: Outcome, progress: &Progress) -> WorkerEnd {
    if let Some(failure) = progress.failure() {
        return WorkerEnd::Failed(failure.clone());
    }
    match outcome {
        Ok(Reply::Value(value)) => WorkerEnd::Returned(value),
        outcome => check(outcome).err().unwrap_or(WorkerEnd::Stopped),
    }
}

fn run_all_sync(
    handler: fn(&State, &[u8]) -> Outcome,
    state: &State,
    mut queue: mpsc::UnboundedReceiver<Batch>,
    progress: &Progress,
) -> Result<WorkerEnd, WorkerEnd> {
    let mut done = Credit::default();
    while let Some(batch) = queue.blocking_recv() {
        run_batch(handler, state, &batch, progress)?;
        done = done.plus(batch.cost());
        progress.finish(done);
    }
    Ok(WorkerEnd::Stopped)
}

async fn run_all_in_turns(
    handler: fn(&State, &[u8]) -> Outcome,
    state: &State,
    mut queue: mpsc::UnboundedReceiver<Batch>,
    progress: &Arc<Progress>,
    scope: &Scope,
) -> Result<WorkerEnd, WorkerEnd> {
    let mut done = Credit::default();
    while let Some(batch) = queue.recv().await {
        let (cost, state, scope, progress_of_thread) = (batch.cost(), state.clone(), scope.clone(), progress.clone());
        let run = carry(move || scope.enter_sync(|| run_batch(handler, &state, &batch, &progress_of_thread)));
        // The closure does not panic; a runtime that shuts down drops it before it ran.
        tokio::task::spawn_blocking(run).await.unwrap_or(Err(WorkerEnd::Stopped))?;
        done = done.plus(cost);
        progress.finish(done);
    }
    Ok(WorkerEnd::Stopped)
}

fn run_batch(
    handler: fn(&State, &[u8]) -> Outcome,
    state: &State,
    batch: &Batch,
    progress: &Progress,
) -> Result<(), WorkerEnd> {
    let mut items = open(batch)?;
    while let Some(item) = items.next_slice().map_err(malformed)? {
        if progress.stopped().is_some() {
            return Err(WorkerEnd::Stopped);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| handler(state, item)));
        check(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))))?;
        progress.finish_item();
    }
    Ok(())
}

async fn run_all(
    handler: fn(State, Bytes) -> BoxFuture<Outcome>,
    state: &State,
    mut queue: mpsc::UnboundedReceiver<Batch>,
    progress: &Progress,
) -> Result<WorkerEnd, WorkerEnd> {
    let mut done = Credit::default();
    while let Some(batch) = queue.recv().await {
        let mut items = open(&batch)?;
        while let Some(item) = items.next_item().map_err(malformed)? {
            // One that is to finish does so with the item at hand.
            if progress.stopped().is_some() {
                return Ok(WorkerEnd::Stopped);
            }
            let state = state.clone();
            let outcome = AssertUnwindSafe(async move { handler(state, item).await }).catch_unwind().await;
            check(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))))?;
            progress.finish_item();
        }
        done = done.plus(batch.cost());
        progress.finish(done);
    }
    Ok(WorkerEnd::Stopped)
}

/// The items of a batch; an error is the stream's end.
fn open(batch: &Batch) -> Result<batch::Items, WorkerEnd> {
    match batch.stream_end().map_err(malformed)? {
        Some(end) => Err(WorkerEnd::Finished(end)),
        None => batch.items().map_err(malformed),
    }
}

fn malformed(malformed: Malformed) -> WorkerEnd {
    WorkerEnd::Failed(malformed_batch(malformed))
}

fn check(outcome: Outcome) -> Result<(), WorkerEnd> {
    let failure = match outcome {
        Ok(Reply::Value(_)) => return Ok(()),
        Ok(Reply::Error(error)) => Failure::App { error: error.into() },
        Ok(Reply::Results(_)) => Failure::BadResult {
            message: "it returns a stream, and what takes a stream or its items has one result".into(),
        },
        Err(failure) => failure,
    };
    Err(WorkerEnd::Failed(failure))
}
