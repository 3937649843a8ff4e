//! What ends, comes or is given up while somebody else is away. The simulation found each of these.

use daffi::{CallError, Event, Limits, Node, StreamEnded, limits, testing::Network};
use futures_util::{Stream, future::join_all, stream};
use tokio::{sync::mpsc, time::timeout};

use crate::{Seen, ms, producer, receiver, remote, until};

/// The numbers from 0 on, one each 10 ms.
fn steady(count: u64) -> impl Stream<Item = u64> + Send + Unpin + 'static {
    Box::pin(stream::unfold(0, move |item| async move {
        tokio::time::sleep(ms(10)).await;
        (item < count).then_some((item, item + 1))
    }))
}

fn is_in_order(seen: &Seen) -> bool {
    seen.all().is_sorted_by(|one, next| one < next)
}

async fn has_lost_its_controller(node: &Node) {
    until(&mut node.events(), |event| matches!(event, Event::Disconnected { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_comes_back_after_its_producer_is_gone_hears_of_it() {
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(0)).await;
    let producer = producer(&net, &["a"]).await;
    let mut events = a.events();
    let call = tokio::spawn(remote::take(steady(u64::MAX)).on(&producer).into_future());
    seen.has(100).await;
    net.link("a").partition();
    has_lost_its_controller(&a).await;
    drop(producer);
    assert!(call.await.unwrap().is_err());
    net.link("a").heal();
    let ended = until(&mut events, |event| matches!(event, Event::StreamEnded { .. })).await;
    let Event::StreamEnded { delivered, missed, end, .. } = ended else { unreachable!("it was looked for") };
    assert_eq!((end, missed), (StreamEnded::ProducerLost, 0));
    assert!(seen.all().into_iter().eq(0..delivered));
    timeout(ms(100), net.stop_controller(ms(60_000))).await.expect("nothing is left to finish");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_is_away_when_the_stream_ends_gets_the_end() {
    let net = Network::new();
    net.links().delay(ms(10));
    let (_a, a) = receiver(&net, "a", ms(0)).await;
    let producer = producer(&net, &["a"]).await;
    let (items, mut source) = mpsc::unbounded_channel();
    let source = stream::poll_fn(move |cx| source.poll_recv(cx));
    let call = tokio::spawn(remote::take_some(source).on(&producer).into_future());
    items.send(0).unwrap();
    a.has(1).await;
    let mut events = producer.events();
    let (b, seen) = receiver(&net, "b", ms(0)).await;
    until(&mut events, |event| matches!(event, Event::ReceiverJoined { .. })).await;
    // What it is offered does not arrive.
    net.link("b").partition();
    drop(items);
    has_lost_its_controller(&b).await;
    net.link("b").heal();
    let report = timeout(ms(5_000), call).await.expect("it ends").unwrap().unwrap();
    let receiver = report.receiver("b").unwrap();
    assert_eq!((receiver.first, receiver.delivered, &receiver.result), (0, 1, &Ok(())));
    assert_eq!(seen.all(), [0]);
}

#[tokio::test(start_paused = true)]
async fn receivers_may_finish_while_the_producer_is_away() {
    const COUNT: u64 = 50;
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(100)).await;
    let (_b, b) = receiver(&net, "b", ms(120)).await;
    let (_c, c) = receiver(&net, "c", ms(250)).await;
    let producer = producer(&net, &["a", "b", "c"]).await;
    let away = async {
        a.has(5).await;
        net.link("producer").partition();
        b.has(COUNT as usize).await;
        net.link("producer").heal();
    };
    let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), away);
    let report = report.unwrap();
    assert!(report.is_complete() && report.receivers.len() == 3, "{report:?}");
    assert!([a, b, c].iter().all(|seen| seen.all().into_iter().eq(0..COUNT)));
}

#[tokio::test(start_paused = true)]
async fn who_finished_while_the_producer_was_away_says_so_to_the_next_controller() {
    const COUNT: u64 = 50;
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(100)).await;
    let (_b, b) = receiver(&net, "b", ms(120)).await;
    let (_c, c) = receiver(&net, "c", ms(250)).await;
    let producer = producer(&net, &["a", "b", "c"]).await;
    let away = async {
        a.has(5).await;
        net.link("producer").partition();
        b.has(COUNT as usize).await;
        // The controller has their ends before it is killed.
        net.advance(ms(100)).await;
        net.restart_controller();
        net.link("producer").heal();
    };
    let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), away);
    let report = report.unwrap();
    assert!(report.is_complete() && report.receivers.len() == 3, "{report:?}");
    assert!(report.receivers.iter().all(|receiver| receiver.delivered == COUNT), "{report:?}");
    assert!([a, b, c].iter().all(|seen| seen.all().into_iter().eq(0..COUNT)));
}

