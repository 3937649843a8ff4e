//! What the execution modifiers do: FG, BG, BG(no_return) and BROADCAST, with async and blocking callbacks, from async code and
//! from a plain thread. PERIOD is in [`schedules`](crate::schedules).

use std::collections::BTreeSet;

use daffi::{BroadcastCall, CallError, NodeReply, callbacks};

use crate::{
    common::{Controller, meet, soon},
    in_a_plain_thread, pair,
    probe::Probe,
    served,
    stubs::{bg, broadcast, fg, one_way},
};

#[tokio::test]
async fn fg_waits_for_the_result() {
    let pair = pair(callbacks![served::add, served::add_blocking]).await;
    assert_eq!(fg::add(1, 2).on(&pair.caller).await, Ok(3));
    assert_eq!(fg::add_blocking(3, 4).on(&pair.caller).await, Ok(7));
}

#[tokio::test]
async fn a_call_does_nothing_until_it_is_awaited() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note, served::add]).await;
    let unsent = one_way::note(probe.key, "too early").on(&pair.caller);
    assert_eq!(fg::add(1, 2).on(&pair.caller).await, Ok(3));
    assert_eq!(probe.told_already(), [""; 0]);
    unsent.await.unwrap();
    probe.hears(&["too early"]).await;
}

#[tokio::test]
async fn bg_hands_back_a_handle_before_the_result_is_there() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::hold_blocking]).await;
    let task = bg::hold(probe.key).on(&pair.caller).start().await.unwrap();
    let blocking = bg::hold_blocking(probe.key).on(&pair.caller).start().await.unwrap();
    probe.hears(&["hold began", "hold_blocking began"]).await;
    assert!(!task.is_finished() && !blocking.is_finished());
    probe.open();
    assert_eq!(soon(task).await, Ok(probe.key));
    assert_eq!(soon(blocking).await, Ok(probe.key));
}

#[tokio::test]
async fn a_cancelled_bg_call_stops_its_callback_and_says_so() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let task = bg::hold(probe.key).on(&pair.caller).start().await.unwrap();
    probe.hears(&["hold began"]).await;
    task.cancel();
    assert_eq!(soon(task).await, Err(CallError::Cancelled));
    probe.hears(&["hold is gone"]).await;
}

#[tokio::test]
async fn dropping_the_handle_of_a_bg_call_lets_it_go_on() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::add, served::note]).await;
    drop(bg::hold(probe.key).on(&pair.caller).start().await.unwrap());
    probe.hears(&["hold began"]).await;
    // Had dropping it sent a cancellation, that would have arrived before these.
    one_way::note(probe.key, "after").on(&pair.caller).await.unwrap();
    probe.hears(&["after"]).await;
    assert_eq!(fg::add(1, 2).on(&pair.caller).await, Ok(3));
    assert_eq!(probe.told_already(), [""; 0]);
    probe.open();
    probe.hears(&["hold is gone"]).await;
}

#[tokio::test]
async fn a_call_without_return_waits_for_nothing_and_arrives_once() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::note, served::note_blocking]).await;
    one_way::hold(probe.key).on(&pair.caller).await.unwrap();
    probe.hears(&["hold began"]).await;
    for n in 0..50 {
        one_way::note(probe.key, &n.to_string()).on(&pair.caller).await.unwrap();
        one_way::note_blocking(probe.key, &(n + 50).to_string()).on(&pair.caller).await.unwrap();
    }
    let mut heard = BTreeSet::new();
    for _ in 0..100 {
        assert!(heard.insert(probe.told().await), "each arrives once");
    }
    assert_eq!(heard, (0..100).map(|n: i32| n.to_string()).collect());
    assert_eq!(probe.told_already(), [""; 0]);
}

#[tokio::test]
async fn a_broadcast_has_one_reply_from_every_other_node_that_offers_it() {
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![served::a::who, served::add]).await;
    let b = controller.node("b", callbacks![served::b::who, served::add_blocking]).await;
    let c = controller.node("c", callbacks![served::c::who, served::add_blocking]).await;
    let without = controller.node("without", callbacks![served::note]).await;
    let caller = controller.node("home", callbacks![served::home::who]).await;
    meet(&[&a, &b, &c, &without, &caller]).await;

    let replies = sorted(broadcast::who().on(&caller)).await;
    assert_eq!(replies, ["a", "b", "c"].map(|node| (node.into(), Ok(node.into()))));
    let replies = sorted(broadcast::who().on(&a)).await;
    assert_eq!(replies, ["b", "c", "home"].map(|node| (node.into(), Ok(node.into()))));
    assert_eq!(sorted(broadcast::add(1, 2).on(&caller)).await, [("a".into(), Ok(3))]);
    assert_eq!(sorted(broadcast::add_blocking(1, 2).on(&b)).await, [("c".into(), Ok(3))]);
}

