//! Which trace a call belongs to. This holds with and without spans, but for the number of the span that made the call.

use std::sync::Mutex;

use daffi::{Context, TraceContext, callback, callbacks};

use crate::{
    common::{Controller, meet, soon},
    fresh,
};

/// The trace of a call, and that of what it called in turn.
type Both = (Option<TraceContext>, Option<TraceContext>);

#[callback]
fn last(cx: Context) -> Option<TraceContext> {
    cx.trace()
}

#[callback]
async fn middle(cx: Context, other: Option<TraceContext>) -> Both {
    let call = ask::last();
    let call = if let Some(other) = other { call.trace(other) } else { call };
    (cx.trace(), call.await.unwrap())
}

#[callback]
fn middle_blocking(cx: Context) -> Both {
    (cx.trace(), ask::last().wait().unwrap())
}

/// Calls from a task of its own.
#[callback]
async fn middle_spawned(cx: Context) -> Both {
    let trace = cx.trace();
    let spawned = tokio::spawn(async move { cx.scope(async { ask::last().await }).await });
    (trace, spawned.await.unwrap().unwrap())
}

static TAKEN: Mutex<Vec<Both>> = Mutex::new(Vec::new());

#[callback]
async fn take(cx: Context, _item: u64) {
    let both = (cx.trace(), ask::last().await.unwrap());
    TAKEN.lock().unwrap().push(both);
}

mod ask {
    use daffi::{TraceContext, fetcher};

    use super::Both;

    #[fetcher]
    pub(super) fn last() -> Option<TraceContext>;
    #[fetcher]
    pub(super) async fn middle(other: Option<TraceContext>) -> Both;
    #[fetcher]
    pub(super) fn middle_blocking() -> Both;
    #[fetcher]
    pub(super) async fn middle_spawned() -> Both;
    #[fetcher(STREAM)]
    pub(super) async fn take(item: u64);

    pub(super) mod all {
        use super::*;

        #[fetcher(BROADCAST)]
        pub(crate) async fn middle(other: Option<TraceContext>) -> Both;
    }

    pub(super) mod bg {
        use super::*;

        #[fetcher(BG)]
        pub(crate) async fn middle(other: Option<TraceContext>) -> Both;
    }
}

struct Row {
    caller: daffi::Global,
    _a: daffi::Global,
    _b: daffi::Global,
    _controller: Controller,
}

/// Who calls, `a` that passes it on, and `b` that answers.
async fn row() -> Row {
    let controller = Controller::start().await;
    let b = controller.node("b", callbacks![last]).await;
    let a = controller.node("a", callbacks![middle, middle_blocking, middle_spawned, take]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&caller, &a, &b]).await;
    Row { caller, _a: a, _b: b, _controller: controller }
}

/// Both belong to this trace; where there are no spans, to the same span of it.
fn assert_both(both: Both, expected: TraceContext) {
    for trace in [both.0, both.1] {
        let trace = trace.expect("the call belongs to a trace");
        assert_eq!((trace.trace_id(), trace.flags()), (expected.trace_id(), expected.flags()));
        if cfg!(not(feature = "opentelemetry")) {
            assert_eq!(trace, expected);
        }
    }
}

#[tokio::test]
async fn a_callbacks_own_calls_belong_to_its_trace() {
    let row = row().await;
    for flags in [0, 1] {
        let trace = fresh(flags);
        assert_both(soon(ask::middle(None).trace(trace).on(&row.caller).into_future()).await.unwrap(), trace);
        assert_both(soon(ask::middle_blocking().trace(trace).on(&row.caller).into_future()).await.unwrap(), trace);
        assert_both(soon(ask::middle_spawned().trace(trace).on(&row.caller).into_future()).await.unwrap(), trace);
        let task = soon(ask::bg::middle(None).trace(trace).on(&row.caller).start()).await.unwrap();
        assert_both(soon(task).await.unwrap(), trace);
    }
}

#[cfg(not(feature = "opentelemetry"))]
#[tokio::test]
async fn a_call_without_a_trace_has_none() {
    let row = row().await;
    assert_eq!(soon(ask::middle(None).on(&row.caller).into_future()).await, Ok((None, None)));
}

#[tokio::test]
async fn a_trace_that_a_call_names_wins_over_its_callbacks() {
    let row = row().await;
    let (ours, other) = (fresh(1), fresh(1));
    let (first, second) = soon(ask::middle(Some(other)).trace(ours).on(&row.caller).into_future()).await.unwrap();
    assert_both((first, first), ours);
    assert_both((second, second), other);
}

#[tokio::test]
async fn a_stream_and_what_its_items_call_belong_to_its_trace() {
    let row = row().await;
    let trace = fresh(1);
    let report = soon(ask::take(1..=3).trace(trace).on(&row.caller).into_future()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let taken = std::mem::take(&mut *TAKEN.lock().unwrap());
    assert_eq!(taken.len(), 3);
    taken.into_iter().for_each(|both| assert_both(both, trace));
}

#[tokio::test]
async fn a_broadcast_belongs_to_its_trace_at_every_node() {
    let row = row().await;
    let another = row._controller.node("another", callbacks![middle]).await;
    meet(&[&row.caller, &another]).await;
    let trace = fresh(1);
    let replies = soon(ask::all::middle(None).trace(trace).on(&row.caller).into_future()).await.unwrap();
    assert_eq!(replies.len(), 2);
    replies.into_iter().for_each(|reply| assert_both(reply.result.unwrap(), trace));
}
