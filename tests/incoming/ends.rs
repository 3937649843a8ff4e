//! How a stream ends before its time, as the callback that takes it sees it.

use std::sync::{
    Arc, LazyLock, Mutex,
    atomic::{AtomicU64, Ordering},
    mpsc,
};

use daffi::{
    CallError, Incoming, OnError, StreamEnded, callback, callbacks, fallible, fetcher, limits, testing::Network,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{oneshot, watch};

use crate::{MUCH, Pair, common::soon, ended, within};

/// What a callback notes of its stream while it takes it.
struct Note(LazyLock<watch::Sender<Noted>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Noted {
    taken: u64,
    /// The end, if it came to one.
    end: Option<StreamEnded>,
}

impl Note {
    const fn new() -> Self {
        Self(LazyLock::new(watch::Sender::default))
    }

    fn take(&self) {
        self.0.send_modify(|noted| noted.taken += 1);
    }

    fn end<T>(&self, items: &Incoming<T>) {
        self.0.send_modify(|noted| noted.end = items.end().cloned());
    }

    /// Waits until so many items were taken, and no end was seen.
    async fn reaches(&self, taken: u64) {
        let mut noted = self.0.subscribe();
        soon(noted.wait_for(|noted| noted.taken == taken && noted.end.is_none())).await.unwrap();
    }

    /// Waits for the end, and forgets what was noted.
    async fn ends(&self) -> (u64, StreamEnded) {
        let mut noted = self.0.subscribe();
        let ended = soon(noted.wait_for(|noted| noted.end.is_some())).await.unwrap().clone();
        self.0.send_replace(Noted::default());
        (ended.taken, ended.end.expect("waited for"))
    }
}

static SYNC: Note = Note::new();
static ASYNC: Note = Note::new();
static END_SYNC: Note = Note::new();
static END_ASYNC: Note = Note::new();
static LIMITED: Note = Note::new();
static KEPT: Note = Note::new();
static LOOKED: Note = Note::new();
static HELD: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

/// Released when an async callback is dropped.
static DROPPED: Mutex<Option<oneshot::Sender<()>>> = Mutex::new(None);

mod take {
    use super::*;

    #[callback]
    pub(super) fn blocking(mut items: Incoming<u64>) {
        items.iter().for_each(|_| SYNC.take());
        SYNC.end(&items);
    }

    #[callback]
    pub(super) fn end_blocking(mut items: Incoming<u64>) {
        items.iter().for_each(|_| END_SYNC.take());
        END_SYNC.end(&items);
    }

    #[callback]
    pub(super) async fn end_waiting(mut items: Incoming<u64>) {
        let _dropped = DROPPED.lock().unwrap().take();
        while items.next().await.is_some() {
            END_ASYNC.take();
        }
        END_ASYNC.end(&items);
    }

    #[callback]
    pub(super) async fn waiting(mut items: Incoming<u64>) {
        while items.next().await.is_some() {
            ASYNC.take();
        }
        ASYNC.end(&items);
    }

    #[callback(no_cancel)]
    pub(super) async fn kept(mut items: Incoming<u64>) -> u64 {
        while items.next().await.is_some() {
            KEPT.take();
        }
        KEPT.end(&items);
        0
    }

    #[callback]
    pub(super) fn text(mut items: Incoming<String>) -> u64 {
        items.iter().count() as u64
    }

    #[callback]
    pub(super) async fn idle(items: Incoming<Vec<u8>>) -> u64 {
        std::future::pending::<()>().await;
        drop(items);
        0
    }

    #[callback(limit = 1, queue = 0)]
    pub(super) fn limited(mut items: Incoming<u64>) -> u64 {
        items.iter().inspect(|_| LIMITED.take()).sum()
    }

    #[callback]
    pub(super) async fn ping() {}

    /// Takes one, and then none until it is let go on.
    #[callback]
    pub(super) fn slow(mut items: Incoming<Vec<u8>>) -> u64 {
        assert!(items.next().wait().is_some());
        let held = HELD.lock().unwrap().take().expect("the test set it");
        // Ends with its sender.
        let _ = held.recv();
        1 + items.iter().count() as u64
    }
}

mod spoilt {
    use super::*;

    #[callback]
    pub(super) fn looked(item: u64) -> Result<(), String> {
        if item == 100 { Err("spoilt".into()) } else { Ok(()) }
    }
}

mod looking {
    use super::*;

    #[callback]
    pub(super) fn looked(mut items: Incoming<u64>) {
        items.iter().for_each(|_| LOOKED.take());
        LOOKED.end(&items);
    }
}

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn blocking(item: u64);
    #[fetcher(STREAM)]
    pub(super) async fn waiting(item: u64);
    #[fetcher(STREAM)]
    pub(super) async fn end_blocking(item: u64);
    #[fetcher(STREAM)]
    pub(super) async fn end_waiting(item: u64);
    #[fetcher(STREAM)]
    pub(super) async fn kept(item: u64) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn text(item: u64) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn idle(page: Vec<u8>) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn limited(item: u64) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn looked(item: u64) -> Result<(), String>;
    #[fetcher(STREAM)]
    pub(super) async fn slow(page: Vec<u8>) -> u64;
}

#[tokio::test]
async fn a_source_that_fails_is_an_end_like_others() {
    let pair = Pair::of(callbacks![take::blocking, take::waiting]).await;
    let failing = || fallible((0..).map(|n: u64| if n < 50_000 { Ok(n) } else { Err("the camera is gone") }));
    let end = StreamEnded::SourceFailed { message: "the camera is gone".into() };
    for (call, note) in [(send::blocking(failing()), &SYNC), (send::waiting(failing()), &ASYNC)] {
        let error = within(MUCH, call.on(&pair.sender)).await.unwrap_err();
        assert_eq!(error, CallError::SourceFailed { message: "the camera is gone".into(), sent: 50_000 });
        assert_eq!(note.ends().await, (50_000, end.clone()));
    }
}

/// Three numbers, and then none for ever.
fn three() -> impl Stream<Item = u64> + Send + 'static {
    stream::iter(0..3).chain(stream::pending())
}

