//! What one receiver's failure means to the stream, to the caller and to the other receivers.

use std::{sync::mpsc, time::Duration};

use daffi::{CallError, Event, OnError, StreamEnded, callback, callbacks, fetcher};
use serde::{Deserialize, Serialize};

use crate::{
    MUCH,
    common::{Controller, meet},
    ended, endless, within,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("item {at} is spoilt")]
struct Spoilt {
    at: u64,
}

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn eat(n: u64) -> Result<(), Spoilt>;
    #[fetcher(STREAM)]
    pub(super) async fn chew(n: u64) -> Result<(), Spoilt>;
    #[fetcher(STREAM)]
    pub(super) async fn read(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn hang(page: Vec<u8>);
    #[fetcher]
    pub(super) async fn alive() -> bool;
}

crate::journals!(eats_all, eats_too: fn eat(n: u64));

mod returns_an_error {
    use super::*;

    #[callback]
    pub(super) async fn eat(n: u64) -> Result<(), Spoilt> {
        if n == 50 { Err(Spoilt { at: n }) } else { Ok(()) }
    }
}

mod panics {
    use super::*;

    #[callback]
    pub(super) fn eat(n: u64) {
        assert!(n != 50, "choked on {n}");
    }
}

#[tokio::test]
async fn a_receiver_that_fails_leaves_and_the_others_go_on() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let one = controller.node("one", callbacks![eats_all::eat]).await;
    let two = controller.node("two", callbacks![eats_too::eat]).await;
    let picky = controller.node("picky", callbacks![returns_an_error::eat]).await;
    let clumsy = controller.node("clumsy", callbacks![panics::eat]).await;
    meet(&[&sender, &one, &two, &picky, &clumsy]).await;
    let (mut at_one, mut at_picky, mut at_clumsy) = (one.events(), picky.events(), clumsy.events());

    // Far more than may be on its way, so that those who failed would hold it up if they still counted.
    let report = within(MUCH, send::eat(1..=100_000).on(&sender).into_future()).await.unwrap();
    assert_eq!((report.sent, report.receivers.len(), report.failed().count()), (100_000, 4, 2));
    for (name, took) in [("one", &eats_all::TOOK), ("two", &eats_too::TOOK)] {
        let receiver = report.receiver(name).unwrap();
        assert_eq!((receiver.delivered, &receiver.result), (100_000, &Ok(())));
        assert!(took.all().into_iter().eq(1..=100_000));
    }
    let picky = report.receiver("picky").unwrap();
    assert_eq!((picky.delivered, &picky.result), (49, &Err(CallError::App(Spoilt { at: 50 }))));
    let clumsy = report.receiver("clumsy").unwrap();
    assert_eq!(clumsy.delivered, 49);
    let Err(CallError::Panicked { node, message }) = &clumsy.result else { panic!("{clumsy:?}") };
    assert_eq!(node, "clumsy");
    assert!(message.contains("choked on 50"), "{message}");

    assert_eq!(ended(&mut at_one).await, ("sender".into(), 100_000, StreamEnded::Finished));
    for events in [&mut at_picky, &mut at_clumsy] {
        let (_, delivered, end) = ended(events).await;
        assert!(matches!(end, StreamEnded::CallbackFailed { .. }), "{end:?}");
        assert_eq!(delivered, 49);
    }
}

crate::journals!(chews_all: fn chew(n: u64));

mod chokes {
    use super::*;

    #[callback]
    pub(super) fn chew(n: u64) -> Result<(), Spoilt> {
        if n == 50 { Err(Spoilt { at: n }) } else { Ok(()) }
    }
}

