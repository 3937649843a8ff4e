//! Every item, once and in order, whatever else goes on.

use std::time::Duration;

use daffi::{callback, callbacks, fetcher};
use futures_util::future::join_all;

use crate::{
    Journal, MUCH,
    common::{Controller, meet},
    within,
};

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn number(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn page(page: Vec<u8>);
    #[fetcher(STREAM)]
    pub(super) async fn line(line: (u32, u64));
    #[fetcher(STREAM)]
    pub(super) async fn busy(n: u64);
    #[fetcher]
    pub(super) async fn square(n: u64) -> u64;
}

crate::journals!(first, second, third: fn number(n: u64));

#[tokio::test]
async fn two_hundred_thousand_items_reach_three_receivers_in_order() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let one = controller.node("one", callbacks![first::number]).await;
    let two = controller.node("two", callbacks![second::number]).await;
    let three = controller.node("three", callbacks![third::number]).await;
    meet(&[&sender, &one, &two, &three]).await;

    let report = within(MUCH, send::number(0..200_000).on(&sender).into_future()).await.unwrap();
    assert_eq!(report.sent, 200_000);
    assert!(report.is_complete(), "{report:?}");
    let mut names: Vec<_> = report.receivers.iter().map(|receiver| receiver.node.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "three", "two"]);
    for took in [&first::TOOK, &second::TOOK, &third::TOOK] {
        assert!(took.all().into_iter().eq(0..200_000));
    }
}

static FAST: Journal<Vec<u8>> = Journal::new();
static SLOW: Journal<Vec<u8>> = Journal::new();

mod fast {
    use super::*;

    #[callback]
    pub(super) fn page(page: Vec<u8>) {
        FAST.note(page);
    }
}

mod slow {
    use super::*;

    #[callback]
    pub(super) async fn page(page: Vec<u8>) {
        tokio::time::sleep(Duration::from_millis(3)).await;
        SLOW.note(page);
    }
}

#[tokio::test]
async fn a_slow_receiver_beside_a_fast_one_loses_nothing() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let quick = controller.node("quick", callbacks![fast::page]).await;
    let lazy = controller.node("lazy", callbacks![slow::page]).await;
    meet(&[&sender, &quick, &lazy]).await;

    // Several times what may be on its way to one receiver, so that the slow one holds the source back.
    let pages = || (0..400u32).map(|n| vec![n as u8; 16 << 10]);
    let report = within(MUCH, send::page(pages()).on(&sender).into_future()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(FAST.all().into_iter().eq(pages()));
    assert!(SLOW.all().into_iter().eq(pages()));
}

crate::journals!(lines: fn line(line: (u32, u64)));

#[tokio::test]
async fn several_streams_to_one_receiver_each_stay_in_order() {
    let controller = Controller::start().await;
    let receiver = controller.node("receiver", callbacks![lines::line]).await;
    let (left, right) = (controller.node("left", []).await, controller.node("right", []).await);
    meet(&[&receiver, &left, &right]).await;

    let streams = (0..8u32).map(|stream| {
        let node = if stream % 2 == 0 { &left } else { &right };
        send::line((0..5_000).map(move |n| (stream, n))).on(node).into_future()
    });
    for report in within(MUCH, join_all(streams)).await {
        assert!(report.unwrap().is_complete());
    }
    let taken = lines::TOOK.all();
    assert_eq!(taken.len(), 8 * 5_000);
    for stream in 0..8 {
        let of_stream = taken.iter().filter(|(of, _)| *of == stream).map(|(_, n)| *n);
        assert!(of_stream.eq(0..5_000), "stream {stream} is out of order");
    }
}

crate::journals!(busy_first, busy_second: fn busy(n: u64));

#[callback]
async fn square(n: u64) -> u64 {
    n * n
}

#[tokio::test]
async fn streams_and_calls_share_the_same_nodes() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", callbacks![square]).await;
    let one = controller.node("one", callbacks![busy_first::busy, square]).await;
    let two = controller.node("two", callbacks![busy_second::busy]).await;
    meet(&[&sender, &one, &two]).await;

    let streams = join_all((0..3).map(|_| send::busy(0..20_000).on(&sender).into_future()));
    // Towards the receiver, from the receiver, and past it.
    let calls = async {
        for n in 0..300 {
            assert_eq!(send::square(n).on(&sender).to("one").await, Ok(n * n));
            assert_eq!(send::square(n).on(&one).to("sender").await, Ok(n * n));
            assert_eq!(send::square(n).on(&two).await, Ok(n * n));
        }
    };
    let (reports, ()) = within(MUCH, async { tokio::join!(streams, calls) }).await;
    for report in reports {
        assert!(report.unwrap().is_complete());
    }
    assert_eq!(busy_first::TOOK.count(), 60_000);
    assert_eq!(busy_second::TOOK.count(), 60_000);
}
