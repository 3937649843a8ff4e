//! What delay, cuts and partitions do to calls and streams.

use daffi::{CallError, Event, JoinError, Limits, limits, testing::Network};
use futures_util::{FutureExt, stream};
use tokio::time::Instant;

use crate::{client, everywhere, ms, remote, server, until};

#[tokio::test(start_paused = true)]
async fn a_call_takes_four_times_the_delay_and_a_single_link_may_differ() {
    let net = Network::new();
    let (_a, _c) = (server(&net, "a").await, server(&net, "c").await);
    let b = client(&net, &["a", "c"]).await;
    net.links().delay(ms(20));
    let start = Instant::now();
    assert_eq!(remote::double(21).to("a").on(&b).await, Ok(42));
    assert_eq!(start.elapsed().as_millis(), 80);
    assert_eq!(remote::double_sync(21).to("a").on(&b).await, Ok(42));
    assert_eq!(start.elapsed().as_millis(), 160);
    net.link("c").delay(ms(100));
    assert_eq!(remote::double(21).to("c").on(&b).await, Ok(42));
    assert_eq!(start.elapsed().as_millis(), 160 + 240);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_takes_as_long_as_the_slowest_link() {
    let net = Network::new();
    let (_a, _c) = (server(&net, "a").await, server(&net, "c").await);
    let b = client(&net, &["a", "c"]).await;
    net.link("a").delay(ms(20));
    net.link("c").delay(ms(50));
    let start = Instant::now();
    let replies = everywhere::double(2).on(&b).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 100);
    assert!(replies.iter().all(|reply| reply.result == Ok(4)) && replies.len() == 2, "{replies:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_to_sync_and_async_callbacks_arrive_whole_over_slow_links() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    net.links().delay(ms(50));
    let many = 100_000;
    let reports = [
        remote::take(stream::iter(0..many)).on(&b).await.unwrap(),
        remote::take_sync(stream::iter(0..many)).on(&b).await.unwrap(),
    ];
    for report in reports {
        assert!(report.is_complete() && report.receiver("a").unwrap().delivered == many, "{report:?}");
    }
    // Iterators whose items may all be on their way.
    let texts = (0..16).map(|_| "x".repeat(60_000));
    let reports = [remote::take_sync(0..32_768).on(&b).await.unwrap(), remote::take_text(texts).on(&b).await.unwrap()];
    assert!(reports.iter().all(|report| report.is_complete()), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_short_partition_held_up_arrives_when_it_is_healed() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let mut events = b.events();
    let heal = async {
        net.link("a").partition();
        net.advance(ms(2_000)).await;
        net.link("a").heal();
    };
    let start = Instant::now();
    let ((), call, stream) = tokio::join!(
        heal,
        remote::double(1).on(&b).into_future(),
        remote::take(stream::iter(0..1_000)).on(&b).into_future()
    );
    assert_eq!(start.elapsed().as_millis(), 2_000);
    assert_eq!(call, Ok(2));
    assert!(stream.unwrap().is_complete());
    b.stop(ms(0)).await;
    assert!(!matches!(events.next().await, Some(Event::NodeLeft { .. })), "nobody was lost");
}

#[tokio::test(start_paused = true)]
async fn a_long_partition_is_the_loss_of_the_node_until_it_is_healed() {
    let net = Network::new();
    let a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let (mut seen_by_a, mut seen_by_b) = (a.events(), b.events());
    net.link("a").partition();
    let start = Instant::now();
    assert_eq!(remote::double(1).on(&b).await, Err(CallError::NodeLost { node: "a".into() }));
    assert_eq!(start.elapsed(), limits::SILENCE);
    until(&mut seen_by_a, |event| matches!(event, Event::Disconnected { .. })).await;
    assert_eq!(start.elapsed(), limits::SILENCE, "both sides give up then");

    net.advance(ms(60_000)).await;
    net.link("a").heal();
    let healed = Instant::now();
    until(&mut seen_by_b, |event| matches!(event, Event::NodeJoined { .. })).await;
    assert!(healed.elapsed() <= ms(2_000), "{:?}", healed.elapsed());
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn how_long_a_silence_is_borne_is_for_the_controller_to_say() {
    for silence in [500, 10_000].map(ms) {
        let mut limits = Limits::default();
        limits.silence = silence;
        let net = Network::new().limits(limits);
        let a = server(&net, "a").await;
        let b = client(&net, &["a"]).await;
        let (mut seen_by_a, mut seen_by_b) = (a.events(), b.events());
        net.link("a").partition();
        net.advance(silence - ms(1)).await;
        net.link("a").heal();
        assert_eq!(remote::double(1).on(&b).await, Ok(2));
        assert!(seen_by_a.next().now_or_never().is_none() && seen_by_b.next().now_or_never().is_none());

        net.link("a").partition();
        let start = Instant::now();
        until(&mut seen_by_a, |event| matches!(event, Event::Disconnected { .. })).await;
        until(&mut seen_by_b, |event| matches!(event, Event::NodeLeft { .. })).await;
        assert_eq!(start.elapsed(), silence);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_noticed_at_once_and_the_node_joins_again() {
    let net = Network::new();
    let a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let (mut seen_by_a, mut seen_by_b) = (a.events(), b.events());
    let start = Instant::now();
    net.link("a").cut();
    until(&mut seen_by_a, |event| matches!(event, Event::Disconnected { .. })).await;
    until(&mut seen_by_b, |event| matches!(event, Event::NodeLeft { .. })).await;
    assert_eq!(start.elapsed(), ms(0));
    until(&mut seen_by_b, |event| matches!(event, Event::NodeJoined { .. })).await;
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_all_links_holds_for_nodes_that_join_later() {
    let net = Network::new();
    net.links().partition();
    let start = Instant::now();
    let refused = net.node("a").callbacks([]).connect_timeout(ms(7_000)).join().await.unwrap_err();
    assert!(matches!(refused, JoinError::Unreachable { .. }), "{refused:?}");
    assert_eq!(start.elapsed().as_millis(), 7_000);
    net.links().heal();
    server(&net, "a").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_behind_a_partition_goes_without_a_word() {
    let net = Network::new();
    let a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let mut events = b.events();
    net.link("a").partition();
    let start = Instant::now();
    drop(a);
    until(&mut events, |event| matches!(event, Event::NodeLeft { .. })).await;
    assert_eq!(start.elapsed(), limits::SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_node_that_has_just_left_says_who_is_there() {
    let net = Network::new();
    let (a, _c) = (server(&net, "a").await, server(&net, "c").await);
    let b = client(&net, &["a", "c"]).await;
    // It leaves, and the client is told so a second later.
    net.link("client").delay(ms(1_000));
    a.stop(ms(0)).await;
    let refused = remote::double(1).to("a").on(&b).await;
    assert_eq!(refused, Err(CallError::NoNode { name: "a".into(), present: vec!["c".into(), "client".into()] }));
}
