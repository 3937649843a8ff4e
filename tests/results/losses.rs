//! What the loss of a node or of the controller does to a stream of results.

use std::sync::LazyLock;

use daffi::{CallError, Event, Node, Results, callback, callbacks, fetcher, testing::Network};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use crate::{MUCH, Pair, Tap, common, rest, within};

static OVER_QUIC: LazyLock<Tap> = LazyLock::new(Tap::new);
static ORPHANED: LazyLock<Tap> = LazyLock::new(Tap::new);

mod serve {
    use super::*;

    #[callback]
    pub(super) fn over_quic() -> impl Iterator<Item = u64> {
        OVER_QUIC.open()
    }

    #[callback]
    pub(super) fn orphaned() -> impl Iterator<Item = u64> {
        ORPHANED.open()
    }

    #[callback]
    pub(super) async fn some_then_none(n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n).chain(stream::pending())
    }
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn over_quic() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn orphaned() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn some_then_none(n: u64) -> impl Stream<Item = u64>;
}

#[tokio::test]
async fn a_callee_that_is_gone_is_the_last_item() {
    let pair = Pair::of(callbacks![serve::over_quic]).await;
    let mut numbers = ask::over_quic().on(&pair.caller).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    // It leaves without waiting for what runs.
    drop(pair.callee);
    let mut items = within(MUCH, rest(&mut numbers)).await;
    assert_eq!(items.pop(), Some(Err(CallError::NodeLost { node: "callee".into() })));
    let count = items.len() as u64;
    assert!(items.into_iter().eq((1..=count).map(Ok)), "all that came is in order");
    OVER_QUIC.is_closed().await;
}

#[tokio::test]
async fn a_caller_that_is_gone_stops_the_source() {
    let pair = Pair::of(callbacks![serve::orphaned]).await;
    let mut numbers = ask::orphaned().timeout(std::time::Duration::from_secs(600)).on(&pair.caller).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    drop(pair.caller);
    ORPHANED.is_closed().await;
    let last = rest(&mut numbers).await.pop();
    assert_eq!(last, Some(Err(CallError::ControllerLost)));
}

async fn on(net: &Network) -> (Node, Node) {
    let callee = net.node("callee").callbacks(callbacks![serve::some_then_none]).join().await.unwrap();
    let caller = net.node("caller").callbacks([]).join().await.unwrap();
    caller.wait_function("some_then_none").await.unwrap();
    (caller, callee)
}

/// A stream of which five items were taken, and more are to come.
async fn begun(caller: &Node) -> Results<u64> {
    let mut numbers = ask::some_then_none(10).on(caller).await.unwrap();
    for n in 0..5 {
        assert_eq!(numbers.next().await, Some(Ok(n)));
    }
    numbers
}

#[tokio::test(start_paused = true)]
async fn items_before_a_cut_arrive() {
    let net = Network::new();
    let (caller, _callee) = on(&net).await;
    let mut numbers = begun(&caller).await;
    net.link("callee").cut();
    let lost = Err(CallError::NodeLost { node: "callee".into() });
    assert_eq!(rest(&mut numbers).await, [Ok(5), Ok(6), Ok(7), Ok(8), Ok(9), lost]);
    assert_eq!(numbers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_callee_is_noticed() {
    let net = Network::new();
    let (caller, _callee) = on(&net).await;
    let mut numbers = begun(&caller).await;
    net.link("callee").partition();
    let start = Instant::now();
    assert_eq!(rest(&mut numbers).await.pop(), Some(Err(CallError::NodeLost { node: "callee".into() })));
    assert_eq!(start.elapsed(), daffi::limits::SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_lost_controller_is_the_last_item() {
    let net = Network::new();
    let (caller, _callee) = on(&net).await;
    let mut numbers = begun(&caller).await;
    let mut events = caller.events();
    net.link("caller").cut();
    assert_eq!(rest(&mut numbers).await.pop(), Some(Err(CallError::ControllerLost)));
    common::event(&mut events, |event| matches!(event, Event::Connected).then_some(())).await;
    caller.wait_function("some_then_none").await.unwrap();
    begun(&caller).await;
}
