//! Calls that are tried again: only if they ask for it, and never what may have run twice without leave.

use std::time::Duration;

use daffi::{CallError, Event, Retry, callbacks};

use crate::{
    common::{Controller, event, meet, soon},
    pair,
    probe::Probe,
    served,
    stubs::{bg, fg},
};

mod idempotent {
    use daffi::fetcher;

    #[fetcher(idempotent)]
    pub(crate) async fn hold(key: u64) -> u64;
}

/// Many, and quick.
const RETRY: Retry = Retry::times(1_000).pauses(Duration::from_millis(1), Duration::from_millis(10));

#[tokio::test]
async fn what_surely_did_not_run_is_tried_again_if_asked_for() {
    let pair = pair([]).await;
    assert!(matches!(fg::who().on(&pair.caller).await, Err(CallError::NoCallback { .. })), "not unless asked for");

    let mut events = pair.caller.events();
    let call = tokio::spawn(fg::who().retry(RETRY).on(&pair.caller).into_future());
    let (attempt, error) = event(&mut events, |event| match event {
        Event::Retried { callback, attempt, error } if callback == "who" => Some((*attempt, error.clone())),
        _ => None,
    })
    .await;
    assert_eq!((attempt, error.as_str()), (2, r#"no other node offers "who"; known callbacks: none"#));
    pair.server.offer(callbacks![served::a::who]).unwrap();
    assert_eq!(soon(call).await.unwrap().as_deref(), Ok("a"));
}

#[tokio::test]
async fn the_last_error_stands_when_the_attempts_are_used_up() {
    let pair = pair([]).await;
    let mut events = pair.caller.events();
    let retry = Retry::times(3).pauses(Duration::from_millis(1), Duration::from_millis(1));
    let error = soon(fg::who().retry(retry).on(&pair.caller).into_future()).await.unwrap_err();
    assert!(matches!(error, CallError::NoCallback { .. }), "{error}");
    for expected in 2..=4 {
        let attempt = event(&mut events, |event| match event {
            Event::Retried { attempt, .. } => Some(*attempt),
            _ => None,
        });
        assert_eq!(attempt.await, expected);
    }
}

#[tokio::test]
async fn all_attempts_share_the_timeout() {
    let pair = pair([]).await;
    let retry = Retry::times(1_000).pauses(Duration::from_secs(60), Duration::from_secs(60));
    let call = fg::who().retry(retry).timeout(Duration::from_millis(50)).on(&pair.caller);
    let error = soon(call.into_future()).await.unwrap_err();
    assert!(matches!(error, CallError::NoCallback { .. }), "it says what went wrong: {error}");
}

#[tokio::test]
async fn what_may_have_run_is_tried_again_only_if_that_does_no_harm() {
    let mut probe = Probe::new();
    let controller = Controller::start().await;
    let caller = controller.node("caller", []).await;
    for idempotent in [false, true] {
        let lost = controller.node("lost", callbacks![served::hold]).await;
        meet(&[&caller, &lost]).await;
        let call = if idempotent { idempotent::hold(probe.key) } else { fg::hold(probe.key) };
        let call = tokio::spawn(call.retry(RETRY).on(&caller).into_future());
        assert_eq!(probe.told().await, "hold began");
        drop(lost);
        if !idempotent {
            assert_eq!(soon(call).await.unwrap(), Err(CallError::NodeLost { node: "lost".into() }));
            assert_eq!(probe.told().await, "hold is gone");
            continue;
        }
        assert_eq!(probe.told().await, "hold is gone");
        let other = controller.node("other", callbacks![served::hold]).await;
        assert_eq!(probe.told().await, "hold began", "it runs again at another node");
        probe.open();
        assert_eq!(soon(call).await.unwrap(), Ok(probe.key));
        drop(other);
    }
}

#[tokio::test]
async fn a_background_call_is_tried_again_too() {
    let controller = Controller::start().await;
    let caller = controller.node("caller", []).await;
    let error = bg::who().retry(RETRY).on(&caller).start().await.map(drop).unwrap_err();
    assert!(matches!(error, CallError::NoCallback { .. }), "nobody is there to begin with: {error}");

    let mut probe = Probe::new();
    let lost = controller.node("lost", callbacks![served::hold]).await;
    meet(&[&caller, &lost]).await;
    let task = background::hold(probe.key).retry(RETRY).on(&caller).start().await.unwrap();
    assert_eq!(probe.told().await, "hold began");
    drop(lost);
    let other = controller.node("other", callbacks![served::hold]).await;
    probe.hears(&["hold is gone", "hold began"]).await;
    probe.open();
    assert_eq!(soon(task).await, Ok(probe.key));
    drop(other);
}

mod background {
    #[daffi::fetcher(BG, idempotent)]
    pub(crate) async fn hold(key: u64) -> u64;
}
