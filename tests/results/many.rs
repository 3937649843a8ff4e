//! Many streams of results, one after the other and at once.

use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use daffi::{callback, callbacks, fetcher};
use futures_util::{
    StreamExt,
    future::{join_all, try_join_all},
    stream::FuturesUnordered,
};

use crate::{MUCH, Pair, Tap, common::soon, rest, within};

/// So large that a source has soon filled what may wait: hundreds of them at small items would leave no processor to others.
const PAGE: usize = 16 << 10;

static ENDLESS: LazyLock<Tap> = LazyLock::new(Tap::new);
static HELD: LazyLock<Tap> = LazyLock::new(Tap::new);
static OPENED: AtomicUsize = AtomicUsize::new(0);

mod serve {
    use super::*;

    #[callback]
    pub(super) fn count(n: u32) -> impl Iterator<Item = u32> {
        0..n
    }

    #[callback]
    pub(super) fn endless() -> impl Iterator<Item = (u64, String)> {
        ENDLESS.open().map(|n| (n, "x".repeat(PAGE)))
    }

    #[callback]
    pub(super) async fn ping() {}

    #[callback]
    pub(super) fn held() -> impl Iterator<Item = (u64, String)> {
        OPENED.fetch_add(1, Ordering::Relaxed);
        HELD.open().map(|n| (n, "x".repeat(PAGE)))
    }
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn count(n: u32) -> impl Stream<Item = u32>;
    #[fetcher]
    pub(super) async fn endless() -> impl Stream<Item = (u64, String)>;
    #[fetcher]
    pub(super) async fn held() -> impl Stream<Item = (u64, String)>;
}

#[tokio::test]
async fn a_thousand_one_after_the_other() {
    let pair = Pair::of(callbacks![serve::count]).await;
    for n in 0..1_000 {
        let n = n % 10;
        let mut numbers = soon(ask::count(n).on(&pair.caller).into_future()).await.unwrap();
        assert!(rest(&mut numbers).await.into_iter().eq((0..n).map(Ok)));
    }
}

#[tokio::test]
async fn more_at_once_than_a_connection_carries() {
    let pair = Pair::of(callbacks![serve::count, serve::endless]).await;
    // Whole ones need not be taken from for the next to begin.
    let opened = try_join_all((0..300).map(|_| ask::count(100).on(&pair.caller).timeout(MUCH).into_future()));
    let mut all = within(MUCH, opened).await.unwrap();
    for numbers in &mut all {
        assert!(rest(numbers).await.into_iter().eq((0..100).map(Ok)));
    }
    // Endless ones wait for those before them to be dropped.
    let taken = join_all((0..300).map(async |_| {
        let mut numbers = ask::endless().on(&pair.caller).timeout(MUCH).await.unwrap();
        for expected in 0..20 {
            assert!(matches!(numbers.next().await, Some(Ok((n, _))) if n == expected));
        }
    }));
    within(MUCH, taken).await;
    ENDLESS.is_closed().await;
}

#[tokio::test]
async fn those_that_find_no_room_wait_for_it_and_calls_go_on() {
    const STREAMS: usize = 140;
    let pair = Pair::of(callbacks![serve::held, serve::ping]).await;
    let mut opening: FuturesUnordered<_> =
        (0..STREAMS).map(|_| ask::held().on(&pair.caller).timeout(MUCH).into_future()).collect();
    let mut held = Vec::new();
    while held.len() < 100 {
        held.push(within(MUCH, opening.next()).await.unwrap().unwrap());
    }
    // All callbacks have returned their streams; some of those have no room, and the calls after them have.
    soon(async {
        while OPENED.load(Ordering::Relaxed) < STREAMS {
            pair.caller.call("ping").await.unwrap();
        }
    })
    .await;
    // What is dropped makes room for the rest.
    drop(held);
    let mut rest = Vec::new();
    while let Some(results) = within(MUCH, opening.next()).await {
        let mut results = results.unwrap();
        assert!(matches!(within(MUCH, results.next()).await, Some(Ok((0, _)))));
        rest.push(results);
    }
    assert_eq!(rest.len(), STREAMS - 100);
    drop(rest);
    HELD.is_closed().await;
}
