//! Rules for streams: each receiver's end says whether it was allowed.

use std::sync::mpsc;

use daffi::{CallError, Event, Incoming, Right, StreamEnded, callback, callbacks, fetcher};
use tokio::sync::Semaphore;

use crate::{
    assert_forbidden,
    common::{Controller, PATIENCE, event, meet, soon},
};

#[callback]
fn take(n: u64) {
    TAKEN.add_permits(usize::from(n > 0));
}

static TAKEN: Semaphore = Semaphore::const_new(0);

#[callback]
async fn add(mut numbers: Incoming<u64>) -> u64 {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number;
    }
    sum
}

/// Counts without end.
#[callback]
fn count() -> impl Iterator<Item = u64> {
    0..
}

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn take(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn add(n: u64) -> u64;
    #[fetcher]
    pub(super) async fn count() -> impl Stream<Item = u64>;
}

const OFFERS: &str = "[[rule]]\nnodes = \"taker-*\"\noffer = \"*\"\n";

fn rules(of_sender: &str) -> String {
    format!("{OFFERS}[[rule]]\nnodes = \"sender\"\n{of_sender}\n")
}

#[tokio::test]
async fn a_stream_is_allowed_by_its_own_right() {
    let controller = Controller::configured(&rules("stream = \"add\"\ncall = [\"take\", \"count\"]")).await;
    let sender = controller.node("sender", []).await;
    let one = controller.node("taker-1", callbacks![take, add, count]).await;
    let two = controller.node("taker-2", callbacks![take, add]).await;
    meet(&[&sender, &one, &two]).await;
    let report = soon(send::add(1..=4).on(&sender).into_future()).await.unwrap();
    assert!(report.is_complete());
    assert!(report.receivers.iter().all(|receiver| receiver.result == Ok(10)));
    // To call it is another right.
    let report = soon(send::take(0..100).on(&sender).into_future()).await.unwrap();
    assert_eq!(report.receivers.len(), 2);
    for receiver in report.receivers {
        assert_eq!(receiver.delivered, 0);
        assert_forbidden(receiver.result, ["sender", &receiver.node, "take"], Right::Stream);
    }
    // A stream of results belongs to the call.
    let mut results = soon(send::count().on(&sender).into_future()).await.unwrap();
    assert_eq!(soon(results.next()).await.unwrap(), Ok(0));
    drop(results);
    controller.reconfigure(&rules("stream = \"*\"")).unwrap();
    assert_forbidden(
        soon(send::count().on(&sender).into_future()).await.map(drop),
        ["sender", "taker-1", "count"],
        Right::Call,
    );
}

#[tokio::test]
async fn a_stream_under_way_ends_when_a_new_rule_forbids_it() {
    let controller = Controller::configured(&rules("stream = \"take\"")).await;
    let sender = controller.node("sender", []).await;
    let taker = controller.node("taker-1", callbacks![take]).await;
    meet(&[&sender, &taker]).await;
    let mut events = taker.events();
    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::take(source).on(&sender).into_future());
    items.send(1).unwrap();
    soon(TAKEN.acquire()).await.unwrap().forget();
    controller.reconfigure(&rules("stream = \"add\"")).unwrap();
    let end = event(&mut events, |event| match event {
        Event::StreamEnded { end, .. } => Some(end.clone()),
        _ => None,
    });
    assert_eq!(end.await, StreamEnded::NotAllowed);
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    let [receiver] = &*report.receivers else { panic!("{report:?}") };
    assert_forbidden(receiver.result.clone(), ["sender", "taker-1", "take"], Right::Stream);
}

#[tokio::test]
async fn a_stream_of_results_under_way_ends_when_a_new_rule_forbids_its_call() {
    let controller = Controller::configured(&rules("call = \"count\"")).await;
    let sender = controller.node("sender", []).await;
    let taker = controller.node("taker-1", callbacks![count]).await;
    meet(&[&sender, &taker]).await;
    let mut results = soon(send::count().on(&sender).into_future()).await.unwrap();
    assert_eq!(soon(results.next()).await.unwrap(), Ok(0));
    controller.reconfigure(&rules("")).unwrap();
    // What was on its way comes first.
    let error = soon(async {
        loop {
            match results.next().await.expect("it ends with an error") {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    });
    assert_forbidden::<u64>(Err(error.await), ["sender", "taker-1", "count"], Right::Call);
}

#[tokio::test]
async fn a_live_stream_lets_only_those_newcomers_in_that_may_have_it() {
    let controller = Controller::configured(&rules("stream = \"live\"")).await;
    let sender = controller.node("sender", []).await;
    let (items, source) = mpsc::channel();
    let mut events = sender.events();
    let call = live::send::live(source).on(&sender).wait_for_receiver(PATIENCE);
    let call = tokio::spawn(call.into_future());
    let taker = controller.node("taker-1", callbacks![live::live]).await;
    meet(&[&sender, &taker]).await;
    items.send(1).unwrap();
    soon(live::TAKEN.acquire()).await.unwrap().forget();
    controller.reconfigure(&rules("stream = \"add\"")).unwrap();
    let reason = event(&mut events, |event| match event {
        Event::ReceiverLeft { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.await;
    assert!(reason.contains("no rule"), "{reason}");
    let late = controller.node("taker-2", callbacks![live::live]).await;
    meet(&[&sender, &late]).await;
    event(&mut events, |event| matches!(event, Event::ReceiverLeft { node, .. } if node == "taker-2").then_some(()))
        .await;
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert!(
        report.receivers.iter().all(|receiver| matches!(receiver.result, Err(CallError::NotAllowed { .. }))),
        "{report:?}"
    );
    assert_eq!(live::TAKEN.available_permits(), 0);
}

mod live {
    use super::*;

    pub(super) static TAKEN: Semaphore = Semaphore::const_new(0);

    #[callback]
    pub(super) fn live(n: u64) {
        TAKEN.add_permits(usize::from(n > 0));
    }

    pub(super) mod send {
        use daffi::fetcher;

        #[fetcher(STREAM, on_slow = DropOldest(8))]
        pub(in crate::streams) async fn live(n: u64);
    }
}
