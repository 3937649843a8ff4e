//! Each limit of nodes at its edge: as much as it says works, one more is refused with an error that names it.

use std::{
    iter,
    time::{Duration, Instant},
};

use daffi::{CallError, Event, JoinError, StartError, callback, callbacks, testing::Network};
use futures_util::FutureExt;
use serde_bytes::ByteBuf;
use tokio::sync::Semaphore;

use crate::{
    common::{Controller, meet, soon},
    limits,
};

static GO_ON: Semaphore = Semaphore::const_new(0);

/// Returns when the test lets it.
#[callback]
async fn hold() {
    GO_ON.acquire().await.unwrap().forget();
}

/// Returns so many bytes.
#[callback]
async fn make(size: usize) -> ByteBuf {
    vec![7; size].into()
}

#[callback]
async fn measure(bytes: ByteBuf) -> usize {
    bytes.len()
}

#[callback]
async fn take(item: ByteBuf) {
    drop(item);
}

mod ask {
    use daffi::fetcher;
    use serde_bytes::ByteBuf;

    #[fetcher]
    pub(crate) async fn hold();

    #[fetcher]
    pub(crate) async fn make(size: usize) -> ByteBuf;

    #[fetcher]
    pub(crate) async fn measure(bytes: ByteBuf) -> usize;

    #[fetcher(STREAM)]
    pub(crate) async fn take(item: ByteBuf);
}

#[track_caller]
fn refusal(started: Result<daffi::Global, StartError>) -> JoinError {
    match started {
        Err(StartError::Join(error)) => error,
        other => panic!("expected the node to be refused, got {other:?}"),
    }
}

#[tokio::test]
async fn nodes() {
    let controller = Controller::start_within(limits(|limits| limits.nodes = 2)).await;
    let (first, _second) = (controller.node("a", []).await, controller.node("b", []).await);
    match refusal(controller.builder("c").start().await) {
        JoinError::Limit { reason } => assert!(reason.contains("2 nodes") && reason.contains("`nodes`"), "{reason}"),
        other => panic!("expected the limit, got {other}"),
    }
    first.stop().await;
    drop(controller.node("c", []).await);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_and_finds_its_place_taken_waits_for_one() {
    let net = Network::new().limits(limits(|limits| limits.nodes = 2));
    let a = net.node("a").callbacks([]).join().await.unwrap();
    let b = net.node("b").callbacks([]).join().await.unwrap();
    let (mut of_a, mut of_b) = (a.events(), b.events());
    net.link("a").partition();
    while !matches!(of_b.next().await, Some(Event::NodeLeft { .. })) {}
    let c = net.node("c").callbacks([]).join().await.unwrap();
    net.link("a").heal();
    // It tries at least every two seconds.
    net.advance(Duration::from_secs(60)).await;
    assert!(matches!(of_a.next().await, Some(Event::Disconnected { .. })));
    assert!(a.join().now_or_never().is_none(), "it goes on");
    c.stop(Duration::ZERO).await;
    while !matches!(of_a.next().await, Some(Event::Connected)) {}
}

#[tokio::test]
async fn callbacks_of_a_node() {
    let controller = Controller::start_within(limits(|limits| limits.callbacks_per_node = 2)).await;
    let three = callbacks![hold, make, measure];
    match refusal(controller.builder("a").callbacks(three).start().await) {
        JoinError::Limit { reason } => assert!(reason.contains("`callbacks_per_node`"), "{reason}"),
        other => panic!("expected the limit, got {other}"),
    }
    let node = controller.node("a", callbacks![hold]).await;
    node.offer(callbacks![make]).unwrap();
    let refused = node.offer(callbacks![measure]);
    assert!(matches!(refused, Err(JoinError::TooManyCallbacks { count: 3, limit: 2 })), "{refused:?}");
    // It goes on as if it had not asked.
    let other = controller.node("b", []).await;
    soon(other.wait_function("make").into_future()).await.unwrap();
    assert_eq!(ask::make(3).on(&other).await.unwrap().len(), 3);
}

#[tokio::test]
async fn calls_under_way() {
    let controller = Controller::start_within(limits(|limits| limits.calls_per_node = 2)).await;
    let server = controller.node("server", callbacks![hold, make]).await;
    let (caller, other) = (controller.node("caller", []).await, controller.node("other", []).await);
    meet(&[&server, &caller, &other]).await;
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(ask::hold().on(&caller).into_future())).collect();
    for call in &mut held {
        assert!(futures_util::poll!(call).is_pending());
    }
    // Frames of one node come in order.
    let refused = ask::make(1).on(&caller).await.unwrap_err();
    assert_eq!(refused, CallError::Limit { name: "calls_per_node".into(), allowed: 2 });
    assert!(refused.is_retryable());
    assert!(ask::make(1).on(&other).await.is_ok(), "each node has its own");
    GO_ON.add_permits(2);
    for call in held {
        soon(call).await.unwrap();
    }
    assert!(ask::make(1).on(&caller).await.is_ok());
}

