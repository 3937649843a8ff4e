//! Who does not come back, or not in time.

use std::time::Duration;

use daffi::{CallError, Event, StreamEnded, limits, testing::Network};
use futures_util::stream;
use tokio::time::Instant;

use crate::{ms, producer, receiver, remote, until};

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_come_back_leaves_after_its_stall_time() {
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(1)).await;
    let (_b, b) = receiver(&net, "b", ms(1)).await;
    let producer = producer(&net, &["a", "b"]).await;
    let lost = async {
        b.has(100).await;
        net.link("b").partition();
    };
    let start = Instant::now();
    let call = remote::take(stream::iter(0..80_000)).on(&producer).stall_after(ms(5_000));
    let (report, ()) = tokio::join!(call.into_future(), lost);
    let report = report.unwrap();
    assert_eq!(report.receiver("a").unwrap().delivered, 80_000);
    assert_eq!(a.all().len(), 80_000);
    let gone = report.receiver("b").unwrap();
    assert_eq!(gone.result, Err(CallError::NodeLost { node: "b".into() }));
    // Its silence, the time that it has to come back, and a quarter of that until it is looked for.
    assert!(start.elapsed() <= ms(80_000) + limits::SILENCE + ms(6_300), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_come_back_is_not_waited_for_as_long_as_others_may_take() {
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(1)).await;
    let producer = producer(&net, &["a"]).await;
    let lost = async {
        a.has(100).await;
        net.link("a").partition();
        Instant::now()
    };
    let hour = ms(3_600_000);
    let call = remote::take(stream::iter(0..80_000)).on(&producer).stall_after(hour);
    let (report, lost_at) = tokio::join!(call.into_future(), lost);
    assert_eq!(report.unwrap().receiver("a").unwrap().result, Err(CallError::NodeLost { node: "a".into() }));
    assert!(lost_at.elapsed() <= limits::SILENCE + limits::RESUME + ms(3_000), "{:?}", lost_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_slept_for_a_night_has_its_name_back_and_goes_on() {
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(1)).await;
    let producer = producer(&net, &["a"]).await;
    let sleep = async {
        seen.has(100).await;
        net.link("a").partition();
        tokio::time::sleep(Duration::from_secs(8 * 3_600)).await;
        net.link("a").heal();
    };
    let call = remote::take(stream::iter(0..80_000)).on(&producer);
    let (report, ()) = tokio::join!(call.into_future(), sleep);
    assert_eq!(report.unwrap().receiver("a").unwrap().result, Err(CallError::NodeLost { node: "a".into() }));
    let mut items = seen.all();
    items.dedup();
    assert!(items.is_sorted() && items.len() < 80_000 && items.len() == seen.all().len());
    producer.wait_process("a").await.unwrap();
    let before = seen.all().len();
    remote::take(stream::iter(0..100)).on(&producer).await.unwrap();
    assert_eq!(seen.all().len(), before + 100);
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_leaves_is_not_waited_for() {
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(1)).await;
    let (b, seen) = receiver(&net, "b", ms(1)).await;
    let producer = producer(&net, &["a", "b"]).await;
    let leave = async {
        seen.has(100).await;
        drop(b);
    };
    let start = Instant::now();
    let call = remote::take(stream::iter(0..80_000)).on(&producer);
    let (report, ()) = tokio::join!(call.into_future(), leave);
    let report = report.unwrap();
    assert!(report.receiver("b").unwrap().result.is_err(), "{report:?}");
    assert_eq!(a.all().len(), 80_000);
    assert!(start.elapsed() < ms(81_000), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_process_of_the_receivers_name_does_not_go_on_with_its_stream() {
    let net = Network::new();
    let (a, first) = receiver(&net, "a", ms(1)).await;
    let producer = producer(&net, &["a"]).await;
    let mut events = producer.events();
    let replace = async {
        first.has(40_000).await;
        net.link("a").partition();
        drop(a);
        until(&mut events, |event| matches!(event, Event::NodeLeft { .. })).await;
        net.link("a").heal();
        let (node, second) = receiver(&net, "a", ms(1)).await;
        (node, second, Instant::now())
    };
    let call = remote::take(stream::iter(0..100_000)).on(&producer);
    let (report, (_node, second, replaced)) = tokio::join!(call.into_future(), replace);
    let report = report.unwrap();
    assert_eq!(report.receiver("a").unwrap().result, Err(CallError::NodeLost { node: "a".into() }));
    assert!(replaced.elapsed() < ms(10), "{:?}", replaced.elapsed());
    assert_eq!(second.all(), []);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_does_not_come_back_is_lost_to_its_receivers() {
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(1)).await;
    let producer = producer(&net, &["a"]).await;
    let mut events = a.events();
    let call = remote::take(stream::iter(0..)).on(&producer).stall_after(ms(4_000));
    let call = tokio::spawn(call.into_future());
    seen.has(100).await;
    net.link("producer").partition();
    let start = Instant::now();
    let ended = until(&mut events, |event| matches!(event, Event::StreamEnded { .. })).await;
    let Event::StreamEnded { delivered, end, missed, .. } = ended else { unreachable!("it was looked for") };
    assert_eq!((end, missed), (StreamEnded::ProducerLost, 0));
    assert!(seen.all().into_iter().eq(0..delivered));
    // What had come is still to be taken, a window at most.
    assert!(
        start.elapsed() < limits::SILENCE + ms(4_000) + ms(limits::STREAM_WINDOW_ITEMS * 2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(call.await.unwrap().unwrap_err(), CallError::ControllerLost);
}

#[tokio::test(start_paused = true)]
async fn another_process_of_the_producers_name_ends_its_stream() {
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(0)).await;
    let first = producer(&net, &["a"]).await;
    let mut events = a.events();
    let items = stream::unfold(0, |item| async move {
        tokio::time::sleep(ms(1)).await;
        Some((item, item + 1))
    });
    let call = tokio::spawn(remote::take(items).on(&first).into_future());
    seen.has(100).await;
    net.link("producer").partition();
    call.abort();
    drop(first);
    until(&mut events, |event| matches!(event, Event::NodeLeft { .. })).await;
    net.link("producer").heal();
    let start = Instant::now();
    let _second = producer(&net, &["a"]).await;
    let ended = until(&mut events, |event| matches!(event, Event::StreamEnded { .. })).await;
    assert!(matches!(ended, Event::StreamEnded { end: StreamEnded::ProducerLost, .. }), "{ended:?}");
    assert!(start.elapsed() < ms(10), "{:?}", start.elapsed());
}
