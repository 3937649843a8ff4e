//! When calls end that nobody answers, and what is kept of a broadcast then.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    time::{Duration, Instant},
};

use daffi::{BackgroundCall, BroadcastCall, Call, CallError, Global, NodeReply, callbacks};
use daffi_core::node::Callback;
use futures_util::future::join_all;

use crate::{
    Pair,
    common::{Controller, meet, soon},
    in_a_plain_thread, pair,
    probe::Probe,
    served,
    stubs::{bg, broadcast, fg},
};

const TIMEOUTS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(1_500)];

/// How late a timeout may fire on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(1);

#[track_caller]
fn assert_on_time<T: Debug>(result: Result<T, CallError>, timeout: Duration, began: Instant) {
    let took = began.elapsed();
    assert!(took >= timeout, "{took:?} is too early for {timeout:?}");
    assert!(took <= timeout + LATE, "{took:?} is too late for {timeout:?}");
    match result {
        Err(CallError::Timeout { after }) => assert!(after >= timeout && after <= took, "{after:?} of {took:?}"),
        other => panic!("expected a timeout, got {other:?}"),
    }
}

async fn fg_ends(call: Call<u64>, timeout: Duration) {
    let began = Instant::now();
    assert_on_time(call.timeout(timeout).await, timeout, began);
}

async fn bg_ends(call: BackgroundCall<u64>, timeout: Duration) {
    let began = Instant::now();
    let task = call.timeout(timeout).start().await.unwrap();
    assert_on_time(task.await, timeout, began);
}

async fn broadcast_ends(call: BroadcastCall<u64>, timeout: Duration, nodes: usize) {
    let began = Instant::now();
    let replies = call.timeout(timeout).await.unwrap();
    assert_eq!(replies.len(), nodes);
    for reply in replies {
        assert_on_time(reply.result, timeout, began);
    }
}

#[tokio::test]
async fn fg_ends_in_time() {
    let probe = &Probe::new();
    let Pair { caller, .. } = &pair(callbacks![served::hold, served::hold_blocking]).await;
    join_all(TIMEOUTS.map(|timeout| async move {
        tokio::join!(
            fg_ends(fg::hold(probe.key).on(caller), timeout),
            fg_ends(fg::hold_blocking(probe.key).on(caller), timeout),
        )
    }))
    .await;
}

#[tokio::test]
async fn bg_ends_in_time() {
    let probe = &Probe::new();
    let Pair { caller, .. } = &pair(callbacks![served::hold, served::hold_blocking]).await;
    join_all(TIMEOUTS.map(|timeout| async move {
        tokio::join!(
            bg_ends(bg::hold(probe.key).on(caller), timeout),
            bg_ends(bg::hold_blocking(probe.key).on(caller), timeout),
        )
    }))
    .await;
}

#[tokio::test]
async fn a_broadcast_ends_in_time() {
    let probe = &Probe::new();
    let pair = pair(callbacks![served::hold, served::hold_blocking]).await;
    let other = pair.controller.node("other", callbacks![served::hold]).await;
    meet(&[&pair.caller, &other]).await;
    let caller = &pair.caller;
    join_all(TIMEOUTS.map(|timeout| async move {
        tokio::join!(
            broadcast_ends(broadcast::hold(probe.key).on(caller), timeout, 2),
            broadcast_ends(broadcast::hold_blocking(probe.key).on(caller), timeout, 1),
        )
    }))
    .await;
}

