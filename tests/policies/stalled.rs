//! A receiver that stands still leaves, is told why, and holds up nobody any more.

use std::time::Duration;

use daffi::{CallError, Event, OnSlow, StreamEnded, callback, callbacks, fetcher};

use crate::{
    Journal, assert_accounted,
    common::{Controller, event, meet, soon},
    ended,
};

const STALL: Duration = Duration::from_millis(500);

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn page(n: u64);
    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn view(n: u64);
}

mod goes_on {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();

    #[callback]
    pub(super) fn page(n: u64) {
        TOOK.note(n);
    }
}

#[callback]
async fn page(_n: u64) {
    std::future::pending::<()>().await;
}

#[callback]
async fn view(_n: u64) {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_stalled_receiver_leaves_and_the_rest_goes_on() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let good = controller.node("good", callbacks![goes_on::page]).await;
    let stalls = controller.node("stalls", callbacks![page]).await;
    meet(&[&sender, &good, &stalls]).await;
    let (mut at_sender, mut at_stalled) = (sender.events(), stalls.events());
    let call = send::page(0..100_000).on(&sender).stall_after(STALL);
    let report = soon(call.into_future()).await.unwrap();
    assert_eq!(assert_accounted(&report, "good", &goes_on::TOOK.all()), (100_000, 0));
    let stalled = CallError::Stalled { node: "stalls".into(), after: STALL };
    assert_eq!(report.receiver("stalls").unwrap().result, Err(stalled));
    assert_eq!(ended(&mut at_stalled).await, (0, 0, StreamEnded::Stalled));
    let left = event(&mut at_sender, |event| match event {
        Event::ReceiverLeft { node, .. } => Some(node.clone()),
        _ => None,
    });
    assert_eq!(left.await, "stalls");
}

#[tokio::test]
async fn one_that_need_not_have_all_leaves_too_or_the_stream_would_never_end() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let stalls = controller.node("stalls", callbacks![view]).await;
    meet(&[&sender, &stalls]).await;
    let mut events = stalls.events();
    let call = send::view(0..100_000).on(&sender).stall_after(STALL).on_slow(OnSlow::DropOldest(3));
    let report = soon(call.into_future()).await.unwrap();
    let stalled = report.receiver("stalls").unwrap();
    assert!(matches!(stalled.result, Err(CallError::Stalled { .. })) && stalled.delivered == 0, "{stalled:?}");
    assert!(stalled.dropped > 0, "{stalled:?}");
    assert_eq!(ended(&mut events).await.2, StreamEnded::Stalled);
}
