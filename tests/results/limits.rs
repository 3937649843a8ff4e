//! What holds a source back, how many run at a time, and what a call gets that expects something else.

use std::{sync::LazyLock, time::Duration};

use daffi::{CallError, callback, callbacks, fetcher, testing::Network};
use daffi_core::node::{
    Callback,
    stub::{Definition, Kind},
};
use futures_util::{Stream, StreamExt, stream};

use crate::{MUCH, Pair, Tap, common::soon, within};

static PAGES: LazyLock<Tap> = LazyLock::new(Tap::new);
static OTHER: LazyLock<Tap> = LazyLock::new(Tap::new);
static PAUSED: LazyLock<Tap> = LazyLock::new(Tap::new);
static BUSY: LazyLock<Tap> = LazyLock::new(Tap::new);
static LIMITED: LazyLock<Tap> = LazyLock::new(Tap::new);

const PAGE: usize = 1 << 10;

/// How many pages may be on their way: the window, the batch that fills it, and what waits for the writer.
const AHEAD: u64 = (daffi::limits::STREAM_WINDOW_BYTES + 8 * daffi::limits::BATCH as u64) / PAGE as u64;

mod serve {
    use super::*;

    #[callback]
    pub(super) fn pages() -> impl Iterator<Item = (u64, String)> {
        PAGES.open().map(|n| (n, "x".repeat(PAGE)))
    }

    #[callback]
    pub(super) fn other() -> impl Iterator<Item = u64> {
        OTHER.open()
    }

    #[callback]
    pub(super) async fn paused() -> impl Stream<Item = (u64, String)> {
        stream::iter(PAUSED.open()).map(|n| (n, "x".repeat(PAGE)))
    }

    #[callback]
    pub(super) fn busy() -> impl Iterator<Item = u64> {
        BUSY.open()
    }

    #[callback]
    pub(super) fn echo(n: u64) -> u64 {
        n
    }

    #[callback(limit = 1, queue = 0)]
    pub(super) fn limited() -> impl Iterator<Item = u64> {
        LIMITED.open()
    }
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn pages() -> impl Stream<Item = (u64, String)>;
    #[fetcher]
    pub(super) async fn paused() -> impl Stream<Item = (u64, String)>;
    #[fetcher]
    pub(super) async fn busy() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn echo(n: u64) -> u64;
    #[fetcher(name = "echo_stream")]
    pub(super) async fn echo_stream(n: u64) -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn limited() -> impl Stream<Item = u64>;
}

#[tokio::test]
async fn a_consumer_that_pauses_holds_the_source_back() {
    let pair = Pair::of(callbacks![serve::pages, serve::echo]).await;
    let mut pages = ask::pages().on(&pair.caller).await.unwrap();
    for n in 0..10 {
        assert_eq!(soon(pages.next()).await.unwrap().unwrap().0, n);
    }
    // The window is used up, and then not even a thousand round trips later has anything more been made.
    while PAGES.given() < AHEAD / 2 {
        ask::echo(1).on(&pair.caller).await.unwrap();
    }
    for n in 0..1_000 {
        assert_eq!(ask::echo(n).on(&pair.caller).await, Ok(n));
    }
    assert!(PAGES.given() <= 10 + AHEAD, "{} pages made, of which 10 were taken", PAGES.given());
    // It goes on where it was.
    for n in 10..20_000 {
        assert_eq!(soon(pages.next()).await.unwrap().unwrap().0, n);
    }
    assert!(PAGES.given() <= 20_000 + AHEAD, "{} pages made, of which 20,000 were taken", PAGES.given());
    drop(pages);
    PAGES.is_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_may_pause_as_long_as_it_pleases() {
    let net = Network::new();
    let _callee = net.node("callee").callbacks(callbacks![serve::paused]).join().await.unwrap();
    let caller = net.node("caller").callbacks([]).join().await.unwrap();
    caller.wait_function("paused").await.unwrap();
    let mut pages = ask::paused().on(&caller).await.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap().0, 0);
    net.advance(Duration::from_secs(3_600)).await;
    assert!(PAUSED.given() <= 1 + AHEAD, "{} pages made, of which one was taken", PAUSED.given());
    for n in 1..20_000 {
        assert_eq!(pages.next().await.unwrap().unwrap().0, n);
    }
}

#[tokio::test]
async fn a_stream_keeps_its_place_among_those_that_may_run() {
    let pair = Pair::of(callbacks![serve::limited]).await;
    let mut first = ask::limited().on(&pair.caller).await.unwrap();
    assert_eq!(first.next().await, Some(Ok(0)));
    let refused = ask::limited().on(&pair.caller).await.unwrap_err();
    assert!(matches!(refused, CallError::Full { running: 1, waiting: 0, .. }), "{refused:?}");
    drop(first);
    // Its place is free a moment after its source is gone.
    let retried = async {
        loop {
            match ask::limited().on(&pair.caller).await {
                Ok(results) => break results,
                Err(CallError::Full { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    assert_eq!(soon(retried).await.next().await, Some(Ok(0)));
}

#[tokio::test]
async fn a_call_that_gets_the_other_kind_of_answer_says_so() {
    // It says of itself that it returns a stream, and does not.
    let mut liar: Callback = <serve::echo as Definition>::CALLBACK;
    (liar.name, liar.signature.kind) = ("echo_stream", Kind::Results);
    // The other way round.
    let mut other: Callback = <serve::other as Definition>::CALLBACK;
    other.signature.kind = Kind::Call;
    let pair = Pair::of([liar, other]).await;
    let error = ask::echo_stream(1).on(&pair.caller).await.unwrap_err();
    assert!(matches!(&error, CallError::BadReply { message, .. } if message.contains("one result")), "{error:?}");

    let error = pair.caller.call("other").await.unwrap_err();
    assert!(
        matches!(&error, CallError::BadReply { message, .. } if message.contains("stream of results")),
        "{error:?}"
    );
    let replies = pair.caller.call("other").broadcast().await.unwrap();
    assert!(matches!(&replies[0].result, Err(CallError::BadReply { .. })), "{replies:?}");
    OTHER.is_closed().await;
}

#[tokio::test]
async fn a_stream_counts_as_busy_as_long_as_it_lasts() {
    let pair = Pair::of(callbacks![serve::busy]).await;
    let other = pair.controller.node("other", callbacks![serve::busy]).await;
    crate::common::meet(&[&pair.caller, &pair.callee, &other]).await;
    let first = ask::busy().on(&pair.caller).least_busy().await.unwrap();
    let second = ask::busy().on(&pair.caller).least_busy().await.unwrap();
    assert_ne!(first.node(), second.node());
    let free = first.node().to_owned();
    drop(first);
    let third = within(MUCH, ask::busy().on(&pair.caller).least_busy()).await.unwrap();
    assert_eq!(third.node(), free);
    drop((second, third));
    BUSY.is_closed().await;
}
