//! Spans by `tracing`, and their contexts by way of its OpenTelemetry layer, if the program has installed one.

use std::{
    fmt::Display,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::{
    Context as OtelContext,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::kind;
use crate::{
    node::{
        Inner,
        call::NodeReply,
        context::Scope,
        error::CallError,
        event::StreamEnded,
        outgoing::Modifier,
        stream::StreamReport,
        stub::{Outcome, Reply},
    },
    wire::{NodeId, failure::Failure, trace::TraceContext},
};

/// A span that its program can choose by this target, with all else that daffi logs or without it.
macro_rules! span {
    ($name:literal, $kind:literal, $callback:expr, $($more:tt)*) => {
        tracing::info_span!(
            target: "daffi",
            $($more)*
            $name,
            otel.name = $callback,
            otel.kind = $kind,
            rpc.system.name = "daffi",
            rpc.method = $callback,
            daffi.modifier = Empty,
            server.address = Empty,
            client.address = Empty,
            daffi.receivers = Empty,
            daffi.items = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
            otel.status_description = Empty,
        )
    };
}

/// A call or stream of this node. One that is dropped before it has ended was cancelled.
#[derive(Debug)]
pub(crate) struct ClientSpan {
    span: Span,
    trace: Option<TraceContext>,
    /// The node that was called last. An attribute cannot be replaced once it is set, so it is set in the end.
    node: Mutex<Option<String>>,
    ended: AtomicBool,
}

impl ClientSpan {
    /// A child of the trace that the call names, else of the current span, else of the callback that makes it.
    pub(crate) fn begin(
        callback: &str,
        modifier: Modifier,
        named: Option<TraceContext>,
        scope: Option<&Scope>,
    ) -> Self {
        let current = current();
        let inherited = scope.and_then(Scope::trace);
        let span = span!("call", "client", callback,);
        if let Some(parent) = named.or_else(|| inherited.filter(|_| current.is_none())) {
            set_parent(&span, parent);
        }
        span.record("daffi.modifier", modifier.name());
        // The span may be one that nobody records.
        let trace = trace_of(&span.context()).or(named).or(current).or(inherited);
        Self { span, trace, node: Mutex::default(), ended: AtomicBool::new(false) }
    }

    /// The trace that travels.
    pub(crate) const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// The call goes to this node.
    pub(crate) fn reaches(&self, node: &str) {
        if !self.span.is_disabled() {
            *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.to_owned());
        }
    }

    /// What is logged in here is an event of the span.
    pub(crate) fn note<T>(&self, log: impl FnOnce() -> T) -> T {
        self.span.in_scope(log)
    }

    /// The call has ended like this.
    pub(crate) fn ends<T, E>(&self, result: Result<T, CallError<E>>) -> Result<T, CallError<E>> {
        self.ended.store(true, Ordering::Relaxed);
        match result {
            Ok(value) => Ok(value),
            Err(CallError::App(error)) => {
                fail(&self.span, "App", "the callback returned an error");
                Err(CallError::App(error))
            }
            Err(error) => {
                // The callback's own errors, which may not be printable, are above.
                let error = error.map_app(|_| CallError::Cancelled);
                fail(&self.span, error.variant(), &error);
                Err(error.widen())
            }
        }
    }

    /// What each node answered.
    pub(crate) fn has_replies<T, E>(&self, replies: &[NodeReply<T, E>]) {
        let failed = replies.iter().filter_map(|reply| Some((&*reply.node, reply.result.as_ref().err()?)));
        self.has_receivers(replies.len(), failed);
    }

    /// What became of the stream at each receiver.
    pub(crate) fn has_report<T, E>(&self, report: &StreamReport<T, E>) {
        self.span.record("daffi.items", report.sent);
        let failed = report.receivers.iter().filter_map(|end| Some((&*end.node, end.result.as_ref().err()?)));
        self.has_receivers(report.receivers.len(), failed);
    }

    fn has_receivers<'a, E: 'a>(&self, count: usize, mut failed: impl Iterator<Item = (&'a str, &'a CallError<E>)>) {
        self.span.record("daffi.receivers", count);
        if let Some((node, error)) = failed.next() {
            let (kind, more) = (error.variant(), failed.count());
            fail(&self.span, kind, format_args!("node {node:?} failed ({kind}), and {more} more of {count}"));
        }
    }
}

impl Drop for ClientSpan {
    fn drop(&mut self) {
        if let Some(node) = self.node.get_mut().unwrap_or_else(PoisonError::into_inner) {
            self.span.record("server.address", node.as_str());
        }
        if !*self.ended.get_mut() {
            fail(&self.span, "Cancelled", "the call was dropped before it had ended");
        }
        // It ends when it was left for the last time, which may have been to log something.
        self.span.in_scope(|| ());
    }
}

/// A callback's run, or a stream that it takes.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    span: Span,
    trace: Option<TraceContext>,
}

