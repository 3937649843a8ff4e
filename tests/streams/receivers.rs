//! Who gets a stream: everybody else who offers the callback when it begins.

use std::{sync::mpsc, time::Duration};

use daffi::{CallError, callback, callbacks, fetcher};

use crate::common::{Controller, PATIENCE, meet, soon};

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn during(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn nobody(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn late(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn own(n: u64);
}

crate::journals!(there, joins: fn during(n: u64));

#[tokio::test]
async fn a_node_that_joins_during_a_stream_does_not_get_it() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let early = controller.node("early", callbacks![there::during]).await;
    meet(&[&sender, &early]).await;

    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::during(source).on(&sender).into_future());
    (0..100).for_each(|n| items.send(n).unwrap());
    there::TOOK.reaches(100).await;
    let newcomer = controller.node("newcomer", callbacks![joins::during]).await;
    meet(&[&sender, &early, &newcomer]).await;
    (100..200).for_each(|n| items.send(n).unwrap());
    drop(items);
    let report = soon(call).await.unwrap().unwrap();
    assert!(report.is_complete());
    assert_eq!(report.receivers.len(), 1);
    assert!(there::TOOK.all().into_iter().eq(0..200));
    assert_eq!(joins::TOOK.count(), 0);

    // The next one reaches both.
    let report = soon(send::during(0..100).on(&sender).into_future()).await.unwrap();
    assert_eq!((report.receivers.len(), report.is_complete()), (2, true));
    assert!(joins::TOOK.all().into_iter().eq(0..100));
}

#[callback]
fn known() {}

#[callback]
fn nobody(n: u64) {
    panic!("{n} came back to its sender");
}

#[tokio::test]
async fn without_a_receiver_the_error_lists_what_is_there() {
    let controller = Controller::start().await;
    // What the sender offers itself does not count.
    let sender = controller.node("sender", callbacks![nobody]).await;
    let other = controller.node("other", callbacks![known]).await;
    meet(&[&sender, &other]).await;

    let expected = || Err(CallError::NoCallback { name: "nobody".into(), node: None, known: vec!["known".into()] });
    assert_eq!(send::nobody(0..10).on(&sender).await, expected());
    let patient = send::nobody(0..10).on(&sender).wait_for_receiver(Duration::from_millis(100));
    assert_eq!(soon(patient.into_future()).await, expected());
}

crate::journals!(comes: fn late(n: u64));

#[tokio::test]
async fn a_stream_can_wait_for_its_receiver() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let call = tokio::spawn(send::late(0..100).on(&sender).wait_for_receiver(PATIENCE).into_future());
    let bystander = controller.node("bystander", []).await;
    meet(&[&sender, &bystander]).await;
    assert!(!call.is_finished());

    let _receiver = controller.node("receiver", callbacks![comes::late]).await;
    let report = soon(call).await.unwrap().unwrap();
    assert!(report.is_complete());
    assert!(comes::TOOK.all().into_iter().eq(0..100));
}

crate::journals!(mine, yours, theirs: fn own(n: u64));

#[tokio::test]
async fn the_senders_own_callback_is_not_called() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", callbacks![mine::own]).await;
    let one = controller.node("one", callbacks![yours::own]).await;
    let two = controller.node("two", callbacks![theirs::own]).await;
    meet(&[&sender, &one, &two]).await;

    let report = soon(send::own(1..=100).on(&sender).into_future()).await.unwrap();
    assert_eq!((report.receivers.len(), report.is_complete()), (2, true));
    assert!(report.receiver("sender").is_none());
    assert_eq!(mine::TOOK.count(), 0);
    assert!(yours::TOOK.all().into_iter().eq(1..=100));
    assert!(theirs::TOOK.all().into_iter().eq(1..=100));
}
