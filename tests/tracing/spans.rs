//! The spans that there are of a call, a callback's run and a stream.

use std::time::Duration;

use daffi::{CallError, Context, OnError, Retry, TraceContext, callback, callbacks};
use opentelemetry::trace::{SpanKind, TraceContextExt};
use tokio::sync::Notify;
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    common::{Controller, meet, soon},
    fresh,
    recorder::{Trace, record},
};

#[callback]
async fn leaf(cx: Context) -> Option<TraceContext> {
    cx.trace()
}

#[callback]
async fn relay(cx: Context) -> Option<TraceContext> {
    ask::leaf().await.unwrap();
    cx.trace()
}

#[callback]
fn relay_blocking() {
    ask::leaf().wait().unwrap();
}

#[callback]
async fn relay_spawned(cx: Context) {
    tokio::spawn(async move { cx.scope(async { ask::leaf().await }).await }).await.unwrap().unwrap();
}

#[callback]
async fn relay_in_a_span() {
    async { ask::leaf().await }.instrument(info_span!("of the callback")).await.unwrap();
}

#[callback]
async fn refuse() -> Result<(), String> {
    Err("no".into())
}

#[callback]
fn panics() {
    panic!("at the disco");
}

#[callback]
async fn hold(tell: bool) {
    if tell {
        HOLDING.notify_one();
    }
    std::future::pending::<()>().await;
}

static HOLDING: Notify = Notify::const_new();

#[callback]
async fn take(item: u64) {
    if item == 1 {
        ask::leaf().await.unwrap();
    }
}

#[callback(limit = 1, queue = 8)]
fn take_blocking(item: u64) -> Result<(), String> {
    if item == 1 {
        ask::leaf().wait().unwrap();
    }
    if item == 13 { Err("unlucky".into()) } else { Ok(()) }
}

mod ask {
    use daffi::{TraceContext, fetcher};

    #[fetcher]
    pub(super) async fn leaf() -> Option<TraceContext>;
    #[fetcher]
    pub(super) async fn relay() -> Option<TraceContext>;
    #[fetcher]
    pub(super) fn relay_blocking();
    #[fetcher]
    pub(super) async fn relay_spawned();
    #[fetcher]
    pub(super) async fn relay_in_a_span();
    #[fetcher]
    pub(super) async fn refuse() -> Result<(), String>;
    #[fetcher]
    pub(super) fn panics();
    #[fetcher]
    pub(super) async fn hold(tell: bool);
    #[fetcher(STREAM)]
    pub(super) async fn take(item: u64);
    #[fetcher(STREAM)]
    pub(super) fn take_blocking(item: u64) -> Result<(), String>;

    pub(super) mod all {
        use super::*;

        #[fetcher(BROADCAST)]
        pub(crate) async fn leaf() -> Option<TraceContext>;
        #[fetcher(BROADCAST)]
        pub(crate) async fn refuse() -> Result<(), String>;
    }

    pub(super) mod bg {
        use super::*;

        #[fetcher(BG)]
        pub(crate) async fn leaf() -> Option<TraceContext>;
        #[fetcher(BG(no_return))]
        pub(crate) async fn relay_blocking();
        #[fetcher(BG)]
        pub(crate) async fn hold(tell: bool);
    }

    pub(super) mod period {
        use super::*;

        #[fetcher(PERIOD)]
        pub(crate) async fn relay() -> Option<TraceContext>;
    }
}

struct Row {
    caller: daffi::Global,
    _a: daffi::Global,
    b: daffi::Global,
    controller: Controller,
}

/// Who calls, `a` that passes it on, and `b` that answers.
async fn row() -> Row {
    record();
    let controller = Controller::start().await;
    let b = controller.node("b", callbacks![leaf]).await;
    let relays = callbacks![relay, relay_blocking, relay_spawned, relay_in_a_span];
    let others = callbacks![refuse, panics, hold, take, take_blocking];
    let a = controller.node("a", relays.into_iter().chain(others)).await;
    let caller = controller.node("caller", []).await;
    meet(&[&caller, &a, &b]).await;
    Row { caller, _a: a, b, controller }
}

