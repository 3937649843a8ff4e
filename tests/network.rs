//! Nodes and a controller on an in-memory network, on a paused clock: what delay, cut links and partitions do.

use std::time::Duration;

use daffi::{CallError, Event, Network, Node, StreamEnded, callback, callbacks};
use daffi_core::transport::{Identity, JoinToken, Listener};
use tokio::{sync::watch, time::Instant};

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
    _stop: watch::Sender<Option<Duration>>,
}

async fn system() -> System {
    let network = Network::new();
    let token = JoinToken::generate(Identity::generate().unwrap().fingerprint());
    let (stop, stopped) = watch::channel(None);
    let listener = Listener::Memory(network.listen("controller"));
    tokio::spawn(daffi_controller::serve(listener, token.clone(), stopped));
    let node = |name: &str| Node::builder().name(name).network(&network, "controller").token(token.to_string());
    let a = node("a").callbacks(callbacks![double, take, take_slowly]).join().await.unwrap();
    let b = node("b").callbacks([]).join().await.unwrap();
    b.wait_process("a").await.unwrap();
    System { network, a, b, _stop: stop }
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_four_times_the_delay_of_a_link() {
    let System { network, b, a: _a, _stop } = system().await;
    network.delay("a", Duration::from_millis(20));
    network.delay("b", Duration::from_millis(20));
    let start = Instant::now();
    assert_eq!(remote::double(21).on(&b).await, Ok(42));
    assert_eq!(start.elapsed().as_millis(), 80);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_exact_whatever_the_network_does() {
    let System { network, b, a: _a, _stop } = system().await;
    network.partition("a");
    let start = Instant::now();
    let error = remote::double(1).on(&b).timeout(Duration::from_millis(1_500)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { after } if after.as_millis() == 1_500), "{error:?}");
    assert_eq!(start.elapsed().as_millis(), 1_500);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_node_whose_link_is_cut_ends_at_once_and_may_have_run() {
    let System { network, b, a: _a, _stop } = system().await;
    network.delay("a", Duration::from_secs(1));
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.cut("a");
    };
    let start = Instant::now();
    let (result, ()) = tokio::join!(remote::double(1).on(&b).into_future(), cut);
    assert_eq!(result, Err(CallError::NodeLost { node: "a".into() }));
    assert_eq!(start.elapsed().as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_node_comes_back_by_itself_after_its_link_was_cut() {
    let System { network, a, b, _stop } = system().await;
    let mut events = b.events();
    network.cut("a");
    assert!(matches!(events.next().await, Some(Event::NodeLeft { node, .. }) if node == "a"));
    assert_eq!(events.next().await, Some(Event::NodeJoined { node: "a".into() }));
    assert_eq!(remote::double(3).on(&b).await, Ok(6));
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_node_is_taken_for_lost_and_comes_back_when_it_is_healed() {
    let System { network, a: _a, b, _stop } = system().await;
    let mut events = b.events();
    network.partition("a");
    let start = Instant::now();
    assert!(matches!(events.next().await, Some(Event::NodeLeft { node, .. }) if node == "a"));
    assert_eq!(start.elapsed(), daffi::limits::IDLE);
    network.heal("a");
    assert_eq!(events.next().await, Some(Event::NodeJoined { node: "a".into() }));
    assert_eq!(remote::double(4).on(&b).await, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_a_slow_link_arrives_whole() {
    let System { network, a: _a, b, _stop } = system().await;
    network.delay("a", Duration::from_millis(50));
    let report = remote::take(futures_util::stream::iter(0..100_000)).on(&b).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.receiver("a").unwrap().delivered, 100_000);
}

#[tokio::test(start_paused = true)]
async fn losing_the_controller_ends_calls_and_streams_with_an_error() {
    let System { network, a: _a, b, _stop } = system().await;
    network.delay("a", Duration::from_secs(1));
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.cut("b");
    };
    let call = remote::double(1).on(&b).into_future();
    let (call, stream, ()) =
        tokio::join!(call, remote::take(futures_util::stream::iter(0..)).on(&b).into_future(), cut);
    assert_eq!(call, Err(CallError::ControllerLost));
    assert_eq!(stream, Err(CallError::ControllerLost));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_whose_source_has_ended_stops_its_receiver() {
    let System { network: _network, a, b, _stop } = system().await;
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
    let System { network: _network, a: _a, b, _stop } = system().await;
    let items = futures_util::stream::iter(0..20);
    let report = remote::take_slowly(items).on(&b).stall_after(Duration::from_millis(700)).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}
