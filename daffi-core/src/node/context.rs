//! What surrounds a callback while it runs: who asked for it, until when, and the node that its own calls go through.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Inner, Node,
    error::CallError,
    registry::Registered,
    runtime::Op,
    span::{Around, ClientSpan},
};
use crate::wire::{CallId, NodeId, failure::Failure, trace::TraceContext};

tokio::task_local! {
    static CURRENT: Scope;
}

/// The node of this process that calls go through when nothing else is said.
static DEFAULT: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

/// The call that a callback answers. A callback asks for it by a parameter of this type, which does not travel:
///
/// ```ignore
/// #[callback]
/// async fn whoami(cx: Context, greeting: String) -> String {
///     format!("{greeting}, {}", cx.caller())
/// }
/// ```
///
/// The calls that a callback makes belong to its own without this: they end with its deadline, and when its caller loses
/// interest. That holds in the task and on the thread that runs the callback. What it spawns is another task:
/// [`scope`](Self::scope) and [`run`](Self::run) carry it over.
#[derive(Clone)]
pub struct Context {
    scope: Scope,
    call: Arc<Answered>,
}

/// What is answered.
struct Answered {
    callback: Arc<Registered>,
    caller: NodeId,
    /// `None` for a stream, which is no call with a number.
    id: Option<CallId>,
    /// When the caller stops waiting, whether or not the callback has to mind.
    deadline: Option<Instant>,
    trace: Option<TraceContext>,
    /// The connection that the call came by has ended.
    ended: CancellationToken,
}

impl Context {
    /// The name of the node that made the call, or that sends the stream. For one that has left meanwhile, its number: `#7`.
    pub fn caller(&self) -> String {
        self.scope.node.directory.borrow().name_of(self.call.caller)
    }

    /// The name that the callback was called by.
    pub fn callback(&self) -> &str {
        &self.call.callback.name
    }

    /// A number that tells this call from all others that this node answers at the same time; `None` for a stream.
    pub fn call_id(&self) -> Option<u64> {
        self.call.id
    }

    /// How much of the caller's time is left; nothing if it has passed, `None` if the caller waits without limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.call.deadline.map(|deadline| deadline.saturating_duration_since(self.scope.node.runtimes.now()))
    }

    /// Whether the caller has lost interest: it dropped the call, its time is over, or it is gone. An async callback is
    /// stopped then, unless it is marked `no_cancel`; a sync one may look here now and then.
    pub fn is_cancelled(&self) -> bool {
        self.scope.unwanted.is_cancelled() || self.call.ended.is_cancelled()
    }

    /// Waits until the caller has lost interest. Cancel safe.
    pub fn cancelled(&self) -> Op<()> {
        // Once the callback has returned nobody cancels its call any more, but a connection ends.
        let (unwanted, call) = (self.scope.unwanted.clone(), self.call.clone());
        Op::new(async move {
            tokio::select! {
                () = unwanted.cancelled() => {}
                () = call.ended.cancelled() => {}
            }
        })
    }

    /// The node that runs the callback.
    pub fn node(&self) -> Node {
        Node::of(&self.scope.node)
    }

    /// The trace that the call belongs to, if its caller said so.
    pub fn trace(&self) -> Option<TraceContext> {
        self.call.trace
    }

    /// Runs a future as part of this call, wherever: the calls it makes go through the same node and end with this one.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        self.scope.clone().enter(future).await
    }

    /// Runs a function as part of this call, on whatever thread.
    pub fn run<T>(&self, function: impl FnOnce() -> T) -> T {
        self.scope.clone().enter_sync(function)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("callback", &self.callback())
            .field("caller", &self.caller())
            .field("call_id", &self.call_id())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// What a call that is made here inherits.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) node: Arc<Inner>,
    /// When the calls made from here end.
    pub(crate) deadline: Option<Instant>,
    /// When nobody wants the calls made from here any more. Of a callback that finishes in any case it is the node's end.
    pub(crate) cancelled: CancellationToken,
    /// The caller has lost interest.
    unwanted: CancellationToken,
    /// The call that is answered here, if one is.
    call: Option<Arc<Answered>>,
}