async fn sorted<T: Send + 'static>(call: BroadcastCall<T>) -> Vec<(String, Result<T, CallError>)> {
    let mut replies: Vec<_> =
        call.await.unwrap().into_iter().map(|NodeReply { node, result, .. }| (node, result)).collect();
    replies.sort_by(|(a, _), (b, _)| a.cmp(b));
    replies
}

#[tokio::test]
async fn every_modifier_works_from_a_thread_without_a_runtime() {
    let mut probe = Probe::new();
    let all = callbacks![
        served::add,
        served::add_blocking,
        served::note,
        served::note_blocking,
        served::hold,
        served::hold_blocking
    ];
    let pair = pair(all).await;
    let (caller, key) = (pair.caller.clone(), probe.key);
    in_a_plain_thread(move || {
        assert_eq!(fg::add(1, 2).on(&caller).wait(), Ok(3));
        assert_eq!(fg::add_blocking(1, 2).on(&caller).wait(), Ok(3));
        assert_eq!(bg::add(1, 2).on(&caller).start().wait().unwrap().wait(), Ok(3));
        assert_eq!(bg::add_blocking(1, 2).on(&caller).start().wait().unwrap().wait(), Ok(3));
        one_way::note(key, "note").on(&caller).wait().unwrap();
        one_way::note_blocking(key, "note_blocking").on(&caller).wait().unwrap();
        for call in [broadcast::add(1, 2), broadcast::add_blocking(1, 2)] {
            let replies = call.on(&caller).wait().unwrap();
            assert_eq!(replies.into_iter().map(|reply| reply.result).collect::<Vec<_>>(), [Ok(3)]);
        }
        let task = bg::hold(key).on(&caller).start().wait().unwrap();
        task.cancel();
        assert_eq!(task.wait(), Err(CallError::Cancelled));
    })
    .await;
    let mut told = BTreeSet::from([probe.told().await, probe.told().await]);
    // The held call may have been cancelled before it began.
    told.extend(probe.told_already());
    assert!(told.contains("note") && told.contains("note_blocking"), "{told:?}");
}

#[test]
fn a_program_without_a_runtime_starts_calls_and_stops() {
    let state = tempfile::tempdir().unwrap();
    let home = daffi::Global::builder().process_name("home").init_controller(true).host("127.0.0.1").port(0);
    let home = home.state_dir(state.path()).callbacks(callbacks![served::add]).start().wait().unwrap();
    let address = home.controller_address().unwrap();
    let node = daffi::Global::builder().host(address.ip().to_string()).port(address.port());
    let token = home.controller_token().unwrap().to_string();
    let node = node.token(token).callbacks(callbacks![served::add_blocking]).start().wait().unwrap();
    node.wait_process("home").wait().unwrap();
    home.wait_function("add_blocking").wait().unwrap();
    assert_eq!(fg::add(1, 2).on(&node).wait(), Ok(3));
    assert_eq!(fg::add_blocking(1, 2).on(&home).wait(), Ok(3));
    node.stop().wait();
    home.stop().wait();
    home.join().wait().unwrap();
}

#[test]
fn calls_need_nothing_of_the_runtime_that_they_are_made_from() {
    let controller = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let pair = controller.block_on(pair(callbacks![served::add, served::hold]));
    // Neither timers nor sockets.
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bare.block_on(async {
        let probe = Probe::new();
        assert_eq!(fg::add(1, 2).on(&pair.caller).await, Ok(3));
        let timeout = std::time::Duration::from_millis(50);
        let late = fg::hold(probe.key).on(&pair.caller).timeout(timeout).await;
        assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
        assert_eq!(bg::add(1, 2).on(&pair.caller).start().await.unwrap().await, Ok(3));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_work_from_several_threads_of_a_runtime_at_once() {
    let pair = pair(callbacks![served::add]).await;
    let calls = (0..64).map(|n| tokio::spawn(fg::add(n, n).on(&pair.caller).into_future()));
    for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap(), Ok(2 * n as i64));
    }
}
