//! Streams, and keeps the reports.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use daffi::{CallError, Global, OnSlow, StreamReport, callbacks};

use super::{GRACE, Item, Place};
use crate::{
    Result,
    process::Parent,
    soak::talk::{Broken, Finished, Kind, Part, ProducerOrder, Report, Streams},
};

/// How long a stream waits for its receivers to come.
const GATHERING: Duration = Duration::from_secs(15);

/// How long a receiver may finish nothing: longer than any fault lasts, and those that follow each other.
const STALL: Duration = Duration::from_secs(30);

/// Every so many items the source gives so many without a pause.
const BURST: (u64, u64) = (5_000, 1_000);

/// How many items a large stream has.
const LARGE: u64 = 4;

mod stub {
    use super::Item;

    #[daffi::fetcher(STREAM)]
    pub(super) async fn steady(item: Item);

    #[daffi::fetcher(STREAM)]
    pub(super) async fn live(item: Item);

    #[daffi::fetcher(STREAM)]
    pub(super) async fn large(item: Item);
}

/// What the streams that are under way share.
#[derive(Debug, Default)]
struct Shared {
    /// By kind: whether the source has to come to its end.
    stop: [AtomicBool; 3],
    running: AtomicU64,
    finished: Mutex<Vec<Finished>>,
}

impl Shared {
    fn tell(&self) -> Streams {
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        Streams { running: self.running.load(Relaxed), finished }
    }
}

pub(super) async fn play(place: Place) -> Result<()> {
    let node = Arc::new(place.builder().callbacks(callbacks![]).start().await?);
    let shared = Arc::<Shared>::default();
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(order) = parent.order().await? {
        match order {
            ProducerOrder::Begin { kind, stream, receivers } => {
                shared.stop[kind as usize].store(false, Relaxed);
                shared.running.fetch_add(1, Relaxed);
                tokio::spawn(run(node.clone(), shared.clone(), kind, stream, receivers));
            }
            ProducerOrder::End(kind) => shared.stop[kind as usize].store(true, Relaxed),
            ProducerOrder::Tell => {}
        }
        parent.answer(&shared.tell())?;
    }
    node.stop_within(GRACE).await;
    Ok(())
}

async fn run(node: Arc<Global>, shared: Arc<Shared>, kind: Kind, stream: u64, receivers: Vec<String>) {
    for receiver in receivers {
        // Who has not come by then is not among them, which the report says.
        drop(node.wait_process(receiver).timeout(GATHERING).await);
    }
    let began = now();
    let source = items(shared.clone(), kind, stream);
    let call = match kind {
        Kind::Steady => stub::steady(source).on_slow(OnSlow::Block),
        Kind::Live => stub::live(source).on_slow(OnSlow::KeepLatest),
        Kind::Large => stub::large(source).on_slow(OnSlow::Block),
    };
    let outcome = match call.stall_after(STALL).wait_for_receiver(GATHERING).await {
        Ok(report) => Ok(told(report)),
        Err(error) => Err(Broken { refused: error.is_retryable(), error: format!("{error:?}") }),
    };
    let finished = Finished { kind, stream, began, ended: now(), outcome };
    shared.finished.lock().unwrap_or_else(PoisonError::into_inner).push(finished);
    shared.running.fetch_sub(1, Relaxed);
}

/// The items of a stream, at the pace of its kind, until it is to end.
fn items(shared: Arc<Shared>, kind: Kind, stream: u64) -> impl Iterator<Item = Item> + Send {
    let (pause, size, count) = match kind {
        Kind::Steady => (Duration::from_millis(2), 200, u64::MAX),
        Kind::Live => (Duration::from_millis(10), 2_000, u64::MAX),
        Kind::Large => (Duration::ZERO, 3 << 20, LARGE),
    };
    let mut due = Instant::now();
    (0..count).map_while(move |number| {
        if kind != Kind::Steady || number % BURST.0 >= BURST.1 {
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        due = Instant::now().max(due + pause);
        let ends = kind != Kind::Large && shared.stop[kind as usize].load(Relaxed);
        (!ends).then(|| Item { stream, number, body: vec![number as u8; size] })
    })
}

fn told(report: StreamReport) -> Report {
    let parts = report.receivers.into_iter().map(|part| Part {
        node: part.node,
        first: part.first,
        delivered: part.delivered,
        dropped: part.dropped,
        refused: part.result.as_ref().is_err_and(CallError::is_retryable) && part.delivered == 0,
        failed: part.result.err().map(|error| error.to_string()),
    });
    Report { sent: report.sent, parts: parts.collect() }
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