fn trace_id(span: &tracing::Span) -> [u8; 16] {
    span.context().span().span_context().trace_id().to_bytes()
}

/// Makes the call in a span that is the first of its trace, and gives the spans that there are then.
async fn in_a_span<F: Future>(future: F, spans: usize) -> (F::Output, Trace) {
    let span = info_span!("caller");
    let trace = trace_id(&span);
    let output = soon(future.instrument(span)).await;
    (output, Trace::of(trace, spans).await)
}

#[tokio::test]
async fn a_call_and_what_its_callback_calls_are_one_chain() {
    let row = row().await;
    let (answer, trace) = in_a_span(async { ask::relay().on(&row.caller).await }, 5).await;
    let caller = trace.the(SpanKind::Internal, "caller");
    let relay = (trace.the(SpanKind::Client, "relay"), trace.the(SpanKind::Server, "relay"));
    let leaf = (trace.the(SpanKind::Client, "leaf"), trace.the(SpanKind::Server, "leaf"));
    assert_eq!(relay.0.parent(), caller.id());
    assert_eq!(relay.1.parent(), relay.0.id());
    assert_eq!(leaf.0.parent(), relay.1.id());
    assert_eq!(leaf.1.parent(), leaf.0.id());
    assert_eq!(answer.unwrap().unwrap().span_id(), relay.1.id());

    let client = relay.0.attributes();
    assert_eq!(client["rpc.system.name"], "daffi");
    assert_eq!(client["rpc.method"], "relay");
    assert_eq!(client["daffi.modifier"], "FG");
    assert_eq!(client["server.address"], "a");
    let server = leaf.1.attributes();
    assert_eq!((&*server["rpc.system.name"], &*server["rpc.method"]), ("daffi", "leaf"));
    assert_eq!((&*server["client.address"], &*server["server.address"]), ("a", "b"));
    for span in [relay.0, relay.1, leaf.0, leaf.1] {
        assert_eq!(span.error(), None);
    }
}

#[tokio::test]
async fn whoever_calls_in_a_callback_is_its_child() {
    let row = row().await;
    let on = || &row.caller;
    let (_, blocking) = in_a_span(async { ask::relay_blocking().on(on()).await.unwrap() }, 5).await;
    let (_, spawned) = in_a_span(async { ask::relay_spawned().on(on()).await.unwrap() }, 5).await;
    for (trace, relay) in [(blocking, "relay_blocking"), (spawned, "relay_spawned")] {
        let parent = trace.the(SpanKind::Server, relay).id();
        assert_eq!(trace.the(SpanKind::Client, "leaf").parent(), parent, "{relay}");
    }
    let (_, trace) = in_a_span(async { ask::relay_in_a_span().on(on()).await.unwrap() }, 6).await;
    let own = trace.the(SpanKind::Internal, "of the callback");
    assert_eq!(own.parent(), trace.the(SpanKind::Server, "relay_in_a_span").id());
    assert_eq!(trace.the(SpanKind::Client, "leaf").parent(), own.id());
}

#[tokio::test]
async fn a_trace_that_a_call_names_wins_over_the_current_span() {
    let row = row().await;
    let named = fresh(1);
    let (_, around) = in_a_span(async { ask::leaf().trace(named).on(&row.caller).await }, 1).await;
    assert_eq!(around.count(), 1);
    let trace = Trace::of(named.trace_id(), 2).await;
    let client = trace.the(SpanKind::Client, "leaf");
    assert_eq!(client.parent(), named.span_id());
    assert_eq!(trace.the(SpanKind::Server, "leaf").parent(), client.id());
}

