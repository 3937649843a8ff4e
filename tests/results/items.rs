//! What arrives: every item, in order, of every kind of source and item.

use daffi::{CallError, callback, callbacks, fallible, fetcher};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{MUCH, Pair, rest, within};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("no {0}")]
struct Missing(u32);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Frame {
    number: u32,
    name: String,
}

mod serve {
    use super::*;

    #[callback]
    pub(super) fn count(n: u32) -> impl Iterator<Item = u32> {
        0..n
    }

    #[callback]
    pub(super) async fn frames(n: u32) -> impl Stream<Item = Frame> + Send {
        stream::iter(0..n).map(|number| Frame { number, name: format!("frame {number}") })
    }

    #[callback]
    pub(super) fn pages(n: u32) -> impl Iterator<Item = Vec<u8>> {
        (0..n).map(|page| vec![page as u8; 100_000])
    }

    #[callback]
    pub(super) fn gaps(n: u32) -> impl Iterator<Item = Result<u32, Missing>> {
        (0..n).map(|number| if number % 3 == 0 { Err(Missing(number)) } else { Ok(number) })
    }

    #[callback]
    pub(super) async fn pages_or_not(n: u32) -> impl Stream<Item = Result<Vec<u8>, Missing>> {
        stream::iter(0..n).map(|page| if page == 1 { Err(Missing(page)) } else { Ok(vec![page as u8; 3]) })
    }

    #[callback]
    pub(super) fn opened(n: u32) -> Result<impl Iterator<Item = u32>, Missing> {
        if n == 0 { Err(Missing(n)) } else { Ok(0..n) }
    }
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn count(n: u32) -> impl Stream<Item = u32>;
    #[fetcher]
    pub(super) async fn frames(n: u32) -> impl Stream<Item = Frame>;
    #[fetcher]
    pub(super) async fn pages(n: u32) -> impl Stream<Item = Vec<u8>>;
    #[fetcher]
    pub(super) fn gaps(n: u32) -> impl Iterator<Item = Result<u32, Missing>>;
    #[fetcher]
    pub(super) fn pages_or_not(n: u32) -> impl Stream<Item = Result<Vec<u8>, Missing>>;
    #[fetcher]
    pub(super) async fn opened(n: u32) -> Result<impl Stream<Item = u32>, Missing>;
    #[fetcher(STREAM)]
    pub(super) async fn add(n: u32);
}

#[tokio::test]
async fn exactly_what_the_source_gives_arrives_in_order() {
    let pair = Pair::of(callbacks![serve::count, serve::frames, serve::pages]).await;
    // Nothing, one, and several windows.
    for n in [0, 1, 10, 100_000] {
        let mut numbers = within(MUCH, ask::count(n).on(&pair.caller)).await.unwrap();
        assert_eq!(numbers.node(), "callee");
        assert!(rest(&mut numbers).await.into_iter().eq((0..n).map(Ok)), "{n} numbers");
        assert_eq!(numbers.next().await, None, "the end stays the end");
    }
    let mut frames = ask::frames(1_000).on(&pair.caller).await.unwrap();
    let expected = |number| Ok(Frame { number, name: format!("frame {number}") });
    assert!(rest(&mut frames).await.into_iter().eq((0..1_000).map(expected)));
    let mut pages = ask::pages(100).on(&pair.caller).await.unwrap();
    assert!(rest(&mut pages).await.into_iter().eq((0..100).map(|page| Ok(vec![page; 100_000]))));
}

#[tokio::test]
async fn an_error_item_is_one_of_many() {
    let pair = Pair::of(callbacks![serve::gaps, serve::pages_or_not]).await;
    let mut items = ask::gaps(7).on(&pair.caller).await.unwrap();
    let missing = |number| Err(CallError::App(Missing(number)));
    assert_eq!(rest(&mut items).await, [missing(0), Ok(1), Ok(2), missing(3), Ok(4), Ok(5), missing(6)]);
    let mut pages = ask::pages_or_not(3).on(&pair.caller).await.unwrap();
    assert_eq!(rest(&mut pages).await, [Ok(vec![0; 3]), missing_page(), Ok(vec![2; 3])]);
}

fn missing_page() -> Result<Vec<u8>, CallError<Missing>> {
    Err(CallError::App(Missing(1)))
}

#[tokio::test]
async fn opening_may_fail_with_the_callbacks_own_error() {
    let pair = Pair::of(callbacks![serve::opened]).await;
    let refused = ask::opened(0).on(&pair.caller).await;
    assert_eq!(refused.unwrap_err(), CallError::App(Missing(0)));
    let mut numbers = ask::opened(2).on(&pair.caller).await.unwrap();
    assert_eq!(rest(&mut numbers).await, [Ok(0), Ok(1)]);
}

#[tokio::test]
async fn all_of_it_works_without_an_async_runtime() {
    let pair = Pair::of(callbacks![serve::count]).await;
    let caller = pair.caller.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let mut numbers = ask::count(1_000).on(&caller).wait().unwrap();
        let first = numbers.next().wait();
        let rest: Result<Vec<_>, _> = numbers.iter().collect();
        (first, rest)
    });
    let (first, rest) = within(MUCH, taken).await.unwrap();
    assert_eq!(first, Some(Ok(0)));
    assert!(rest.unwrap().into_iter().eq(1..1_000));
}

mod relay {
    use super::*;

    /// Relays what another node gives.
    #[callback]
    pub(super) async fn frames(n: u32) -> Result<impl Stream<Item = Result<u32, String>>, String> {
        let numbers = ask::count(n).to("callee").await.map_err(|error| error.to_string())?;
        Ok(numbers.map(|number| number.map_err(|error| error.to_string())))
    }
}

mod ask_relay {
    use super::*;

    #[fetcher]
    pub(super) async fn frames(n: u32) -> Result<impl Stream<Item = u32>, String>;
}

mod sum {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    pub(super) static SUM: AtomicU64 = AtomicU64::new(0);

    #[callback]
    pub(super) fn add(n: u32) {
        SUM.fetch_add(n.into(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn results_may_be_passed_on() {
    let pair = Pair::of(callbacks![serve::count]).await;
    let middle = pair.controller.node("middle", callbacks![relay::frames, sum::add]).await;
    crate::common::meet(&[&pair.caller, &pair.callee, &middle]).await;
    let mut numbers = ask_relay::frames(50_000).on(&pair.caller).to("middle").await.unwrap();
    assert!(rest(&mut numbers).await.into_iter().eq((0..50_000).map(Ok)));

    // As the source of a stream.
    let numbers = ask::count(1_000).on(&pair.caller).await.unwrap();
    let report = within(MUCH, ask::add(fallible(numbers)).on(&pair.caller)).await.unwrap();
    assert!(report.is_complete() && report.sent == 1_000);
    assert_eq!(sum::SUM.load(std::sync::atomic::Ordering::Relaxed), 999 * 1_000 / 2);
}
