//! What a callback learns of the call that it answers.

use std::time::Duration;

use daffi::{CallError, Context, TraceContext, callback, callbacks, fetcher};

use crate::{
    common::{Controller, meet, soon},
    pair,
    probe::{Guard, Probe, held, tell},
    stubs,
};

#[callback(name = "about-the-call")]
async fn about(before: u8, cx: Context, after: u8) -> (String, String, u8) {
    assert_eq!(cx.callback(), "about-the-call");
    assert!(cx.call_id().is_some());
    (cx.caller(), cx.node().name().to_owned(), before + after)
}

#[callback]
fn about_blocking(cx: &Context) -> (String, Option<Duration>, bool) {
    (cx.caller(), cx.remaining(), cx.is_cancelled())
}

mod stub {
    use std::time::Duration;

    use daffi::fetcher;

    #[fetcher(name = "about-the-call")]
    pub(crate) async fn about(before: u8, after: u8) -> (String, String, u8);

    #[fetcher]
    pub(crate) async fn about_blocking() -> (String, Option<Duration>, bool);
}

#[tokio::test]
async fn the_caller_the_node_and_the_time_that_is_left() {
    let pair = pair(callbacks![about, about_blocking]).await;
    let said = stub::about(1, 2).on(&pair.caller).await.unwrap();
    assert_eq!(said, ("caller".into(), "server".into(), 3));

    let (caller, remaining, cancelled) = stub::about_blocking().on(&pair.caller).await.unwrap();
    assert_eq!((caller.as_str(), cancelled), ("caller", false));
    let default = daffi::limits::CALL_TIMEOUT;
    assert!(remaining.is_some_and(|left| left <= default && left > default / 2), "{remaining:?}");
    let minute = Duration::from_secs(60);
    let (_, remaining, _) = stub::about_blocking().timeout(minute).on(&pair.caller).await.unwrap();
    assert!(remaining.is_some_and(|left| left <= minute && left > default), "{remaining:?}");
}

/// Waits, and what it spawned does too, for its caller to lose interest.
#[callback]
async fn wait(cx: Context, key: u64) {
    let _guard = Guard::new(key, "wait");
    let spawned = cx.clone();
    tokio::spawn(async move {
        spawned.cancelled().await;
        tell(key, "what it spawned heard of it");
    });
    std::future::pending::<()>().await;
}

/// A thread cannot be stopped, so it looks now and then.
#[callback]
fn look(cx: Context, key: u64) {
    tell(key, "look began");
    cx.cancelled().wait();
    assert!(cx.is_cancelled());
    tell(key, "look ended");
}

#[fetcher(name = "wait")]
async fn wait_stub(key: u64);

#[fetcher(name = "look")]
async fn look_stub(key: u64);

#[tokio::test]
async fn a_callback_hears_when_its_caller_has_lost_interest() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![wait, look]).await;
    let call = tokio::spawn(wait_stub(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "wait began");
    call.abort();
    probe.hears(&["wait is gone", "what it spawned heard of it"]).await;

    let call = look_stub(probe.key).timeout(Duration::from_millis(20)).on(&pair.caller);
    assert!(matches!(soon(call.into_future()).await, Err(CallError::Timeout { .. })));
    probe.hears(&["look began", "look ended"]).await;
}

/// Calls `hold` of another node from a task of its own, and from a thread of its own.
#[callback]
async fn delegate(cx: Context, key: u64) {
    let task = cx.clone();
    tokio::spawn(async move {
        let ended = task.scope(stubs::fg::hold(key).into_future()).await;
        tell(key, format!("the task: {ended:?}"));
    });
    std::thread::spawn(move || {
        let ended = cx.run(|| stubs::fg::hold(key).wait());
        tell(key, format!("the thread: {ended:?}"));
    });
    held(key).await;
}

#[fetcher(name = "delegate")]
async fn delegate_stub(key: u64);

#[tokio::test]
async fn what_a_callback_spawns_can_go_on_as_part_of_it() {
    let mut probe = Probe::new();
    let controller = Controller::start().await;
    let middle = controller.node("middle", callbacks![delegate]).await;
    let last = controller.node("last", callbacks![crate::served::hold]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&middle, &last, &caller]).await;
    let call = tokio::spawn(delegate_stub(probe.key).on(&caller).into_future());
    probe.hears(&["hold began"]).await;
    assert_eq!(probe.told().await, "hold began");
    call.abort();
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(probe.told().await);
    }
    heard.sort();
    let cancelled = format!("Err({:?})", CallError::<()>::Cancelled);
    let expected = [
        "hold is gone".to_owned(),
        "hold is gone".to_owned(),
        format!("the task: {cancelled}"),
        format!("the thread: {cancelled}"),
    ];
    assert_eq!(heard, expected);
}

#[callback]
async fn traced(cx: Context) -> Option<String> {
    cx.trace().map(|trace| trace.to_string())
}

#[callback]
async fn relayed() -> Option<String> {
    traced_stub().await.unwrap()
}

#[fetcher(name = "traced")]
async fn traced_stub() -> Option<String>;

#[fetcher(name = "relayed")]
async fn relayed_stub() -> Option<String>;

#[tokio::test]
async fn a_trace_travels_and_is_inherited() {
    let controller = Controller::start().await;
    let last = controller.node("last", callbacks![traced]).await;
    let middle = controller.node("middle", callbacks![relayed]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&last, &middle, &caller]).await;
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace: TraceContext = text.parse().unwrap();
    assert_eq!(traced_stub().on(&caller).await, Ok(None));
    assert_eq!(traced_stub().trace(trace).on(&caller).await.unwrap().as_deref(), Some(text));
    assert_eq!(relayed_stub().trace(trace).on(&caller).await.unwrap().as_deref(), Some(text));
}