#[tokio::test]
async fn a_producer_that_loses_interest_drops_async_callbacks_and_ends_the_others() {
    let pair = Pair::of(callbacks![take::end_blocking, take::end_waiting, take::kept]).await;
    let mut events = pair.receiver.events();

    let call = tokio::spawn(send::end_blocking(three()).on(&pair.sender).into_future());
    END_SYNC.reaches(3).await;
    call.abort();
    assert_eq!(END_SYNC.ends().await, (3, StreamEnded::Cancelled));
    assert_eq!(ended(&mut events).await, (3, StreamEnded::Cancelled));

    let (alive, dropped) = oneshot::channel();
    *DROPPED.lock().unwrap() = Some(alive);
    let call = tokio::spawn(send::end_waiting(three()).on(&pair.sender).into_future());
    END_ASYNC.reaches(3).await;
    call.abort();
    assert!(soon(dropped).await.is_err(), "nothing is ever sent");
    assert_eq!(ended(&mut events).await, (3, StreamEnded::Cancelled));
    // It did not see the end.
    END_ASYNC.reaches(3).await;

    let call = tokio::spawn(send::kept(three()).on(&pair.sender).into_future());
    KEPT.reaches(3).await;
    call.abort();
    assert_eq!(KEPT.ends().await, (3, StreamEnded::Cancelled));
    assert_eq!(ended(&mut events).await, (3, StreamEnded::Cancelled));
}