#[tokio::test]
async fn timeouts_are_kept_without_a_runtime_too() {
    let probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::hold_blocking]).await;
    let (caller, key) = (pair.caller.clone(), probe.key);
    in_a_plain_thread(move || {
        for timeout in TIMEOUTS {
            let began = Instant::now();
            assert_on_time(fg::hold(key).on(&caller).timeout(timeout).wait(), timeout, began);
            let began = Instant::now();
            let task = bg::hold_blocking(key).on(&caller).timeout(timeout).start().wait().unwrap();
            assert_on_time(task.wait(), timeout, began);
            let began = Instant::now();
            for reply in broadcast::hold(key).on(&caller).timeout(timeout).wait().unwrap() {
                assert_on_time(reply.result, timeout, began);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_timeout_stops_the_callback() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let late = fg::hold(probe.key).on(&pair.caller).timeout(Duration::from_millis(300)).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    probe.hears(&["hold began", "hold is gone"]).await;
}

#[tokio::test]
async fn a_call_that_sets_no_timeout_has_that_of_its_node_and_a_bg_call_has_none() {
    let timeout = Duration::from_millis(200);
    let probe = Probe::new();
    let controller = Controller::start().await;
    let _server = controller.node("server", callbacks![served::hold]).await;
    let caller = controller.builder("caller").call_timeout(timeout).start().await.unwrap();

    let task = bg::hold(probe.key).on(&caller).start().await.unwrap();
    let began = Instant::now();
    assert_on_time(fg::hold(probe.key).on(&caller).await, timeout, began);
    let began = Instant::now();
    for reply in broadcast::hold(probe.key).on(&caller).await.unwrap() {
        assert_on_time(reply.result, timeout, began);
    }
    assert!(!task.is_finished());
    probe.open();
    assert_eq!(soon(task).await, Ok(probe.key));
}

mod report {
    use daffi::fetcher;

    #[fetcher(BROADCAST)]
    pub(crate) async fn report(key: u64) -> Result<u32, String>;
}

mod fine {
    use daffi::callback;

    #[callback]
    pub(crate) async fn report(key: u64) -> Result<u32, String> {
        crate::probe::tell(key, "fine");
        Ok(1)
    }
}

mod refuses {
    use daffi::callback;

    #[callback]
    pub(crate) fn report(_key: u64) -> Result<u32, String> {
        Err("not today".into())
    }
}

mod panics {
    use daffi::callback;

    #[callback]
    pub(crate) async fn report(_key: u64) -> Result<u32, String> {
        panic!("out of paper")
    }
}

mod late {
    use daffi::callback;

    #[callback]
    pub(crate) async fn report(key: u64) -> Result<u32, String> {
        crate::probe::held(key).await;
        Ok(2)
    }
}

#[tokio::test]
async fn a_broadcast_keeps_the_replies_of_the_others_whichever_node_fails_or_is_late() {
    let roles: [Callback; 4] = callbacks![fine::report, refuses::report, panics::report, late::report];
    for turn in 0..roles.len() {
        let probe = Probe::new();
        let controller = Controller::start().await;
        let mut nodes = Vec::new();
        // Each role is once the first to be asked, and once the last.
        for place in 0..roles.len() {
            let role = (turn + place) % roles.len();
            nodes.push(controller.node(&format!("role{role}"), [roles[role]]).await);
        }
        let caller = controller.node("caller", []).await;
        let timeout = Duration::from_millis(400);
        let began = Instant::now();
        let replies = report::report(probe.key).on(&caller).timeout(timeout).await.unwrap();
        let took = began.elapsed();
        assert!(took >= timeout && took <= timeout + LATE, "{took:?}");

        let mut by_node: BTreeMap<_, _> = replies.into_iter().map(|reply| (reply.node, reply.result)).collect();
        assert_eq!(by_node.remove("role0"), Some(Ok(1)));
        assert_eq!(by_node.remove("role1"), Some(Err(CallError::App("not today".into()))));
        let panicked = CallError::Panicked { node: "role2".into(), message: "out of paper".into() };
        assert_eq!(by_node.remove("role2"), Some(Err(panicked)));
        let late = by_node.remove("role3");
        assert!(matches!(late, Some(Err(CallError::Timeout { .. }))), "{late:?}");
        assert!(by_node.is_empty(), "{by_node:?}");
    }
}

#[tokio::test]
async fn a_broadcast_keeps_the_replies_of_the_others_when_a_node_is_lost() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let lost = pair.controller.node("lost", callbacks![served::hold]).await;
    meet(&[&pair.caller, &lost]).await;
    let call = tokio::spawn(broadcast::hold(probe.key).on(&pair.caller).into_future());
    assert_eq!((probe.told().await, probe.told().await), ("hold began".into(), "hold began".into()));
    drop(lost);
    // What it ran is stopped, and then the other one may return.
    assert_eq!(probe.told().await, "hold is gone");
    probe.open();
    let mut replies: Vec<_> = soon(call).await.unwrap().unwrap();
    replies.sort_by(|a, b| a.node.cmp(&b.node));
    let replies: Vec<_> = replies.into_iter().map(|NodeReply { node, result, .. }| (node, result)).collect();
    let lost = CallError::NodeLost { node: "lost".into() };
    assert_eq!(replies, [("lost".into(), Err(lost)), ("server".into(), Ok(probe.key))]);
}

#[tokio::test]
async fn the_node_beside_the_controller_is_reached_like_any_other() {
    let probe = &Probe::new();
    let state = tempfile::tempdir().unwrap();
    let all = callbacks![served::home::who, served::hold, served::add];
    let home = Global::builder().process_name("home").init_controller(true).host("127.0.0.1").port(0);
    let home = home.state_dir(state.path()).callbacks(all).start().await.unwrap();
    let address = home.controller_address().unwrap();
    let other = Global::builder().process_name("a").host(address.ip().to_string()).port(address.port());
    let other = other.token(home.controller_token().unwrap().to_string());
    let other = other.callbacks(callbacks![served::a::who, served::hold]).start().await.unwrap();
    meet(&[&home, &other]).await;

    for (from, to) in [(&other, "home"), (&home, "a")] {
        assert_eq!(fg::who().on(from).await, Ok(to.into()));
        assert_eq!(fg::who().on(from).to(to).await, Ok(to.into()));
        assert_eq!(bg::who().on(from).start().await.unwrap().await, Ok(to.into()));
        let replies = broadcast::who().on(from).await.unwrap();
        let replies: Vec<_> = replies.into_iter().map(|reply| (reply.node, reply.result)).collect();
        assert_eq!(replies, [(to.into(), Ok(to.into()))]);
        join_all(TIMEOUTS.map(|timeout| async move {
            tokio::join!(
                fg_ends(fg::hold(probe.key).on(from), timeout),
                bg_ends(bg::hold(probe.key).on(from), timeout),
                broadcast_ends(broadcast::hold(probe.key).on(from), timeout, 1),
            )
        }))
        .await;
    }
    assert_eq!(fg::add(1, 2).on(&other).await, Ok(3));
}
