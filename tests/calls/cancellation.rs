//! Calls that nobody wants any more: whatever state they are in, they stop and leave nothing behind; but for callbacks that are to
//! finish.

use std::time::Duration;

use daffi::{CallError, Context, callback, callbacks, fetcher};

use crate::{
    common::{Controller, meet, soon},
    pair,
    probe::{Guard, Probe, held, tell},
    served,
    stubs::{broadcast, fg},
};

#[tokio::test]
async fn dropping_a_broadcast_stops_every_callback() {
    let mut probe = Probe::new();
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![served::hold]).await;
    let b = controller.node("b", callbacks![served::hold]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&a, &b, &caller]).await;
    let call = tokio::spawn(broadcast::hold(probe.key).on(&caller).into_future());
    for _ in 0..2 {
        assert_eq!(probe.told().await, "hold began");
    }
    call.abort();
    for _ in 0..2 {
        assert_eq!(probe.told().await, "hold is gone");
    }
}

/// A reply that takes a while: it is far larger than what may be on the way at a time.
#[callback]
fn large(key: u64) -> Vec<u8> {
    let _guard = Guard::new(key, "large");
    vec![7; 100 << 20]
}

#[fetcher(name = "large")]
async fn large_stub(key: u64) -> Vec<u8>;

#[tokio::test]
async fn dropping_a_call_whose_reply_is_on_its_way_leaves_nothing_behind() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![large, served::add]).await;
    for _ in 0..3 {
        let call = tokio::spawn(large_stub(probe.key).on(&pair.caller).into_future());
        probe.hears(&["large began", "large is gone"]).await;
        call.abort();
        assert!(soon(call).await.is_err(), "the reply was still on its way");
        assert_eq!(soon(fg::add(1, 2).on(&pair.caller).into_future()).await, Ok(3));
    }
    // A controller that has nothing under way stops at once, whatever its grace.
    soon(pair.controller.global().stop_within(Duration::from_secs(600))).await;
}

/// Finishes whatever becomes of its caller, and so does what it calls.
#[callback(name = "finish", no_cancel)]
async fn finish_callback(cx: Context, key: u64) {
    let _guard = Guard::new(key, "finish");
    cx.cancelled().await;
    tell(key, "nobody wants it");
    held(key).await;
    let sum = fg::add(1, 2).await;
    tell(key, format!("it finished: {sum:?}"));
}

#[fetcher]
async fn finish(key: u64);

#[tokio::test]
async fn what_is_to_finish_does_when_its_call_is_dropped_or_late_or_its_caller_lost() {
    let mut probe = Probe::new();
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![finish_callback]).await;
    let helper = controller.node("helper", callbacks![served::add]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&server, &helper, &caller]).await;

    let dropped = tokio::spawn(finish(probe.key).on(&caller).into_future());
    assert_eq!(probe.told().await, "finish began");
    dropped.abort();
    assert_eq!(probe.told().await, "nobody wants it");

    let late = finish(probe.key).timeout(Duration::from_millis(20)).on(&caller);
    assert!(matches!(soon(late.into_future()).await, Err(CallError::Timeout { .. })), "the caller waits no longer");
    probe.hears(&["finish began", "nobody wants it"]).await;

    let lost = tokio::spawn(finish(probe.key).on(&caller).into_future());
    assert_eq!(probe.told().await, "finish began");
    drop(caller);
    assert_eq!(probe.told().await, "nobody wants it");
    let _ = soon(lost).await;

    probe.open();
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(probe.told().await);
    }
    told.sort();
    assert_eq!(told, [["finish is gone"; 3], ["it finished: Ok(3)"; 3]].concat());
}

#[tokio::test]
async fn what_is_to_finish_is_waited_for_by_a_stop_up_to_its_grace() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![finish_callback]).await;
    let call = tokio::spawn(finish(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "finish began");
    call.abort();
    assert_eq!(probe.told().await, "nobody wants it");
    let stop = tokio::spawn(pair.server.stop_within(Duration::from_secs(600)));
    let refused = async {
        loop {
            match finish(probe.key).timeout(Duration::from_millis(20)).on(&pair.caller).await {
                Err(CallError::Stopping { who }) => break who,
                Err(CallError::Timeout { .. }) => {}
                other => panic!("expected a refusal, got {other:?}"),
            }
        }
    };
    assert_eq!(soon(refused).await, r#"node "server""#);
    assert!(!stop.is_finished(), "it waits for what runs");
    probe.open();
    soon(stop).await.unwrap();
    let told = probe.told_already();
    assert!(told.iter().any(|told| told.starts_with("it finished")), "{told:?}");
    assert!(told.iter().any(|told| told == "finish is gone"), "{told:?}");
}
