//! Where a stream can be sent from.

use daffi::{callback, callbacks, fetcher};

use crate::common::{Controller, meet, soon};

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn counted(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn doubled(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn plain(n: u64);
    #[fetcher]
    pub(super) async fn count_async(to: u64) -> u64;
    #[fetcher]
    pub(super) async fn count_sync(to: u64) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn double(n: u64);
}

crate::journals!(counts: fn counted(n: u64));

#[callback]
async fn count_async(to: u64) -> u64 {
    send::counted(1..=to).await.unwrap().receiver("receiver").unwrap().delivered
}

#[callback]
fn count_sync(to: u64) -> u64 {
    send::counted(1..=to).wait().unwrap().receiver("receiver").unwrap().delivered
}

#[tokio::test]
async fn a_callback_sends_a_stream_through_the_node_that_received_it() {
    let controller = Controller::start().await;
    let caller = controller.node("caller", []).await;
    let middle = controller.node("middle", callbacks![count_async, count_sync]).await;
    let receiver = controller.node("receiver", callbacks![counts::counted]).await;
    meet(&[&caller, &middle, &receiver]).await;
    let mut events = receiver.events();

    assert_eq!(soon(send::count_async(1_000).on(&caller).into_future()).await, Ok(1_000));
    assert_eq!(soon(send::count_sync(1_000).on(&caller).into_future()).await, Ok(1_000));
    assert!(counts::TOOK.all().into_iter().eq((1..=1_000).chain(1..=1_000)));
    for _ in 0..2 {
        assert_eq!(crate::ended(&mut events).await.0, "middle");
    }
}

crate::journals!(doubles: fn doubled(n: u64));

#[callback]
async fn double(n: u64) {
    send::doubled([2 * n]).await.unwrap();
}

#[tokio::test]
async fn a_callback_that_takes_a_stream_sends_further_ones() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let middle = controller.node("middle", callbacks![double]).await;
    let receiver = controller.node("receiver", callbacks![doubles::doubled]).await;
    meet(&[&sender, &middle, &receiver]).await;

    let report = soon(send::double(0..200).on(&sender).into_future()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(doubles::TOOK.all().into_iter().eq((0..200).map(|n| 2 * n)));
}

crate::journals!(plainly: fn plain(n: u64));

#[tokio::test]
async fn a_plain_thread_waits_for_a_stream() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![plainly::plain]).await;
    meet(&[&sender, &receiver]).await;

    let (answer, report) = tokio::sync::oneshot::channel();
    let node = sender.clone();
    let thread = std::thread::spawn(move || answer.send(send::plain(1..=100).on(&node).wait()));
    let report = soon(report).await.unwrap().unwrap();
    assert!(report.is_complete());
    assert!(plainly::TOOK.all().into_iter().eq(1..=100));
    thread.join().unwrap().unwrap();
}
