//! How many runs of a callback there may be at a time, and what becomes of the rest.

use std::time::Duration;

use daffi::{CallError, Retry, callback, callbacks, fetcher, limits::MAX_CALLS};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};

use crate::{
    common::soon,
    pair,
    probe::{Guard, Probe, held, tell},
    served,
    stubs::{fg, one_way},
};

/// One runs, two wait.
#[callback(name = "limited", limit = 1, queue = 2)]
async fn limited_callback(key: u64) -> u64 {
    let _guard = Guard::new(key, "limited");
    held(key).await;
    key
}

#[callback(name = "limited_blocking", limit = 2, queue = 0)]
fn limited_blocking_callback(key: u64) -> u64 {
    let _guard = Guard::new(key, "limited");
    tokio::runtime::Handle::current().block_on(held(key));
    key
}

#[fetcher]
async fn limited(key: u64) -> u64;

#[fetcher]
async fn limited_blocking(key: u64) -> u64;

#[fetcher(STREAM, name = "limited")]
async fn limited_stream(key: u64);

/// Calls it so often; the call that was refused, and the others.
macro_rules! calls {
    ($call:ident, $count:expr, $probe:expr, $pair:expr) => {
        (0..$count).map(|_| tokio::spawn($call($probe.key).on(&$pair.caller).into_future())).collect::<Vec<_>>()
    };
}

#[tokio::test]
async fn so_many_run_so_many_wait_and_the_next_is_refused() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![limited_callback]).await;
    let calls = calls!(limited, 4, probe, pair);
    assert_eq!(probe.told().await, "limited began");
    // Which of them is refused is for the network to say.
    let mut ended = FuturesUnordered::from_iter(calls);
    let refused = soon(ended.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(refused, CallError::Full { node: "server".into(), running: 1, waiting: 2 });
    assert!(refused.is_retryable(), "it surely did not run");
    assert!(probe.told_already().is_empty(), "only one runs");
    probe.open();
    for ended in soon(join_all(ended)).await {
        assert_eq!(ended.unwrap(), Ok(probe.key));
    }
    for told in ["limited is gone", "limited began", "limited is gone", "limited began", "limited is gone"] {
        assert_eq!(probe.told().await, told);
    }
}

#[tokio::test]
async fn a_limit_without_a_queue_refuses_at_once_and_a_retry_gets_its_turn() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![limited_blocking_callback]).await;
    let calls = calls!(limited_blocking, 2, probe, pair);
    probe.hears(&["limited began"]).await;
    assert_eq!(probe.told().await, "limited began");
    let refused = limited_blocking(probe.key).on(&pair.caller).await.unwrap_err();
    assert_eq!(refused, CallError::Full { node: "server".into(), running: 2, waiting: 0 });

    let retry = Retry::times(1_000).pauses(Duration::from_millis(1), Duration::from_millis(5));
    let again = tokio::spawn(limited_blocking(probe.key).retry(retry).on(&pair.caller).into_future());
    probe.open();
    for call in calls.into_iter().chain([again]) {
        assert_eq!(soon(call).await.unwrap(), Ok(probe.key));
    }
}

#[tokio::test]
async fn who_stops_waiting_never_runs_and_makes_room() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![limited_callback, served::add]).await;
    let running = calls!(limited, 1, probe, pair);
    assert_eq!(probe.told().await, "limited began");
    let waiting = calls!(limited, 2, probe, pair);
    // Refused means that both of them wait.
    let full = |call: Result<u64, CallError>| matches!(call, Err(CallError::Full { .. }));
    let refused = async {
        loop {
            let call = limited(probe.key).timeout(Duration::from_millis(20)).on(&pair.caller);
            if full(call.await) {
                return;
            }
        }
    };
    soon(refused).await;
    for call in waiting {
        call.abort();
    }
    let timed_out = async {
        loop {
            let call = limited(probe.key).timeout(Duration::from_millis(20)).on(&pair.caller);
            if matches!(call.await, Err(CallError::Timeout { .. })) {
                return;
            }
        }
    };
    soon(timed_out).await;
    // What was sent before this has come when it is answered: that nobody waits any more.
    assert_eq!(fg::add(1, 2).on(&pair.caller).await, Ok(3));
    probe.open();
    for call in running {
        assert_eq!(soon(call).await.unwrap(), Ok(probe.key));
    }
    assert_eq!(probe.told().await, "limited is gone");
    assert!(probe.told_already().is_empty(), "none of those that waited ran");
}

