//! How a stream ends before its time: its caller loses interest, or its source fails.

use daffi::{CallError, StreamEnded, callback, callbacks, fallible, fetcher};
use futures_util::{StreamExt, stream};

use crate::{
    common::{Controller, meet, soon},
    ended, endless,
};

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn forever(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn waiting(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn until(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn relayed(n: u64);
    #[fetcher]
    pub(super) async fn relay();
}

crate::journals!(forever_one, forever_two: fn forever(n: u64));

#[tokio::test]
async fn dropping_the_call_ends_an_infinite_stream() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let one = controller.node("one", callbacks![forever_one::forever]).await;
    let two = controller.node("two", callbacks![forever_two::forever]).await;
    meet(&[&sender, &one, &two]).await;
    let (mut at_one, mut at_two) = (one.events(), two.events());

    let (numbers, dropped) = endless();
    let call = tokio::spawn(send::forever(numbers).on(&sender).into_future());
    forever_one::TOOK.reaches(50_000).await;
    forever_two::TOOK.reaches(50_000).await;
    call.abort();
    dropped.happens().await;
    for (events, took) in [(&mut at_one, &forever_one::TOOK), (&mut at_two, &forever_two::TOOK)] {
        let (producer, delivered, end) = ended(events).await;
        assert_eq!((producer.as_str(), end), ("sender", StreamEnded::Cancelled));
        // All of them in order, and after the end none.
        assert!(took.all().into_iter().eq(1..=delivered));
    }
    assert!(call.await.unwrap_err().is_cancelled());
}

crate::journals!(waiting_one: fn waiting(n: u64));

#[tokio::test]
async fn dropping_the_call_ends_an_async_source_that_waits() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![waiting_one::waiting]).await;
    meet(&[&sender, &receiver]).await;
    let mut events = receiver.events();

    let (numbers, dropped) = endless();
    let source = stream::iter(numbers.take(3)).chain(stream::pending());
    let call = tokio::spawn(send::waiting(source).on(&sender).into_future());
    waiting_one::TOOK.reaches(3).await;
    call.abort();
    assert_eq!(ended(&mut events).await, ("sender".into(), 3, StreamEnded::Cancelled));
    dropped.happens().await;
}

crate::journals!(until_one, until_two: fn until(n: u64));

#[tokio::test]
async fn a_source_that_fails_gives_the_items_before_it_and_its_error() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let one = controller.node("one", callbacks![until_one::until]).await;
    let two = controller.node("two", callbacks![until_two::until]).await;
    meet(&[&sender, &one, &two]).await;
    let (mut at_one, mut at_two) = (one.events(), two.events());

    let failing = || (1..).map(|n: u64| if n <= 70_000 { Ok(n) } else { Err("the camera is gone") });
    let panicking = || {
        (1..).inspect(|n: &u64| {
            assert!(*n <= 70_000, "out of film");
        })
    };
    for (call, says) in [
        (send::until(fallible(failing())), "the camera is gone"),
        (send::until(fallible(stream::iter(failing()))), "the camera is gone"),
        (send::until(panicking()), "out of film"),
        (send::until(stream::iter(panicking())), "out of film"),
    ] {
        let error = soon(call.on(&sender).into_future()).await.unwrap_err();
        let CallError::SourceFailed { message, sent } = error else { panic!("{error:?}") };
        assert!(message.contains(says), "{message}");
        assert_eq!(sent, 70_000);
        for (events, took) in [(&mut at_one, &until_one::TOOK), (&mut at_two, &until_two::TOOK)] {
            let end = StreamEnded::SourceFailed { message: message.clone() };
            assert_eq!(ended(events).await, ("sender".into(), 70_000, end));
            assert!(took.all().into_iter().eq(1..=70_000));
            took.lock().clear();
        }
    }
    // The nodes are none the worse for it.
    assert!(send::until(1..=10).on(&sender).await.unwrap().is_complete());
}

crate::journals!(relayed_one: fn relayed(n: u64));

static RELAYED: std::sync::Mutex<Option<crate::Dropped>> = std::sync::Mutex::new(None);

#[callback]
async fn relay() {
    let (numbers, dropped) = endless();
    *RELAYED.lock().unwrap() = Some(dropped);
    // Who called this is gone by the time it ends.
    let _ = send::relayed(numbers).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_call_that_its_callback_serves() {
    let controller = Controller::start().await;
    let caller = controller.node("caller", []).await;
    let middle = controller.node("middle", callbacks![relay]).await;
    let receiver = controller.node("receiver", callbacks![relayed_one::relayed]).await;
    meet(&[&caller, &middle, &receiver]).await;
    let mut events = receiver.events();

    let call = tokio::spawn(send::relay().on(&caller).into_future());
    relayed_one::TOOK.reaches(10_000).await;
    call.abort();
    let (producer, delivered, end) = ended(&mut events).await;
    assert_eq!((producer.as_str(), end), ("middle", StreamEnded::Cancelled));
    assert!(relayed_one::TOOK.all().into_iter().eq(1..=delivered));
    let dropped = RELAYED.lock().unwrap().take().unwrap();
    dropped.happens().await;
}