#[tokio::test(start_paused = true)]
async fn a_short_stream_runs_once_however_many_end_before_its_end_is_heard() {
    const OTHERS: u64 = 1_500;
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(1)).await;
    let first = producer(&net, &["a"]).await;
    let second = net.node("second").callbacks([]).join().await.unwrap();
    second.wait_process(a.name()).await.unwrap();
    let meanwhile = async {
        seen.has(1).await;
        net.link("producer").partition();
        for few in (3..OTHERS + 3).collect::<Vec<_>>().chunks(100) {
            let streams = few.iter().map(|item| remote::take(stream::iter([*item])).on(&second).into_future());
            for report in join_all(streams).await {
                assert!(report.unwrap().is_complete());
            }
        }
        net.restart_controller();
        // Nothing that the killed controller had sent arrives any more.
        has_lost_its_controller(&first).await;
        net.link("producer").heal();
    };
    let (report, ()) = tokio::join!(remote::take(stream::iter(0..3)).on(&first).into_future(), meanwhile);
    let of_first: Vec<_> = seen.all().into_iter().filter(|item| *item < 3).collect();
    assert_eq!(of_first, [0, 1, 2]);
    let report = report.unwrap();
    assert!(report.is_complete() && report.receiver("a").unwrap().delivered == 3, "{report:?}");
    assert_eq!(seen.all().len() as u64, OTHERS + 3);
}

#[tokio::test(start_paused = true)]
async fn a_short_stream_runs_once_however_late_its_producer_misses_the_controller() {
    let mut longest = Limits::default();
    longest.silence = limits::MAX_SILENCE;
    let net = Network::new().limits(longest);
    let (a, seen) = receiver(&net, "a", ms(1)).await;
    let first = producer(&net, &["a"]).await;
    let second = net.node("second").callbacks([]).join().await.unwrap();
    second.wait_process(a.name()).await.unwrap();
    let meanwhile = async {
        seen.has(3).await;
        net.link("producer").partition();
        // It is away for as long as its stream waits for a controller, once it misses one.
        net.advance(limits::MAX_SILENCE + limits::RESUME - ms(1_000)).await;
        // What ends now might take the place of what ended then.
        assert!(remote::take([3]).on(&second).await.unwrap().is_complete());
        net.restart_controller();
        net.link("producer").heal();
    };
    let (report, ()) = tokio::join!(remote::take(stream::iter(0..3)).on(&first).into_future(), meanwhile);
    assert_eq!(report.unwrap().receiver("a").unwrap().delivered, 3);
    assert_eq!(seen.all(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn where_a_newcomer_began_is_known_to_the_next_controller() {
    let net = Network::new();
    let (_a, _) = receiver(&net, "a", ms(0)).await;
    let producer = producer(&net, &["a"]).await;
    let call = remote::take(steady(100)).on(&producer).live(true);
    let call = tokio::spawn(call.into_future());
    net.advance(ms(500)).await;
    let (b, seen) = receiver(&net, "b", ms(40)).await;
    seen.has(5).await;
    net.advance(ms(500)).await;
    // All items are there, and it finishes on its own.
    net.link("b").partition();
    seen.has(50).await;
    net.restart_controller();
    net.link("b").heal();
    let report = call.await.unwrap().unwrap();
    let receiver = report.receiver("b").unwrap();
    assert_eq!(receiver.first, seen.all()[0]);
    assert_eq!((receiver.first + receiver.delivered, receiver.dropped, &receiver.result), (100, 0, &Ok(())));
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_receiver_gave_up_does_not_begin_there_again() {
    let net = Network::new();
    let (a, seen) = receiver(&net, "a", ms(0)).await;
    let producer = producer(&net, &["a"]).await;
    let mut events = a.events();
    let call = remote::take(steady(500)).on(&producer).stall_after(ms(1_500));
    let call = tokio::spawn(call.into_future());
    seen.has(4).await;
    net.restart_controller();
    // It notices at once, and waits for so long; the producer notices after its silence.
    net.link("a").cut();
    until(&mut events, |event| matches!(event, Event::StreamEnded { end: StreamEnded::Disconnected, .. })).await;
    let report = call.await.unwrap().unwrap();
    assert_eq!(report.receiver("a").unwrap().result, Err(CallError::NodeLost { node: "a".into() }));
    assert!(is_in_order(&seen), "{:?}", seen.all());
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_end_of_a_live_stream_gets_nothing_of_it() {
    let net = Network::new();
    let (_a, a) = receiver(&net, "a", ms(0)).await;
    let (_b, b) = receiver(&net, "b", ms(100)).await;
    let producer = producer(&net, &["a", "b"]).await;
    let strikes = async {
        b.has(2).await;
        assert_eq!(a.all().len(), 20);
        for link in ["a", "producer"] {
            net.link(link).cut();
            net.advance(ms(200)).await;
        }
    };
    let call = remote::take(stream::iter(0..20)).on(&producer).live(true);
    let (report, ()) = tokio::join!(call.into_future(), strikes);
    let report = report.unwrap();
    assert!(report.is_complete() && report.receivers.len() == 2, "{report:?}");
    assert!(is_in_order(&a) && is_in_order(&b), "{:?}", a.all());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_while_the_controller_stops_tries_again() {
    let net = Network::new();
    let (a, _) = receiver(&net, "a", ms(0)).await;
    let (_b, _) = receiver(&net, "b", ms(0)).await;
    let mut events = a.events();
    // What it is told last does not arrive, so the controller lingers, and looks at nobody who comes.
    net.link("b").partition();
    let stopping = async {
        until(&mut events, |event| matches!(event, Event::ControllerStopping)).await;
        net.link("a").cut();
        until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
    };
    tokio::join!(net.stop_controller(ms(0)), stopping);
    net.restart_controller();
    let back = until(&mut events, |event| matches!(event, Event::Connected));
    timeout(ms(2_500), back).await.expect("it comes back");
}
