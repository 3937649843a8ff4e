//! The receiver's side of a stream: batches in, callback run for each item in order, credit and an answer back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    link::{LinkError, Reader},
    node::{
        Inner,
        callback::{Handler, State},
        context::Scope,
        event::{Event, StreamEnded},
        invoke::{explain, panicked},
        registry::Registered,
        session::Link,
        stub::{BoxFuture, Outcome, Reply},
    },
    transport::{CloseCode, RecvStream, SendStream, StreamLost},
    wire::{
        Malformed,
        batch::{Batch, Cutter, Items},
        credit::{Credit, Window},
        failure::Failure,
        item_stream::{Answer, ReceiverEnd, StreamEnd, StreamOffer},
        limits,
    },
};

/// How often a receiver that is slow tells how far it is, so that it is not taken for stalled. More often, if it would be
/// taken for that sooner.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The largest failure that is passed on, in bytes; it travels in a message that has a limit.
const MAX_FAILURE: usize = 256 << 10;

/// Accepts streams from the controller until the connection is gone. Each runs in a task of its own, which notices by itself
/// when its connection is gone, and tells this node's user.
pub(crate) async fn accept(inner: &Arc<Inner>, link: &Arc<Link>) -> LinkError {
    loop {
        let (send, receive) = match link.connection.accept_bi().await {
            Ok(streams) => streams,
            Err(lost) => return lost.into(),
        };
        let (inner, tasks, link) = (inner.clone(), link.tasks.clone(), link.clone());
        tokio::spawn(tasks.track_future(async move {
            if let Err(LinkError::Malformed(malformed)) = run(inner, &link, send, receive).await {
                tracing::error!(%malformed, "a stream makes no sense");
                link.connection.close(CloseCode::Malformed, malformed.0);
            }
        }));
    }
}

async fn run(inner: Arc<Inner>, link: &Link, mut send: SendStream, receive: RecvStream) -> Result<(), LinkError> {
    let mut reader = Reader::new(receive);
    let offer: StreamOffer = reader.item_stream_header().await?;
    if link.tasks.is_closed() {
        return answer_end(&mut send, 0, Some(Failure::NodeStopping)).await;
    }
    let Some(callback) = inner.registry.find(offer.callback) else {
        return answer_end(&mut send, 0, Some(Failure::NoCallback)).await;
    };
    let producer = inner.directory.borrow().name_of(offer.producer);
    let (source, first) = reader.into_parts();
    let cancelled = link.ended.child_token();
    let (batches, queue) = mpsc::unbounded_channel();
    let progress = Arc::new(Progress::default());
    let (caller, unwanted) = (offer.producer, cancelled.clone());
    let scope = Scope::of_callback(&inner, callback.clone(), caller, None, None, offer.trace, unwanted);
    let tell_every = TELL_EVERY.min(Duration::from_millis(offer.stall_millis) / 4).max(Duration::from_millis(1));
    let mut worker = start_worker(&inner, &callback, queue, progress.clone(), scope);

    let taken = take_in(source, first, batches, &progress).fuse();
    let (ended, lost) = {
        let mut lost = None;
        let mut taken = std::pin::pin!(taken);
        let mut told = std::pin::pin!(tell_progress(&progress, tell_every, &mut send).fuse());
        // The worker goes on after the last batch has come: what waits is still to be run.
        let ended = loop {
            tokio::select! {
                ended = &mut worker => break ended,
                taken = &mut taken => match taken {
                    Ok(()) => {}
                    Err(LinkError::Malformed(malformed)) => {
                        progress.stop(&cancelled);
                        return Err(malformed.into());
                    }
                    Err(LinkError::Lost(why)) => {
                        lost = Some(why);
                        progress.stop(&cancelled);
                    }
                },
                // The source may have ended long ago; this side of the stream still tells that nobody wants the rest.
                () = &mut told => progress.stop(&cancelled),
            }
        };
        // The worker panics in no case; its runtime ending drops it.
        (ended.unwrap_or(WorkerEnd::Stopped), lost)
    };
    let delivered = progress.items.load(Ordering::Relaxed);
    let (how, failure) = match ended {
        WorkerEnd::Failed(failure) => {
            let failure = explain(failure, &callback);
            (StreamEnded::CallbackFailed { message: failure.to_string() }, Some(failure))
        }
        WorkerEnd::Finished(end) => (end.into(), None),
        WorkerEnd::Stopped if matches!(lost, Some(StreamLost::Connection(_))) => (StreamEnded::Disconnected, None),
        WorkerEnd::Stopped => (StreamEnded::Cancelled, None),
    };
    tracing::debug!(callback = callback.name, producer, delivered, end = ?how, "a stream ended");
    inner.announce(Event::StreamEnded { callback: callback.name.clone(), producer, delivered, end: how });
    answer_end(&mut send, delivered, failure).await
}