impl ServerSpan {
    /// A child of the call or stream that asked for it; without that the first of its trace.
    pub(crate) fn begin(node: &Inner, callback: &str, caller: NodeId, asked: Option<TraceContext>) -> Self {
        let span = span!("callback", "server", callback, parent: None,);
        if let Some(parent) = asked {
            set_parent(&span, parent);
        }
        if !span.is_disabled() {
            span.record("client.address", node.directory.borrow().name_of(caller));
            span.record("server.address", node.name.as_str());
        }
        let trace = trace_of(&span.context()).or(asked);
        Self { span, trace }
    }

    /// The trace that the callback's own calls belong to.
    pub(crate) const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// What is done in here is done in the span.
    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.instrument(self.span.clone())
    }

    /// What is begun in here is begun in the span: [`carry`] and [`carry_future`] take it along.
    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        self.span.in_scope(run)
    }

    /// The callback's run has ended like this; in no way, if nobody wanted it any more.
    pub(crate) fn ends(self, outcome: Option<&Outcome>) {
        match outcome {
            Some(Ok(Reply::Value(_) | Reply::Results(_))) => {}
            Some(Ok(Reply::Error(_))) => fail(&self.span, "App", "the callback returned an error"),
            Some(Err(failure)) => fail(&self.span, kind::of_failure(failure), failure),
            None => fail(&self.span, "Cancelled", Failure::Cancelled),
        }
    }

    /// The stream has ended like this.
    pub(crate) fn ends_stream(self, delivered: u64, end: &StreamEnded, failure: Option<&Failure>) {
        self.span.record("daffi.items", delivered);
        match (failure, kind::of_end(end)) {
            (Some(failure), _) => fail(&self.span, kind::of_failure(failure), failure),
            (None, Some((kind, why))) => fail(&self.span, kind, why),
            (None, None) => {}
        }
    }
}

/// The span in which a call is made.
#[derive(Debug)]
pub(crate) struct Around(Span);

impl Around {
    pub(crate) fn current() -> Self {
        Self(Span::current())
    }

    /// Runs something in it, unless there is another here.
    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        if Span::current().is_none() { self.0.in_scope(run) } else { run() }
    }
}

/// Takes the current span along to another thread.
pub(crate) fn carry<T>(run: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(run)
}

/// Takes the current span along to another task.
pub(crate) fn carry_future<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.in_current_span()
}

/// Where the caller of a stub is: in a span of `tracing`, or of OpenTelemetry itself.
fn current() -> Option<TraceContext> {
    trace_of(&Span::current().context()).or_else(|| trace_of(&OtelContext::current()))
}

fn trace_of(context: &OtelContext) -> Option<TraceContext> {
    let span = context.span();
    let span = span.span_context();
    // Invalid means that one of them is zero.
    TraceContext::new(span.trace_id().to_bytes(), span.span_id().to_bytes(), span.trace_flags().to_u8()).ok()
}

fn set_parent(span: &Span, parent: TraceContext) {
    let (trace_id, span_id) = (TraceId::from_bytes(parent.trace_id()), SpanId::from_bytes(parent.span_id()));
    let context = SpanContext::new(trace_id, span_id, TraceFlags::new(parent.flags()), true, TraceState::NONE);
    // An error if nobody records the span; it was not entered yet.
    let _ = span.set_parent(OtelContext::new().with_remote_span_context(context));
}

fn fail(span: &Span, kind: &str, why: impl Display) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", tracing::field::display(why));
}