#[tokio::test]
async fn what_its_caller_does_not_record_is_not_recorded() {
    let row = row().await;
    let named = fresh(0);
    let answer = soon(ask::relay().trace(named).on(&row.caller).into_future()).await.unwrap();
    let answer = answer.expect("the call belongs to a trace");
    assert_eq!((answer.trace_id(), answer.flags()), (named.trace_id(), 0));
    assert_eq!(Trace::so_far(named.trace_id()).count(), 0);
}

#[tokio::test]
async fn errors_are_recorded_on_both_sides() {
    let row = row().await;
    let (_, trace) = in_a_span(async { ask::refuse().on(&row.caller).await.unwrap_err() }, 3).await;
    for kind in [SpanKind::Client, SpanKind::Server] {
        let error = trace.the(kind, "refuse").error();
        assert_eq!(error, Some(("App".into(), "the callback returned an error".into())));
    }

    let (error, trace) = in_a_span(async { ask::panics().on(&row.caller).await.unwrap_err() }, 3).await;
    assert_eq!(trace.the(SpanKind::Client, "panics").error(), Some(("Panicked".into(), error.to_string())));
    let (kind, why) = trace.the(SpanKind::Server, "panics").error().unwrap();
    assert_eq!((&*kind, &*why), ("Panicked", "the callback panicked: at the disco"));

    let (error, trace) = in_a_span(async { ask::leaf().to("nobody").on(&row.caller).await.unwrap_err() }, 2).await;
    let client = trace.the(SpanKind::Client, "leaf");
    assert_eq!(client.error(), Some(("NoNode".into(), error.to_string())));
    assert_eq!(client.attribute("server.address"), None);
}

#[tokio::test]
async fn a_call_that_is_tried_again_is_one_span_with_the_attempts() {
    let row = row().await;
    let retry = Retry::times(2).pauses(Duration::from_millis(1), Duration::from_millis(1));
    let (_, trace) =
        in_a_span(async { ask::leaf().to("nobody").retry(retry).on(&row.caller).await.unwrap_err() }, 2).await;
    let client = trace.the(SpanKind::Client, "leaf");
    assert_eq!(client.0.events.len(), 2);
    assert_eq!(client.0.events[0].name, "a call is tried again");
}

#[tokio::test]
async fn a_call_that_is_dropped_or_late_was_given_up_on_both_sides() {
    let row = row().await;
    let span = info_span!("caller");
    let trace = trace_id(&span);
    // In the span it is called, and elsewhere awaited.
    let call = span.in_scope(|| tokio::spawn(ask::hold(true).on(&row.caller).into_future()));
    soon(HOLDING.notified()).await;
    call.abort();
    drop(span);
    let trace = Trace::of(trace, 3).await;
    for kind in [SpanKind::Client, SpanKind::Server] {
        assert_eq!(trace.the(kind, "hold").error().unwrap().0, "Cancelled");
    }
    assert_eq!(trace.the(SpanKind::Client, "hold").attribute("server.address").as_deref(), Some("a"));

    let millis = Duration::from_millis(50);
    let (late, trace) = in_a_span(async { ask::hold(false).timeout(millis).on(&row.caller).await }, 3).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    assert_eq!(trace.the(SpanKind::Client, "hold").error().unwrap().0, "Timeout");
}

#[tokio::test]
async fn background_calls_and_those_without_a_result_have_spans_too() {
    let row = row().await;
    let (_, trace) =
        in_a_span(async { ask::bg::leaf().on(&row.caller).start().await.unwrap().await.unwrap() }, 3).await;
    let client = trace.the(SpanKind::Client, "leaf");
    assert_eq!(client.attribute("daffi.modifier").as_deref(), Some("BG"));
    assert_eq!((client.attribute("server.address").as_deref(), client.error()), (Some("b"), None));
    assert_eq!(trace.the(SpanKind::Server, "leaf").parent(), client.id());

    let (_, trace) = in_a_span(async { ask::bg::relay_blocking().on(&row.caller).await.unwrap() }, 5).await;
    let client = trace.the(SpanKind::Client, "relay_blocking");
    assert_eq!(trace.the(SpanKind::Server, "relay_blocking").parent(), client.id());

    let span = info_span!("caller");
    let id = trace_id(&span);
    let started = span.in_scope(|| ask::bg::hold(false).on(&row.caller).start());
    drop(span);
    let task = soon(started).await.unwrap();
    task.cancel();
    assert_eq!(soon(task).await, Err(CallError::Cancelled));
    assert_eq!(Trace::of(id, 3).await.the(SpanKind::Client, "hold").error().unwrap().0, "Cancelled");
}

