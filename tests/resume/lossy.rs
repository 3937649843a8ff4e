//! Streams that may lose items: what is missing is counted, across breaks too.

use daffi::{Event, testing::Network};
use futures_util::{FutureExt, StreamExt, stream};

use tokio::time::Instant;

use crate::{Receiver, Seen, ms, producer, receiver, remote};

#[tokio::test(start_paused = true)]
async fn every_item_is_accounted_for() {
    const COUNT: u64 = 1_000;
    for what in ["a", "b", "producer", "controller"] {
        let net = Network::new();
        net.links().delay(ms(2));
        let (_a, slow) = receiver(&net, "a", ms(35)).await;
        let (_b, fast) = receiver(&net, "b", ms(0)).await;
        let producer = producer(&net, &["a", "b"]).await;
        let mut events = producer.events();
        let items = stream::iter(0..COUNT).then(|number| tokio::time::sleep(ms(10)).map(move |()| number));
        let strike = async {
            fast.has(400).await;
            match what {
                "controller" => net.restart_controller(),
                node => drop(net.link(node).cut()),
            }
        };
        let call = remote::take_some(items).on(&producer);
        let (report, ()) = tokio::join!(call.into_future(), strike);
        let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(report.sent, COUNT);
        assert_eq!(report.receivers.len(), 2, "{what}: they are the same as before: {report:?}");
        for (name, seen) in [("a", &slow), ("b", &fast)] {
            let receiver = report.receiver(name).unwrap();
            assert_eq!((receiver.first, &receiver.result), (0, &Ok(())), "{what}: {report:?}");
            assert_eq!(receiver.delivered, seen.all().len() as u64, "{what}, {name}");
            assert_eq!(receiver.delivered + receiver.dropped, COUNT, "{what}, {name}: {report:?}");
            assert!(seen.all().is_sorted_by(|one, next| one < next), "{what}, {name}: in order, and none twice");
        }
        assert!(fast.all().len() > 600, "{what}: a break costs what was sent meanwhile: {}", fast.all().len());
        while let Some(Some(event)) = events.next().now_or_never() {
            assert!(!matches!(event, Event::ReceiverLeft { .. } | Event::ReceiverJoined { .. }), "{what}: {event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_controller_was_started_again_gets_the_callback_that_is_meant() {
    const COUNT: u64 = 2_000;
    let net = Network::new();
    // What is offered first has the lowest number. With the next controller another callback has it.
    let first =
        net.node("first").serve_as("first", Receiver { seen: Seen::default(), each: ms(0) }).join().await.unwrap();
    let (_a, a) = receiver(&net, "a", ms(0)).await;
    let producer = producer(&net, &["a"]).await;
    let items = stream::iter(0..COUNT).then(|number| tokio::time::sleep(ms(10)).map(move |()| number));
    let comes = async {
        first.stop(ms(0)).await;
        a.has(200).await;
        net.restart_controller();
        a.has(400).await;
        receiver(&net, "b", ms(0)).await
    };
    let (report, (_b, b)) = tokio::join!(remote::take_some(items).on(&producer).into_future(), comes);
    let report = report.unwrap();
    let late = report.receiver("b").unwrap();
    assert_eq!(late.result, Ok(()), "{report:?}");
    assert!(b.all().len() > 1_000, "{report:?}");
    assert_eq!(late.first + late.delivered + late.dropped, COUNT, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_holds_up_nobody() {
    const COUNT: u64 = 5_000;
    let net = Network::new();
    let start = Instant::now();
    let (_a, a) = receiver(&net, "a", ms(0)).await;
    let (_b, b) = receiver(&net, "b", ms(0)).await;
    let producer = producer(&net, &["a", "b"]).await;
    let items = stream::iter(0..COUNT).then(|number| tokio::time::sleep(ms(2)).map(move |()| number));
    let away = async {
        b.has(300).await;
        net.link("b").partition();
        a.has(4_700).await;
        net.link("b").heal();
    };
    let (report, ()) = tokio::join!(remote::take_some(items).on(&producer).into_future(), away);
    let report = report.unwrap();
    assert_eq!(report.receiver("a").unwrap().delivered, COUNT);
    // A timer of 2 ms may take 3; to wait for the one that is away would take ten seconds more.
    assert!(start.elapsed() < ms(3 * COUNT + 1_000), "{:?}", start.elapsed());
    let receiver = report.receiver("b").unwrap();
    assert_eq!((receiver.delivered as usize, &receiver.result), (b.all().len(), &Ok(())));
    assert_eq!(receiver.delivered + receiver.dropped, COUNT, "{report:?}");
}