#[tokio::test]
async fn one_failure_ends_the_stream_for_all_if_asked_to() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let good = controller.node("good", callbacks![chews_all::chew]).await;
    let bad = controller.node("bad", callbacks![chokes::chew]).await;
    meet(&[&sender, &good, &bad]).await;
    let mut events = good.events();

    let (numbers, dropped) = endless();
    let call = send::chew(numbers).on(&sender).on_error(OnError::StopStream);
    let report = within(MUCH, call.into_future()).await.unwrap();
    dropped.happens().await;
    let bad = report.receiver("bad").unwrap();
    assert_eq!((bad.delivered, &bad.result), (49, &Err(CallError::App(Spoilt { at: 50 }))));
    assert!(!report.is_complete());
    let (_, delivered, end) = ended(&mut events).await;
    assert_eq!(end, StreamEnded::OtherReceiverFailed);
    assert_eq!(report.receiver("good").unwrap().delivered, delivered);
    assert!(chews_all::TOOK.all().into_iter().eq(1..=delivered));
}

crate::journals!(reads_numbers: fn read(n: u64));

mod reads_text {
    use super::*;

    #[callback]
    pub(super) fn read(text: String) {
        panic!("{text} is no text");
    }
}

#[tokio::test]
async fn a_callback_of_another_item_type_is_told_apart() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let right = controller.node("right", callbacks![reads_numbers::read]).await;
    let wrong = controller.node("wrong", callbacks![reads_text::read]).await;
    meet(&[&sender, &right, &wrong]).await;

    let report = within(MUCH, send::read(0..1_000).on(&sender).into_future()).await.unwrap();
    assert_eq!(report.receiver("right").unwrap().result, Ok(()));
    assert!(reads_numbers::TOOK.all().into_iter().eq(0..1_000));
    let wrong = report.receiver("wrong").unwrap();
    assert_eq!(wrong.delivered, 0);
    let Err(CallError::BadArguments { node, .. }) = &wrong.result else { panic!("{wrong:?}") };
    assert_eq!(node, "wrong");
}

/// Whoever hangs goes on when this is dropped.
static HELD: std::sync::Mutex<Option<mpsc::Receiver<()>>> = std::sync::Mutex::new(None);

crate::journals!(hangs_not: fn hang(page: Vec<u8>));

mod hangs_async {
    use super::*;

    #[callback]
    pub(super) async fn hang(_page: Vec<u8>) {
        std::future::pending::<()>().await;
    }
}

mod hangs_sync {
    use super::*;

    #[callback]
    pub(super) fn hang(_page: Vec<u8>) {
        let held = HELD.lock().unwrap().take();
        let _ = held.unwrap().recv();
    }
}

#[callback]
async fn alive() -> bool {
    true
}

#[tokio::test]
async fn a_receiver_that_hangs_is_taken_off_and_the_others_finish() {
    const STALL: Duration = Duration::from_secs(1);
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let good = controller.node("good", callbacks![hangs_not::hang]).await;
    let task = controller.node("task", callbacks![hangs_async::hang, alive]).await;
    let thread = controller.node("thread", callbacks![hangs_sync::hang, alive]).await;
    meet(&[&sender, &good, &task, &thread]).await;
    let (release, held) = mpsc::channel();
    *HELD.lock().unwrap() = Some(held);
    let (mut at_task, mut at_thread) = (task.events(), thread.events());

    // Several times what may be on its way: without the eviction it would never end.
    let pages = || (0..500u32).map(|n| vec![n as u8; 16 << 10]);
    let report = within(MUCH, send::hang(pages()).on(&sender).stall_after(STALL).into_future()).await.unwrap();
    assert_eq!(report.sent, 500);
    assert_eq!(report.receiver("good").unwrap().result, Ok(()));
    assert!(hangs_not::TOOK.all().into_iter().eq(pages()));
    for name in ["task", "thread"] {
        let receiver = report.receiver(name).unwrap();
        let stalled = CallError::Stalled { node: name.into(), after: STALL };
        assert_eq!((receiver.delivered, &receiver.result), (0, &Err(stalled)));
    }

    // They left the stream, not the system.
    drop(release);
    for events in [&mut at_task, &mut at_thread] {
        let end = crate::common::event(events, |event| match event {
            Event::StreamEnded { end, .. } => Some(end.clone()),
            Event::Disconnected { reason } => panic!("it lost its connection: {reason}"),
            _ => None,
        });
        assert_eq!(end.await, StreamEnded::Stalled);
    }
    for name in ["task", "thread"] {
        assert_eq!(send::alive().on(&sender).to(name).await, Ok(true));
    }
}