#[tokio::test]
async fn a_broadcast_is_one_span_with_a_child_at_every_node() {
    let row = row().await;
    let another = row.controller.node("another", callbacks![leaf, refuse]).await;
    meet(&[&row.caller, &another]).await;
    let (_, trace) = in_a_span(async { ask::all::leaf().on(&row.caller).await.unwrap() }, 4).await;
    let client = trace.the(SpanKind::Client, "leaf");
    let attributes = client.attributes();
    assert_eq!((&*attributes["daffi.modifier"], &*attributes["daffi.receivers"]), ("BROADCAST", "2"));
    let servers = trace.all(SpanKind::Server, "leaf");
    assert_eq!(servers.len(), 2);
    assert!(servers.iter().all(|server| server.parent() == client.id()));
    assert_eq!(client.error(), None);

    let (_, trace) = in_a_span(async { ask::all::refuse().on(&row.caller).await.unwrap() }, 4).await;
    let (kind, why) = trace.the(SpanKind::Client, "refuse").error().unwrap();
    assert_eq!(kind, "App");
    assert!(why.ends_with("failed (App), and 1 more of 2"), "{why}");
}

#[tokio::test]
async fn a_stream_is_one_span_at_either_side() {
    let row = row().await;
    let (report, trace) = in_a_span(async { ask::take(1..=1_000).on(&row.caller).await.unwrap() }, 5).await;
    assert!(report.is_complete(), "{report:?}");
    let (client, server) = (trace.the(SpanKind::Client, "take"), trace.the(SpanKind::Server, "take"));
    assert_eq!(client.parent(), trace.the(SpanKind::Internal, "caller").id());
    assert_eq!(server.parent(), client.id());
    assert_eq!(trace.the(SpanKind::Client, "leaf").parent(), server.id());
    let attributes = client.attributes();
    assert_eq!((&*attributes["daffi.modifier"], &*attributes["daffi.items"]), ("STREAM", "1000"));
    assert_eq!(server.attribute("daffi.items").as_deref(), Some("1000"));
    assert_eq!((client.error(), server.error()), (None, None));
}

#[tokio::test]
async fn a_stream_that_fails_at_a_receiver_is_an_error_on_both_sides() {
    let row = row().await;
    let stream = ask::take_blocking(1..=20).on_error(OnError::StopReceiver).on(&row.caller);
    let (_, trace) = in_a_span(async { stream.await.unwrap() }, 5).await;
    let (client, server) = (trace.the(SpanKind::Client, "take_blocking"), trace.the(SpanKind::Server, "take_blocking"));
    assert_eq!(client.error().unwrap().0, "App");
    assert_eq!(server.error().unwrap().0, "App");
    assert_eq!(server.attribute("daffi.items").as_deref(), Some("12"));
    assert_eq!(trace.the(SpanKind::Client, "leaf").parent(), server.id());
}

#[tokio::test]
async fn a_firing_of_a_schedule_is_no_child_of_who_made_it() {
    let row = row().await;
    let span = info_span!("caller");
    let at = [std::time::SystemTime::now()];
    let schedule = span.in_scope(|| ask::period::relay().on(&row.b).at(at).start()).await.unwrap();
    soon(schedule.ended()).await;
    assert_eq!((schedule.fired(), schedule.last_error()), (1, None));
    let around = trace_id(&span);
    drop(span);
    assert_eq!(Trace::of(around, 1).await.count(), 1);
}
