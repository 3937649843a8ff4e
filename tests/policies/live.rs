//! Streams that go on while receivers come and go.

use std::{sync::mpsc, time::Duration};

use daffi::{Event, OnSlow, callbacks, fetcher, starting};

use crate::{
    assert_accounted,
    common::{Controller, PATIENCE, event, meet, soon},
};

mod send {
    use super::*;

    #[fetcher(STREAM, on_slow = DropOldest(1000))]
    pub(super) async fn show(n: u64);
    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn pictures(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn log(n: u64);
    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn fixed(n: u64);
}

macro_rules! journals {
    ($($module:ident: $name:ident),+) => {
        $(mod $module {
            pub(super) static TOOK: crate::Journal = crate::Journal::new();

            #[daffi::callback]
            pub(super) fn $name(n: u64) {
                TOOK.note(n);
            }
        })+
    };
}

journals!(early: show, late: show, last: show);

#[tokio::test]
async fn receivers_come_and_go_and_the_report_lists_them_all() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let mut events = sender.events();
    let (items, source) = mpsc::channel();
    let call = send::show(source).on(&sender).wait_for_receiver(PATIENCE);
    let call = tokio::spawn(call.into_future());
    let early = controller.node("early", callbacks![early::show]).await;
    items.send(0).unwrap();
    early::TOOK.has(|n| n == 0).await;

    // One that comes has the last item at once, although nothing new is sent.
    let late = controller.node("late", callbacks![late::show]).await;
    late::TOOK.has(|n| n == 0).await;
    let joined = event(&mut events, |event| match event {
        Event::ReceiverJoined { callback, node } => Some((callback.clone(), node.clone())),
        _ => None,
    });
    assert_eq!(joined.await, ("show".into(), "late".into()));
    items.send(1).unwrap();
    early::TOOK.has(|n| n == 1).await;
    late::TOOK.has(|n| n == 1).await;

    // All leave, and the stream goes on without them.
    for node in [early, late] {
        let name = node.name().to_owned();
        node.stop().await;
        let left = event(&mut events, |event| match event {
            Event::ReceiverLeft { node, .. } => Some(node.clone()),
            _ => None,
        });
        assert_eq!(left.await, name);
    }
    (2..100).for_each(|n| items.send(n).unwrap());
    assert!(!call.is_finished());
    let last = controller.node("last", callbacks![last::show]).await;
    meet(&[&sender, &last]).await;
    last::TOOK.has(|n| n <= 99).await;
    (100..200).for_each(|n| items.send(n).unwrap());
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert_eq!((report.sent, report.receivers.len()), (200, 3));
    let (delivered, _) = assert_accounted(&report, "last", &last::TOOK.all());
    assert!(delivered >= 100 && last::TOOK.all().ends_with(&[198, 199]));
    let late = report.receiver("late").unwrap();
    assert_eq!((late.first, late.delivered, late.dropped), (0, 2, 0));
    assert!(report.failed().count() == 2);
}

journals!(whole: pictures, comes: pictures);

#[tokio::test]
async fn a_newcomer_begins_with_what_it_can_begin_with() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let whole = controller.node("whole", callbacks![whole::pictures]).await;
    meet(&[&sender, &whole]).await;
    let (items, source) = mpsc::channel();
    let source = starting(source, |n: &u64| n.is_multiple_of(10));
    let call = tokio::spawn(send::pictures(source).on(&sender).into_future());
    for n in 0..15 {
        items.send(n).unwrap();
        whole::TOOK.has(|taken| taken == n).await;
    }
    // It has 10 at once; 15 means nothing to it, since it has not those between.
    let comes = controller.node("comes", callbacks![comes::pictures]).await;
    meet(&[&sender, &comes]).await;
    comes::TOOK.has(|n| n == 10).await;
    for n in 15..22 {
        items.send(n).unwrap();
        whole::TOOK.has(|taken| taken == n).await;
        if n >= 20 {
            comes::TOOK.has(|taken| taken == n).await;
        }
    }
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert_accounted(&report, "whole", &whole::TOOK.all());
    assert_eq!(assert_accounted(&report, "comes", &comes::TOOK.all()), (3, 9));
    assert_eq!((report.receiver("comes").unwrap().first, comes::TOOK.all()), (10, vec![10, 20, 21]));
}

journals!(reads: log, joins: log);

#[tokio::test]
async fn a_lossless_stream_takes_newcomers_if_asked() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let reads = controller.node("reads", callbacks![reads::log]).await;
    meet(&[&sender, &reads]).await;
    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::log(source).on(&sender).live(true).into_future());
    (0..100).for_each(|n| items.send(n).unwrap());
    reads::TOOK.has(|n| n == 99).await;
    let joins = controller.node("joins", callbacks![joins::log]).await;
    joins::TOOK.has(|n| n == 99).await;
    // Several windows, all of which it has.
    (100..100_000).for_each(|n| items.send(n).unwrap());
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert_eq!(assert_accounted(&report, "reads", &reads::TOOK.all()), (100_000, 0));
    assert_eq!(assert_accounted(&report, "joins", &joins::TOOK.all()), (100_000 - 99, 0));
    drop(joins);
}

journals!(alone: fixed, ignored: fixed);

#[tokio::test]
async fn a_stream_that_is_not_live_has_the_receivers_of_its_beginning() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let alone = controller.node("alone", callbacks![alone::fixed]).await;
    meet(&[&sender, &alone]).await;
    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::fixed(source).on(&sender).live(false).into_future());
    items.send(0).unwrap();
    alone::TOOK.has(|n| n == 0).await;
    let ignored = controller.node("ignored", callbacks![ignored::fixed]).await;
    meet(&[&sender, &alone, &ignored]).await;
    items.send(1).unwrap();
    alone::TOOK.has(|n| n == 1).await;
    assert_eq!(ignored::TOOK.all(), []);
    // And it ends with the last of them, although its source goes on.
    alone.stop().await;
    let report = soon(call).await.unwrap().unwrap();
    assert_eq!((report.receivers.len(), report.failed().count()), (1, 1));
    drop(items);
}

journals!(leaves: nowhere);

#[tokio::test]
async fn a_live_stream_whose_receivers_are_gone_ends_with_its_source() {
    mod fetch {
        #[daffi::fetcher(STREAM)]
        pub(super) async fn nowhere(n: u64);
    }
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![leaves::nowhere]).await;
    meet(&[&sender, &receiver]).await;
    let mut events = sender.events();
    let (items, source) = mpsc::channel();
    let call = fetch::nowhere(source).on(&sender).on_slow(OnSlow::KeepLatest).stall_after(Duration::from_secs(60));
    let call = tokio::spawn(call.into_future());
    items.send(0).unwrap();
    leaves::TOOK.has(|n| n == 0).await;
    receiver.stop().await;
    event(&mut events, |event| matches!(event, Event::ReceiverLeft { .. }).then_some(())).await;
    // More than a window, which nobody takes.
    (1..100_000).for_each(|n| items.send(n).unwrap());
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert_eq!((report.sent, report.receivers.len()), (100_000, 1));
}
