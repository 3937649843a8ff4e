//! Rules for streams: each receiver's end says whether it was allowed.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
    vec::Drain,
};

use daffi::{CallError, Event, Incoming, Right, StreamEnded, callback, callbacks, fetcher, testing::Network};
use daffi_core::{
    link::{Intake, Reader, receive_frames},
    transport::{Connection, JoinToken, SendStream, quic::Connector},
    wire::{
        CallId, CallbackId, NodeId, StreamKind,
        control::{ToController, ToNode},
        frame::{Frame, Head},
        item_stream::StreamRequest,
        message,
        offer::Offer,
        preamble,
    },
};
use futures_util::{Stream, stream};
use tokio::sync::Semaphore;

use crate::{
    assert_forbidden,
    common::{Controller, PATIENCE, event, meet, soon},
    raw,
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
    #[fetcher]
    pub(super) async fn begin() -> impl Stream<Item = u64>;
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

static BEGAN: AtomicBool = AtomicBool::new(false);

#[callback]
async fn begin() -> impl Stream<Item = u64> {
    BEGAN.store(true, Ordering::Relaxed);
    stream::iter(0..)
}

#[tokio::test(start_paused = true)]
async fn results_that_a_new_rule_forbids_before_they_begin_do_not_come_though_the_call_ran() {
    let net = Network::new().config(&rules("call = \"begin\""));
    let sender = net.node("sender").callbacks([]).join().await.unwrap();
    let _taker = net.node("taker-1").callbacks(callbacks![begin]).join().await.unwrap();
    sender.wait_process("taker-1").await.unwrap();
    net.link("taker-1").delay(Duration::from_millis(100));
    let change = async {
        // The call has arrived at the other node, and its results not yet at the controller.
        net.advance(Duration::from_millis(150)).await;
        net.reload_controller(&rules(""));
    };
    let (results, ()) = tokio::join!(send::begin().on(&sender).into_future(), change);
    assert_forbidden(results.map(drop), ["sender", "taker-1", "begin"], Right::Call);
    assert!(BEGAN.load(Ordering::Relaxed));
}

/// A node made by hand that offers both, and waits for a call: the call, the caller, and the number of what was not called.
async fn hostile_callee(connection: &Connection, controller: &Controller) -> (SendStream, CallId, NodeId, CallbackId) {
    let (mut control, receive) = connection.open_bi().await.unwrap();
    let offers = ["count", "add"].map(|name| Offer { name: name.into(), ..Default::default() }).into();
    let hello = ToController::Hello { name: "taker-1".into(), offers, software: "a test".into(), instance: 0 };
    let mut bytes = raw::opening(preamble::VERSION);
    bytes.extend_from_slice(controller.token().parse::<JoinToken>().unwrap().secret());
    message::put(&hello, &mut bytes);
    control.write(&mut [bytes.into()]).await.unwrap();
    let mut reader = Reader::new(receive);
    preamble::decode(reader.bytes().await.unwrap()).unwrap();
    let other = loop {
        if let Some(ToNode::Welcome { node, members, .. }) = reader.message().await.unwrap() {
            let own = members.into_iter().find(|member| member.id == node).unwrap();
            break own.offers.iter().find(|offered| offered.offer.name == "add").unwrap().id;
        }
    };
    let (heads, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let deliver = move |frames: Drain<'_, Frame>| {
        frames.for_each(|frame| drop(heads.send(frame.head)));
        Ok(())
    };
    tokio::select! {
        lost = receive_frames(connection, Intake::default(), deliver) => panic!("{lost}"),
        head = calls.recv() => match head {
            Some(Head::Call { id, peer, .. }) => (control, id, peer, other),
            head => panic!("expected a call, got {head:?}"),
        },
    }
}

#[tokio::test]
async fn a_callee_does_not_save_its_results_by_naming_another_callback() {
    for rules_change_first in [true, false] {
        let controller = Controller::configured(&rules("call = \"*\"")).await;
        let sender = controller.node("sender", []).await;
        let socket = Connector::new(controller.address()).unwrap();
        let token = controller.token().parse().unwrap();
        let connection = Connection::Quic(socket.connect(controller.address(), &token, PATIENCE).await.unwrap());
        let call = async {
            sender.wait_function("count").timeout(PATIENCE).await.unwrap();
            send::count().on(&sender).await
        };
        let answers = async {
            let (control, call, caller, other) = hostile_callee(&connection, &controller).await;
            if rules_change_first {
                controller.reconfigure(&rules("call = \"add\"")).unwrap();
            }
            let mut bytes = vec![StreamKind::Items as u8];
            message::put(&results_of(call, caller, other), &mut bytes);
            let (mut send, receive) = connection.open_bi().await.unwrap();
            send.write(&mut [bytes.into()]).await.unwrap();
            (control, send, receive)
        };
        let (called, _open) = soon(async { tokio::join!(call, answers) }).await;
        let ended = match called {
            Ok(mut results) => {
                assert!(!rules_change_first);
                controller.reconfigure(&rules("call = \"add\"")).unwrap();
                soon(results.next()).await.unwrap()
            }
            Err(error) => Err(error),
        };
        assert_forbidden::<u64>(ended, ["sender", "taker-1", "count"], Right::Call);
    }
}

/// The header of a stream that answers a call, and says that this is what was called.
fn results_of(call: CallId, caller: NodeId, callback: CallbackId) -> StreamRequest {
    StreamRequest {
        callback,
        targets: vec![caller],
        stall_millis: 0,
        trace: None,
        answers: Some(call),
        keep: None,
        live: false,
        stream: None,
        resumed: None,
    }
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