#[tokio::test]
async fn a_stream_takes_one_place() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![limited_callback]).await;
    let stream = tokio::spawn(limited_stream([probe.key]).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "limited began");
    let call = limited(probe.key).timeout(Duration::from_millis(20)).on(&pair.caller);
    assert!(matches!(call.await, Err(CallError::Timeout { .. })), "it waits");
    probe.open();
    assert!(soon(stream).await.unwrap().unwrap().is_complete());
    assert_eq!(soon(limited(probe.key).on(&pair.caller).into_future()).await, Ok(probe.key));
}

/// How many blocking callbacks run at a time without a limit of their own.
const MANY: usize = 200;

#[tokio::test]
async fn blocking_callbacks_do_not_hold_up_each_other_nor_anything_else() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold_blocking, served::add, served::add_blocking]).await;
    let key = probe.key;
    let calls: Vec<_> =
        (0..MANY).map(|_| tokio::spawn(fg::hold_blocking(key).on(&pair.caller).into_future())).collect();
    for _ in 0..MANY {
        assert_eq!(probe.told().await, "hold_blocking began");
    }
    assert_eq!(soon(fg::add(1, 2).on(&pair.caller).into_future()).await, Ok(3));
    assert_eq!(soon(fg::add_blocking(1, 2).on(&pair.caller).into_future()).await, Ok(3));
    probe.open();
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(key));
    }
}

#[tokio::test]
async fn a_thread_that_cannot_be_stopped_keeps_its_place_and_is_waited_for() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![limited_blocking_callback]).await;
    let calls = calls!(limited_blocking, 2, probe, pair);
    for _ in &calls {
        assert_eq!(probe.told().await, "limited began");
    }
    // The caller drops both.
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    let refused = soon(limited_blocking(probe.key).on(&pair.caller).into_future()).await.unwrap_err();
    assert!(matches!(refused, CallError::Full { .. }), "two run still, though nobody waits for them: {refused}");

    let stop = tokio::spawn(pair.server.stop_within(Duration::from_secs(600)));
    let stopping = async {
        loop {
            let call = limited_blocking(probe.key).on(&pair.caller).await;
            if matches!(call, Err(CallError::Stopping { .. })) {
                return;
            }
        }
    };
    soon(stopping).await;
    assert!(!stop.is_finished(), "it waits for what runs");
    probe.open();
    soon(stop).await.unwrap();
    let ended = probe.told_already().into_iter().filter(|told| told == "limited is gone").count();
    assert_eq!(ended, 2);
}

/// Waits until the test lets it go, and tells only that it began.
#[callback(name = "crowd")]
async fn crowd_callback(key: u64) {
    tell(key, "began");
    held(key).await;
}

#[fetcher]
async fn crowd(key: u64);

#[tokio::test]
async fn a_call_that_waits_for_room_at_its_own_node_never_runs_if_it_is_dropped() {
    let (mut probe, mut dropped) = (Probe::new(), Probe::new());
    let pair = pair(callbacks![crowd_callback, served::note, served::add]).await;
    let caller = &pair.caller;
    let mut crowds: FuturesUnordered<_> = (0..MAX_CALLS).map(|_| crowd(probe.key).on(caller).into_future()).collect();
    let all_run = async {
        for _ in 0..MAX_CALLS {
            assert_eq!(probe.told().await, "began");
        }
    };
    tokio::select! {
        () = soon(all_run) => {}
        ended = crowds.next() => panic!("one has ended: {ended:?}"),
    }

    let mut waiting = Box::pin(one_way::note(dropped.key, "no room").on(caller).into_future());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let late = fg::add(1, 2).on(caller).timeout(Duration::from_millis(20)).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "so does any other, up to its timeout: {late:?}");
    assert!(futures_util::poll!(&mut waiting).is_pending(), "it waits as long as there is no room");
    drop(waiting);

    probe.open();
    while let Some(ended) = soon(crowds.next()).await {
        assert_eq!(ended, Ok(()));
    }
    assert_eq!(one_way::note(dropped.key, "there is room").on(caller).await, Ok(()));
    assert_eq!(dropped.told().await, "there is room");
    assert!(dropped.told_already().is_empty(), "what was dropped has not run");
}
