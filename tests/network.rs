//! Calls and streams in the moment when a link is slow, cut or partitioned. (What these do as such is in tests/testing.)

use std::time::Duration;

use daffi::{CallError, Event, Node, StreamEnded, callback, callbacks, testing::Network};
use tokio::time::Instant;

#[callback]
async fn double(a: i64) -> i64 {
    a * 2
}

#[callback]
async fn take(_item: u64) {}

#[callback]
async fn take_slowly(_item: u64) {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

mod remote {
    use daffi::fetcher;

    #[fetcher(STREAM)]
    pub async fn take_slowly(item: u64);

    #[fetcher]
    pub async fn double(a: i64) -> i64;

    #[fetcher(STREAM)]
    pub async fn take(item: u64);
}

/// A controller and two nodes: `a` offers the callbacks, `b` calls them.
struct System {
    network: Network,
    a: Node,
    b: Node,
}

async fn system() -> System {
    let network = Network::new();
    let a = network.node("a").callbacks(callbacks![double, take, take_slowly]).join().await.unwrap();
    let b = network.node("b").callbacks([]).join().await.unwrap();
    b.wait_process("a").await.unwrap();
    System { network, a, b }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_exact_whatever_the_network_does() {
    let System { network, b, a: _a } = system().await;
    network.link("a").partition();
    let start = Instant::now();
    let error = remote::double(1).on(&b).timeout(Duration::from_millis(1_500)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { after } if after.as_millis() == 1_500), "{error:?}");
    assert_eq!(start.elapsed().as_millis(), 1_500);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_node_whose_link_is_cut_ends_at_once_and_may_have_run() {
    let System { network, b, a: _a } = system().await;
    network.link("a").delay(Duration::from_secs(1));
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.link("a").cut();
    };
    let start = Instant::now();
    let (result, ()) = tokio::join!(remote::double(1).on(&b).into_future(), cut);
    assert_eq!(result, Err(CallError::NodeLost { node: "a".into() }));
    assert_eq!(start.elapsed().as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn losing_the_controller_ends_calls_at_once_and_streams_if_it_does_not_come_back() {
    let System { network, a: _a, b } = system().await;
    network.link("a").delay(Duration::from_secs(1));
    let start = Instant::now();
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.crash_controller();
        network.links().cut();
    };
    let call = async {
        let call = remote::double(1).on(&b).await;
        assert_eq!(start.elapsed().as_millis(), 500);
        call
    };
    let stream = remote::take(futures_util::stream::iter(0..)).on(&b).stall_after(Duration::from_secs(4));
    let (call, stream, ()) = tokio::join!(call, stream.into_future(), cut);
    assert_eq!(call, Err(CallError::ControllerLost));
    assert_eq!(stream, Err(CallError::ControllerLost));
    assert_eq!(start.elapsed().as_millis(), 4_500);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_whose_source_has_ended_stops_its_receiver() {
    let System { network: _network, a, b } = system().await;
    let mut events = a.events();
    let items = futures_util::stream::iter(0..100);
    let dropped = tokio::time::timeout(Duration::from_secs(2), remote::take_slowly(items).on(&b).into_future()).await;
    assert!(dropped.is_err());
    let end = events.next().await;
    let Some(Event::StreamEnded { delivered, end, .. }) = end else { panic!("{end:?}") };
    assert_eq!(end, StreamEnded::Cancelled);
    assert!(delivered <= 5, "{delivered} of 100 in 2 s at 0.4 s each");
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_is_not_taken_for_stalled() {
    let System { network: _network, a: _a, b } = system().await;
    let items = futures_util::stream::iter(0..20);
    let report = remote::take_slowly(items).on(&b).stall_after(Duration::from_millis(700)).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}