#[tokio::test]
async fn a_producer_that_is_gone_and_another_receivers_failure_are_told_apart() {
    let pair = Pair::of(callbacks![looking::looked]).await;
    let gone = pair.controller.node("gone", []).await;
    crate::common::meet(&[&gone, &pair.receiver]).await;
    let call = tokio::spawn(send::looked(three()).on(&gone).into_future());
    LOOKED.reaches(3).await;
    call.abort();
    assert_eq!(LOOKED.ends().await, (3, StreamEnded::Cancelled));
    let call = tokio::spawn(send::looked(three()).on(&gone).into_future());
    LOOKED.reaches(3).await;
    drop(gone);
    // The task keeps the node alive, and is not aborted: the node leaves while it sends.
    drop(call);
    assert_eq!(LOOKED.ends().await, (3, StreamEnded::ProducerLost));

    let picky = pair.controller.node("picky", callbacks![spoilt::looked]).await;
    crate::common::meet(&[&pair.sender, &picky]).await;
    let call = send::looked(0..).on(&pair.sender).on_error(OnError::StopStream);
    let report = within(MUCH, call).await.unwrap();
    assert_eq!(report.receiver("picky").unwrap().result, Err(CallError::App("spoilt".into())));
    let (taken, end) = LOOKED.ends().await;
    assert_eq!(end, StreamEnded::OtherReceiverFailed);
    assert_eq!(report.receiver("receiver").unwrap().delivered, taken);
}

#[tokio::test]
async fn an_item_of_another_type_is_the_producers_mistake() {
    let pair = Pair::of(callbacks![take::text]).await;
    let report = within(MUCH, send::text(0..100_000).on(&pair.sender)).await.unwrap();
    let receiver = report.receiver("receiver").unwrap();
    assert_eq!(receiver.delivered, 1);
    let Err(CallError::BadArguments { message, .. }) = &receiver.result else { panic!("{receiver:?}") };
    assert!(message.contains("text(") && message.contains("Incoming<String>"), "{message}");
}

#[tokio::test]
async fn one_that_takes_nothing_holds_the_producer_back() {
    let pair = Pair::of(callbacks![take::slow, take::ping]).await;
    let (release, held) = mpsc::channel();
    *HELD.lock().unwrap() = Some(held);
    let given = Arc::new(AtomicU64::new(0));
    let pages = {
        let given = given.clone();
        (0..1_000).map(move |_| {
            given.fetch_add(1, Ordering::Relaxed);
            vec![1; 64 << 10]
        })
    };
    let call = tokio::spawn(send::slow(pages).on(&pair.sender).stall_after(MUCH).into_future());
    // 64 pages are a window; a page is a batch.
    let most = limits::STREAM_WINDOW_BYTES / (64 << 10) + 8;
    soon(async {
        while given.load(Ordering::Relaxed) < most / 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..100 {
        // Time for more, if there were any.
        pair.sender.call("ping").await.unwrap();
    }
    assert!(given.load(Ordering::Relaxed) <= most, "{given:?} pages made, of which one was taken");
    drop(release);
    let report = within(MUCH, call).await.unwrap().unwrap();
    assert_eq!(report.receiver("receiver").unwrap().result, Ok(1_000));
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_nothing_for_too_long_is_taken_off() {
    let net = Network::new();
    let _receiver = net.node("receiver").callbacks(callbacks![take::idle]).join().await.unwrap();
    let sender = net.node("sender").callbacks([]).join().await.unwrap();
    sender.wait_function("idle").await.unwrap();
    let pages = stream::iter((0..).map(|_| vec![1; 64 << 10]));
    let start = tokio::time::Instant::now();
    let report = send::idle(pages).on(&sender).await.unwrap();
    let stalled = CallError::Stalled { node: "receiver".into(), after: limits::STALL };
    assert_eq!(report.receiver("receiver").unwrap().result, Err(stalled));
    assert!(start.elapsed() >= limits::STALL && start.elapsed() < limits::STALL * 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn so_many_run_at_a_time() {
    let pair = Pair::of(callbacks![take::limited]).await;
    let first = tokio::spawn(send::limited(three()).on(&pair.sender).into_future());
    LIMITED.reaches(3).await;
    let refused = soon(send::limited(0..3).on(&pair.sender).into_future()).await.unwrap();
    let result = &refused.receiver("receiver").unwrap().result;
    assert!(matches!(result, Err(CallError::Full { running: 1, waiting: 0, .. })), "{result:?}");
    first.abort();
}
