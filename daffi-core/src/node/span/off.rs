//! No spans: which trace a call belongs to, and nothing else.

use crate::{
    node::{
        Inner, call::NodeReply, context::Scope, error::CallError, event::StreamEnded, outgoing::Modifier,
        stream::StreamReport, stub::Outcome,
    },
    wire::{NodeId, failure::Failure, trace::TraceContext},
};

/// A call or stream of this node.
#[derive(Debug)]
pub(crate) struct ClientSpan {
    trace: Option<TraceContext>,
}

impl ClientSpan {
    pub(crate) fn begin(_callback: &str, _: Modifier, named: Option<TraceContext>, scope: Option<&Scope>) -> Self {
        Self { trace: named.or_else(|| scope.and_then(Scope::trace)) }
    }

    /// The trace that travels.
    pub(crate) const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    pub(crate) const fn reaches(&self, _node: &str) {}

    pub(crate) fn note<T>(&self, log: impl FnOnce() -> T) -> T {
        log()
    }

    pub(crate) fn ends<T, E>(&self, result: Result<T, CallError<E>>) -> Result<T, CallError<E>> {
        result
    }

    pub(crate) const fn has_replies<T, E>(&self, _replies: &[NodeReply<T, E>]) {}

    pub(crate) const fn has_report<T, E>(&self, _report: &StreamReport<T, E>) {}
}

/// The span in which a call is made.
#[derive(Debug)]
pub(crate) struct Around;

impl Around {
    pub(crate) const fn current() -> Self {
        Self
    }

    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }
}

/// A callback's run, or a stream that it takes.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    trace: Option<TraceContext>,
}

impl ServerSpan {
    pub(crate) const fn begin(_: &Inner, _callback: &str, _caller: NodeId, trace: Option<TraceContext>) -> Self {
        Self { trace }
    }

    /// The trace that the callback's own calls belong to.
    pub(crate) const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future
    }

    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }

    pub(crate) fn ends(self, _outcome: Option<&Outcome>) {}

    pub(crate) fn ends_stream(self, _delivered: u64, _end: &StreamEnded, _failure: Option<&Failure>) {}
}

/// For what goes to another thread.
pub(crate) const fn carry<F>(run: F) -> F {
    run
}

/// For what becomes another task.
pub(crate) const fn carry_future<F>(future: F) -> F {
    future
}
