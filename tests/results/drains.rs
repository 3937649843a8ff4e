//! What a stop with grace does to streams: those that run, either way, come to their end, and no other begins.

use std::{sync::LazyLock, time::Duration};

use daffi::{CallError, Incoming, callback, callbacks, fetcher};
use futures_util::stream;
use tokio::sync::{mpsc, watch};

use crate::{MUCH, Pair, common::soon, rest, within};

/// More than may be on its way at a time, so that its source runs as long as nobody takes from it.
const MANY: u64 = 100_000;

/// How many items the whole stream's taker has.
static TAKEN: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

mod serve {
    use super::*;

    #[callback]
    pub(super) fn count(n: u64) -> impl Iterator<Item = u64> {
        0..n
    }

    #[callback]
    pub(super) async fn total(mut items: Incoming<u64>) -> u64 {
        let mut total = 0;
        while let Some(item) = items.next().await {
            total += item;
            TAKEN.send_modify(|taken| *taken += 1);
        }
        total
    }

    #[callback]
    pub(super) async fn item(_n: u64) {}
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn count(n: u64) -> impl Stream<Item = u64>;
    #[fetcher(STREAM)]
    pub(super) async fn total(n: u64) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn item(n: u64);
}

#[tokio::test]
async fn a_stop_lets_streams_finish_and_refuses_new_ones() {
    let pair = Pair::of(callbacks![serve::count, serve::total, serve::item]).await;
    let caller = &pair.caller;
    let mut results = ask::count(MANY).on(caller).await.unwrap();
    assert_eq!(results.next().await, Some(Ok(0)));
    let (items, source) = mpsc::unbounded_channel();
    let source = stream::unfold(source, async |mut source| source.recv().await.map(|item| (item, source)));
    let incoming = tokio::spawn(ask::total(source).on(caller).into_future());
    items.send(1).unwrap();
    soon(TAKEN.subscribe().wait_for(|taken| *taken == 1)).await.unwrap();

    let stop = tokio::spawn(pair.callee.stop_within(Duration::from_secs(600)));
    let stopping = || CallError::Stopping { who: r#"node "callee""#.into() };
    let refused = async {
        loop {
            let report = ask::item([1]).on(caller).await.unwrap();
            match &report.receivers[0].result {
                Ok(()) => {}
                Err(error) => break (error.clone(), report.receivers[0].delivered),
            }
        }
    };
    assert_eq!(soon(refused).await, (stopping(), 0));
    let report = ask::total([1]).on(caller).await.unwrap();
    assert_eq!((&report.receivers[0].result, report.receivers[0].delivered), (&Err(stopping()), 0));
    assert_eq!(ask::count(1).on(caller).await.map(drop), Err(stopping()));

    assert!(!stop.is_finished(), "it waits for what runs");
    let results = rest(&mut results).await;
    assert!(results.into_iter().eq((1..MANY).map(Ok)), "all results came, in order");
    assert!(!stop.is_finished(), "a stream runs that it takes");
    items.send(2).unwrap();
    drop(items);
    let report = within(MUCH, incoming).await.unwrap().unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.receivers[0].result, Ok(3));
    soon(stop).await.unwrap();
}

#[tokio::test]
async fn a_stop_whose_grace_is_over_breaks_what_still_runs() {
    let pair = Pair::of(callbacks![serve::count]).await;
    let mut results = ask::count(MANY).on(&pair.caller).await.unwrap();
    assert_eq!(results.next().await, Some(Ok(0)));
    soon(pair.callee.stop_within(Duration::from_millis(50))).await;
    let mut items = rest(&mut results).await;
    assert_eq!(items.pop(), Some(Err(CallError::NodeLost { node: "callee".into() })));
    let count = items.len() as u64;
    assert!(count < MANY && items.into_iter().eq((1..=count).map(Ok)), "what came is in order");
}