impl From<StreamEnd> for StreamEnded {
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Finished => Self::Finished,
            StreamEnd::SourceFailed { message } => Self::SourceFailed { message },
            StreamEnd::ProducerLost => Self::ProducerLost,
            StreamEnd::OtherReceiverFailed => Self::OtherReceiverFailed,
            StreamEnd::Unknown => Self::Cancelled,
        }
    }
}

async fn answer_end(send: &mut SendStream, delivered: u64, failure: Option<Failure>) -> Result<(), LinkError> {
    let failure = failure.map(|failure| match failure {
        Failure::App { error } if error.len() > MAX_FAILURE => {
            Failure::TooLarge { size: error.len() as u64, limit: MAX_FAILURE as u64 }
        }
        other => other,
    });
    let mut bytes = Vec::new();
    Answer::Ended(ReceiverEnd { node: 0, delivered, value: None, failure }).put(&mut bytes);
    send.write(&mut [bytes.into()]).await?;
    send.finish();
    send.settled().await?;
    Ok(())
}

/// How far a stream is, shared by its reader, its worker and the answers to the controller.
#[derive(Debug)]
struct Progress {
    window: Mutex<Window>,
    /// A grant is due.
    due: Notify,
    /// Items whose callback returned without an error.
    items: AtomicU64,
    /// Nobody wants the rest.
    stopped: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        let size = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };
        Self {
            window: Window::new(size).into(),
            due: Notify::new(),
            items: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Progress {
    fn with<T>(&self, change: impl FnOnce(&mut Window) -> T) -> T {
        change(&mut self.window.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops the callback: a sync one looks at the flag between items, an async one is dropped.
    fn stop(&self, cancelled: &CancellationToken) {
        self.stopped.store(true, Ordering::Relaxed);
        cancelled.cancel();
    }

    /// The callback is through with all of these.
    fn finish(&self, total: Credit) {
        if self.with(|window| window.finish(total)).is_some() {
            self.due.notify_one();
        }
    }

    /// What may be granted at this moment, within a batch too.
    fn grant(&self) -> Credit {
        let items = self.items.load(Ordering::Relaxed);
        self.with(|window| {
            window.finish(Credit { items, bytes: 0 });
            window.grant()
        })
    }
}

/// Cuts what comes into batches for the worker. Ends with the stream's end, or with what broke it.
async fn take_in(
    mut source: RecvStream,
    first: Bytes,
    batches: mpsc::UnboundedSender<Batch>,
    progress: &Progress,
) -> Result<(), LinkError> {
    let (mut cutter, mut chunks) = (Cutter::default(), vec![first]);
    loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        while let Some(batch) = cutter.next_batch()? {
            let end = batch.header().end;
            if !end && progress.with(|window| window.receive(batch.cost())).is_err() {
                return Err(Malformed("a stream that exceeds its credit").into());
            }
            // The worker may have ended early; then its answer has gone, and nothing more is wanted.
            if batches.send(batch).is_err() {
                source.stop();
                return Ok(());
            }
            if end {
                return Ok(());
            }
        }
        if !source.read(&mut chunks).await? {
            return Err(Malformed("a stream without an end").into());
        }
    }
}

/// Tells the controller how far the callback is: when enough has been finished, and now and then. Ends when the controller wants
/// no more answers, which means that nobody wants the items.
async fn tell_progress(progress: &Progress, every: Duration, send: &mut SendStream) {
    let mut told = progress.with(|window| window.granted());
    loop {
        tokio::select! {
            _ = timeout(every, progress.due.notified()) => {}
            _ = send.settled() => return,
        }
        let granted = progress.grant();
        if granted == told {
            continue;
        }
        told = granted;
        let mut bytes = Vec::new();
        Answer::Grant(granted).put(&mut bytes);
        if send.write(&mut [bytes.into()]).await.is_err() {
            return;
        }
    }
}

/// How the callback's part ended.
enum WorkerEnd {
    /// With the stream.
    Finished(StreamEnd),
    /// On an item.
    Failed(Failure),
    /// Somebody wants no more of it.
    Stopped,
}

/// Runs the callback for each item, in order: a sync one on one thread for the whole stream, an async one in one task. While a
/// thread blocks, a paused clock stands still, and items that are on their way never come: so there a sync callback has a thread
/// for each batch.
fn start_worker(
    inner: &Arc<Inner>,
    callback: &Arc<Registered>,
    queue: mpsc::UnboundedReceiver<Batch>,
    progress: Arc<Progress>,
    scope: Scope,
) -> JoinHandle<WorkerEnd> {
    let (inner, callback) = (inner.clone(), callback.clone());
    if callback.limiter.is_none() {
        return begin(&inner, &callback, queue, progress, scope);
    }
    inner.runtimes.work.clone().spawn(async move {
        let place = match &callback.limiter {
            Some(limiter) => scope.wanted(limiter.enter()).await,
            None => return WorkerEnd::Stopped,
        };
        match place {
            Ok(Ok(_place)) => begin(&inner, &callback, queue, progress, scope).await.unwrap_or(WorkerEnd::Stopped),
            Ok(Err(full)) => WorkerEnd::Failed(full),
            Err(_) => WorkerEnd::Stopped,
        }
    })
}

fn begin(
    inner: &Inner,
    callback: &Registered,
    queue: mpsc::UnboundedReceiver<Batch>,
    progress: Arc<Progress>,
    scope: Scope,
) -> JoinHandle<WorkerEnd> {
    let work = &inner.runtimes.work;
    let (state, cancelled) = (callback.state.clone(), scope.cancelled.clone());
    match callback.handler() {
        Handler::Sync(handler) if inner.clock.may_be_paused() => work.spawn(async move {
            run_all_in_turns(handler, &state, queue, &progress, &scope).await.unwrap_or_else(|end| end)
        }),
        Handler::Sync(handler) => work.spawn_blocking(move || {
            scope.enter_sync(|| run_all_sync(handler, &state, queue, &progress)).unwrap_or_else(|end| end)
        }),
        Handler::Async(handler) => work.spawn(async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => WorkerEnd::Stopped,
                end = scope.enter(run_all(handler, &state, queue, &progress)) => end.unwrap_or_else(|end| end),
            }
        }),
        Handler::TakeSync(_) | Handler::TakeAsync(_) => todo!(),
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
        let run = move || scope.enter_sync(|| run_batch(handler, &state, &batch, &progress_of_thread));
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
        if progress.stopped.load(Ordering::Relaxed) {
            return Err(WorkerEnd::Stopped);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| handler(state, item)));
        check(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))))?;
        progress.items.fetch_add(1, Ordering::Relaxed);
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
            if progress.stopped.load(Ordering::Relaxed) {
                return Ok(WorkerEnd::Stopped);
            }
            let state = state.clone();
            let outcome = AssertUnwindSafe(async move { handler(state, item).await }).catch_unwind().await;
            check(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))))?;
            progress.items.fetch_add(1, Ordering::Relaxed);
        }
        done = done.plus(batch.cost());
        progress.finish(done);
    }
    Ok(WorkerEnd::Stopped)
}

/// The items of a batch; an error is the stream's end.
fn open(batch: &Batch) -> Result<Items, WorkerEnd> {
    match batch.stream_end().map_err(malformed)? {
        Some(end) => Err(WorkerEnd::Finished(end)),
        None => batch.items().map_err(malformed),
    }
}

/// A batch that the producer made wrongly: the controller looks at headers only, so the receiver notices.
fn malformed(malformed: Malformed) -> WorkerEnd {
    WorkerEnd::Failed(Failure::BadArguments { message: malformed.to_string() })
}

fn check(outcome: Outcome) -> Result<(), WorkerEnd> {
    match outcome {
        Ok(Reply::Value(_)) => Ok(()),
        Ok(Reply::Error(error)) => Err(WorkerEnd::Failed(Failure::App { error: error.into() })),
        Err(failure) => Err(WorkerEnd::Failed(failure)),
    }
}
