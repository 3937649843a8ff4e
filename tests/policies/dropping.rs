//! Items that come faster than a receiver finishes them: who gets which, and who is told.

use std::{sync::mpsc, time::Duration};

use daffi::{Incoming, OnSlow, StreamEnded, callback, callbacks, fetcher};
use tokio::sync::Semaphore;

use crate::{
    Journal, assert_accounted,
    common::{Controller, meet, soon},
    dropped, ended,
};

mod send {
    use super::*;

    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn newest(n: u64);
    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn overridden(n: u64);
    #[fetcher(STREAM, on_slow = DropOldest(5))]
    pub(super) async fn some(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn whole(n: u64) -> (Vec<u64>, u64);
}

mod fast {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();

    #[callback]
    pub(super) async fn newest(n: u64) {
        TOOK.note(n);
    }
}

/// Finishes an item when it is let.
mod slow {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();
    pub(super) static LET: Semaphore = Semaphore::const_new(0);

    #[callback]
    pub(super) async fn newest(n: u64) {
        TOOK.note(n);
        LET.acquire().await.unwrap().forget();
    }
}

/// The same, and has to have all.
mod careful {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();

    #[callback(lossless)]
    pub(super) async fn newest(n: u64) {
        TOOK.note(n);
    }
}

#[tokio::test]
async fn a_slow_receiver_sees_the_newest_and_the_fast_one_does_not_wait() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let fast = controller.node("fast", callbacks![fast::newest]).await;
    let slow = controller.node("slow", callbacks![slow::newest]).await;
    let careful = controller.node("careful", callbacks![careful::newest]).await;
    meet(&[&sender, &fast, &slow, &careful]).await;
    let (mut at_sender, mut at_slow, mut slow_ends) = (sender.events(), slow.events(), slow.events());

    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::newest(source).on(&sender).into_future());
    items.send(0).unwrap();
    slow::TOOK.has(|n| n == 0).await;
    // More than a window, so that the slow one would hold up the others if it could.
    for n in 1..100_000 {
        items.send(n).unwrap();
    }
    careful::TOOK.has(|n| n == 99_999).await;
    fast::TOOK.has(|n| n == 99_999).await;
    assert_eq!(slow::TOOK.all(), [0]);
    // While it happens, both ends hear of it.
    for events in [&mut at_sender, &mut at_slow] {
        // The receiver finds out by what comes after the gap.
        slow::LET.add_permits(1);
        let (producer, receiver, count) = dropped(events).await;
        assert_eq!(producer, "sender");
        if receiver == "slow" {
            assert!(count > 0);
        }
    }
    slow::TOOK.has(|n| n == 99_999).await;
    drop(items);
    slow::LET.add_permits(100_000);
    let report = soon(call).await.unwrap().unwrap();

    assert_eq!(report.sent, 100_000);
    assert_accounted(&report, "fast", &fast::TOOK.all());
    let (delivered, dropped) = assert_accounted(&report, "slow", &slow::TOOK.all());
    // One on its way or two, and one that waits.
    assert!(delivered <= 6, "{:?}", slow::TOOK.all());
    assert_eq!(ended(&mut slow_ends).await, (delivered, dropped, StreamEnded::Finished));
    assert_eq!(assert_accounted(&report, "careful", &careful::TOOK.all()), (100_000, 0));
    assert!(!report.is_complete());
}

mod overridden {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();

    #[callback]
    pub(super) fn overridden(n: u64) {
        TOOK.note(n);
    }
}

#[tokio::test]
async fn the_call_overrides_the_stub() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![overridden::overridden]).await;
    meet(&[&sender, &receiver]).await;
    let call = send::overridden(0..50_000).on(&sender).on_slow(OnSlow::Block);
    let report = soon(call.into_future()).await.unwrap();
    assert!(report.is_complete());
    assert!(overridden::TOOK.all().into_iter().eq(0..50_000));
}

mod some {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();
    pub(super) static LET: Semaphore = Semaphore::const_new(0);

    #[callback]
    pub(super) async fn some(n: u64) {
        TOOK.note(n);
        LET.acquire().await.unwrap().forget();
    }
}

#[tokio::test]
async fn so_many_wait_as_the_stub_says() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![some::some]).await;
    meet(&[&sender, &receiver]).await;
    let mut events = sender.events();

    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::some(source).on(&sender).into_future());
    items.send(0).unwrap();
    some::TOOK.has(|n| n == 0).await;
    (1..1_000).for_each(|n| items.send(n).unwrap());
    drop(items);
    // All but the one at hand and five have gone: the last of them are those that wait.
    while dropped(&mut events).await.2 < 994 {}
    some::LET.add_permits(1_000);
    let report = soon(call).await.unwrap().unwrap();
    assert_accounted(&report, "receiver", &some::TOOK.all());
    assert_eq!(some::TOOK.all(), [0, 995, 996, 997, 998, 999]);
}

/// Takes the stream as a whole, and tells what it took and missed.
#[callback]
async fn whole(mut items: Incoming<u64>) -> (Vec<u64>, u64) {
    let mut took = Vec::new();
    while let Some(n) = items.next().await {
        took.push(n);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (took, items.missed())
}

#[tokio::test]
async fn who_takes_the_whole_stream_knows_what_it_missed() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![whole]).await;
    meet(&[&sender, &receiver]).await;
    let call = send::whole(0..100_000).on(&sender).on_slow(OnSlow::DropOldest(10));
    let report = soon(call.into_future()).await.unwrap();
    let receiver = report.receiver("receiver").unwrap();
    let (took, missed) = receiver.result.clone().unwrap();
    assert!(took.is_sorted_by(|a, b| a < b) && took.ends_with(&[99_999]));
    assert_eq!((took.len() as u64, missed), (receiver.delivered, receiver.dropped));
    assert_eq!(receiver.delivered + receiver.dropped, 100_000);
    assert!(missed > 0);
}