#[tokio::test]
async fn streams_of_a_node() {
    let controller = Controller::start_within(limits(|limits| limits.streams_per_node = Some(2))).await;
    let receiver = controller.node("receiver", callbacks![take]).await;
    let sender = controller.node("sender", []).await;
    meet(&[&receiver, &sender]).await;
    // One stream after another never meets it, however short they are.
    for _ in 0..50 {
        assert!(ask::take([vec![1].into()]).on(&sender).await.unwrap().is_complete());
    }
    let (lasts, items) = tokio::sync::mpsc::unbounded_channel::<ByteBuf>();
    let endless =
        futures_util::stream::unfold(items, |mut items| async move { items.recv().await.map(|item| (item, items)) });
    let mut first = Box::pin(ask::take(endless).on(&sender).into_future());
    let (also_lasts, items) = tokio::sync::mpsc::unbounded_channel::<ByteBuf>();
    let endless =
        futures_util::stream::unfold(items, |mut items| async move { items.recv().await.map(|item| (item, items)) });
    let mut second = Box::pin(ask::take(endless).on(&sender).into_future());
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    let third = soon(async {
        loop {
            // The two may be on their way still.
            let report = ask::take([vec![1].into()]).on(&sender).await.unwrap();
            if let Err(error) = &report.receivers[0].result {
                break error.clone();
            }
        }
    });
    let refused = third.await;
    assert_eq!(
        refused.to_string(),
        CallError::<daffi::Never>::Limit { name: "streams_per_node".into(), allowed: 2 }.to_string()
    );
    drop((lasts, also_lasts));
    assert!(soon(first).await.unwrap().is_complete() && soon(second).await.unwrap().is_complete());
    assert!(ask::take([vec![1].into()]).on(&sender).await.unwrap().is_complete());
}

#[tokio::test]
async fn sizes_of_messages() {
    // Some go through the call lane, some have streams of their own.
    for limit in [4_000, 100_000] {
        let controller = Controller::start_within(limits(|limits| limits.message_size = limit)).await;
        let server = controller.node("server", callbacks![make, measure]).await;
        let caller = controller.node("caller", []).await;
        meet(&[&server, &caller]).await;
        let over = usize::try_from(limit).unwrap();
        let CallError::TooLarge { what: "the arguments", size, limit: said } =
            ask::measure(vec![7; over].into()).on(&caller).await.unwrap_err()
        else {
            panic!("expected the arguments to be too large");
        };
        assert_eq!(said, limit);
        let fits = over - usize::try_from(size - limit).unwrap();
        assert_eq!(ask::measure(vec![7; fits].into()).on(&caller).await, Ok(fits));
        assert!(ask::measure(vec![7; fits + 1].into()).on(&caller).await.is_err());

        let CallError::TooLarge { what: "the result", size, .. } = ask::make(over).on(&caller).await.unwrap_err()
        else {
            panic!("expected the result to be too large");
        };
        let fits = over - usize::try_from(size - limit).unwrap();
        assert_eq!(ask::make(fits).on(&caller).await.unwrap().len(), fits);
        assert!(ask::make(fits + 1).on(&caller).await.is_err());
    }
}

#[tokio::test]
async fn sizes_of_items() {
    const LIMIT: usize = 100_000;
    let controller = Controller::start_within(limits(|limits| limits.item_size = LIMIT as u64)).await;
    let receiver = controller.node("receiver", callbacks![take]).await;
    let sender = controller.node("sender", []).await;
    meet(&[&receiver, &sender]).await;
    // One item of up to 64 KiB has a mark and two or three bytes for its length, and the list of arguments has one.
    let item = |size: usize| ByteBuf::from(vec![7; size]);
    let mut largest = 0;
    for size in LIMIT - 16..=LIMIT + 1 {
        match ask::take(iter::once(item(size))).on(&sender).await {
            Ok(report) => {
                assert!(report.is_complete(), "{report:?}");
                largest = size;
            }
            Err(CallError::SourceFailed { message, sent: 0 }) => {
                assert!(message.contains(&format!("more than the {LIMIT}")), "{message}");
            }
            other => panic!("expected a report or the limit, got {other:?}"),
        }
    }
    assert!((LIMIT - 16..LIMIT).contains(&largest), "{largest}");
    // The controller has nothing against many that are as large as they may be.
    let many = ask::take(iter::repeat_with(move || item(largest)).take(100)).on(&sender).await.unwrap();
    assert!(many.is_complete() && many.sent == 100);
}

#[tokio::test]
async fn bytes_a_second_are_held_back_and_not_lost() {
    const RATE: u64 = 1 << 20;
    let controller = Controller::start_within(limits(|limits| limits.bytes_per_second_per_node = Some(RATE))).await;
    let receiver = controller.node("receiver", callbacks![take]).await;
    let sender = controller.node("sender", []).await;
    meet(&[&receiver, &sender]).await;
    let began = Instant::now();
    let items = iter::repeat_with(|| ByteBuf::from(vec![7; 1 << 16])).take(40);
    let report = soon(ask::take(items).on(&sender).into_future()).await.unwrap();
    assert!(report.is_complete() && report.sent == 40);
    // 2.5 MiB, of which the first is free: the rest takes its time. How much longer it takes is the machine's affair.
    assert!(began.elapsed() >= Duration::from_millis(1_400), "{:?}", began.elapsed());
}