impl Scope {
    /// That of a part of a program which is to use this node.
    pub(crate) fn of_node(node: &Arc<Inner>) -> Self {
        let cancelled = node.stopping.child_token();
        Self { node: node.clone(), deadline: None, unwanted: cancelled.clone(), cancelled, call: None }
    }

    /// That of a callback which answers a call, or takes a stream (which has no number). `unwanted` tells when the caller has
    /// lost interest, `ended` when the connection is over that it came by.
    #[expect(clippy::too_many_arguments, reason = "the parts of a call, from two callers")]
    pub(crate) fn of_callback(
        node: &Arc<Inner>,
        callback: Arc<Registered>,
        caller: NodeId,
        id: Option<CallId>,
        deadline: Option<Instant>,
        trace: Option<TraceContext>,
        unwanted: CancellationToken,
        ended: CancellationToken,
    ) -> Self {
        let finishes = callback.options().no_cancel;
        let call = Arc::new(Answered { callback, caller, id, deadline, trace, ended });
        Self {
            node: node.clone(),
            deadline: deadline.filter(|_| !finishes),
            cancelled: if finishes { node.stopping.child_token() } else { unwanted.clone() },
            unwanted,
            call: Some(call),
        }
    }

    /// That of the callback which is running here, if one is.
    fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// The trace that calls made from here belong to.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.call.as_ref().and_then(|call| call.trace)
    }

    /// Waits no longer than somebody wants the call.
    pub(crate) async fn wanted<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = self.unwanted.cancelled() => Err(Failure::Cancelled),
        }
    }

    pub(crate) fn enter<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    pub(crate) fn enter_sync<T>(self, run: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, run)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("node", &self.node.name).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// The type of a parameter that the macros take for the context: they see only its last word.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the context of a call, which is what a parameter of a type called `Context` is",
    label = "needs another name here",
    note = "give the type another name, or import it under one: `use {Self} as ..`"
)]
pub trait IsContext: From<Context> {}

impl IsContext for Context {}

/// The context of the callback that runs here, for the macros.
///
/// # Panics
///
/// Outside of a callback, where the macros do not ask for it.
pub fn context<C: IsContext>() -> C {
    let scope = Scope::current();
    let call = scope.as_ref().and_then(|scope| scope.call.clone());
    // The node runs every handler in the scope of its call.
    let (scope, call) = scope.zip(call).expect("a callback runs in the scope of a call");
    Context { scope, call }.into()
}

/// Where a call is made: what it inherits, and the node it goes through unless it names one.
///
/// A call is made when its future is first polled, and belongs to the callback whose task polls it. In a task that belongs to none,
/// it belongs to the callback that made the future: `tokio::spawn(add(1, 2).into_future())` stays with its callback.
#[derive(Debug)]
pub(crate) struct Place {
    scope: Option<Scope>,
    around: Around,
}

impl Place {
    pub(crate) fn here() -> Self {
        Self { scope: Scope::current(), around: Around::current() }
    }

    /// Begins the span of a call, likewise: in that of the task which polls it, else in that of where it was made.
    pub(crate) fn begin(&self, span: impl FnOnce() -> ClientSpan) -> ClientSpan {
        self.around.within(span)
    }

    /// The node that a call goes through: the one it names, else the one whose callback is running here, else the process's
    /// first.
    pub(crate) fn resolve(&self, named: Option<Arc<Inner>>) -> Result<(Arc<Inner>, Option<Scope>), CallError> {
        let scope = Scope::current().or_else(|| self.scope.clone());
        let node = match (named, &scope) {
            (Some(node), _) => node,
            (None, Some(scope)) => scope.node.clone(),
            (None, None) => lock().upgrade().ok_or(CallError::NotStarted)?,
        };
        Ok((node, scope))
    }
}

/// Makes this the node that calls go through when nothing else is said, unless there is one.
pub(crate) fn set_default(node: &Arc<Inner>) {
    let mut default = lock();
    if default.strong_count() == 0 {
        *default = Arc::downgrade(node);
    }
}

/// Leaves the place of the default node to the next one that starts.
pub(crate) fn unset_default(node: &Arc<Inner>) {
    let mut default = lock();
    if default.as_ptr() == Arc::as_ptr(node) {
        *default = Weak::new();
    }
}

fn lock() -> std::sync::MutexGuard<'static, Weak<Inner>> {
    // It is replaced whole or not at all.
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner)
}
