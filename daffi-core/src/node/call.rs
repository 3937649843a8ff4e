//! Calls: one node and its result (FG), a handle (BG), or an answer from every node (BROADCAST).

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    context::Place,
    contract::Stub,
    error::{CallError, Never},
    outgoing::{Codec, Modifier, Outgoing, Request},
    runtime::Op,
    stub::{DecodeError, EncodedArgs},
};

/// The options of the call builders, each where it makes sense. They need a field `request` of type [`Request`].
macro_rules! options {
    (common) => {
        /// Makes the call through this node instead of the process's first, or of the one whose callback is running.
        pub fn on(mut self, node: impl AsRef<$crate::node::Node>) -> Self {
            self.request.node = Some(node.as_ref().inner().clone());
            self
        }

        /// Makes the call part of this trace. Without it a call belongs to the trace of the callback that makes it.
        pub fn trace(mut self, trace: $crate::wire::trace::TraceContext) -> Self {
            self.request.trace = Some(trace);
            self
        }
    };
    (timeout) => {
        /// Ends the call with [`CallError::Timeout`] after this time. The deadline travels: the callback is stopped then, and
        /// so is what it asked of others. Of two deadlines the earlier counts.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.request.timeout = Some(timeout);
            self
        }
    };
    (one) => {
        /// Calls the node of this name, instead of the next in turn of those that offer the callback.
        pub fn to(mut self, name: impl Into<String>) -> Self {
            self.request.choice = $crate::node::choice::Choice::Named(name.into());
            self
        }

        /// Calls the node that has the fewest calls of this node under way, instead of the next in turn; of several with as few,
        /// the next in turn.
        pub fn least_busy(mut self) -> Self {
            self.request.choice = $crate::node::choice::Choice::LeastBusy;
            self
        }

        /// Calls the node that this key belongs to, instead of the next in turn: calls with the same key go to the same node, whoever
        /// makes them, as long as it is there. When one comes or goes, only the keys change their node that it gets, or had.
        ///
        /// A number is a key by its bytes: `.sticky(id.to_be_bytes())`.
        pub fn sticky(mut self, key: impl AsRef<[u8]>) -> Self {
            self.request.choice = $crate::node::choice::Choice::Sticky(key.as_ref().to_vec());
            self
        }
    };
    (retry) => {
        /// Tries the call again if it fails in a way that allows it: see [`Retry`]($crate::node::Retry).
        pub const fn retry(mut self, retry: $crate::node::Retry) -> Self {
            self.request.retry = Some(retry);
            self
        }
    };
}
pub(crate) use options;

/// A call that waits for its result (FG). `.await` it, or `.wait()` where there is no async runtime.
///
/// Without [`timeout`](Self::timeout) it waits for the node's default, 30 seconds unless the node was told otherwise.
///
/// Cancel safe: dropping the future cancels the callback.
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct Call<T, E = Never> {
    pub(super) request: Request,
    codec: Codec<T, E>,
}

impl<T, E> Call<T, E> {
    pub(super) const fn new(request: Request, codec: Codec<T, E>) -> Self {
        Self { request, codec }
    }
}

impl<T: Send + 'static, E: Send + 'static> Call<T, E> {
    options!(common);
    options!(timeout);
    options!(one);
    options!(retry);

    /// Makes the call and blocks the thread until it has ended.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn wait(self) -> Result<T, CallError<E>> {
        self.into_future().wait()
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for Call<T, E> {
    type Output = Result<T, CallError<E>>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { request, codec } = self;
        let request = Box::new(request);
        let place = Place::here();
        Op::new(async move {
            let outgoing = Outgoing::new(request, Modifier::Fg, place).map_err(CallError::widen)?;
            outgoing.one(codec).await
        })
    }
}

/// A call that hands back a handle (BG): [`start`](Self::start) it.
///
/// It waits for its result without limit unless [`timeout`](Self::timeout) sets one.
#[derive(Debug)]
#[must_use = "a call does nothing until it is started"]
pub struct BackgroundCall<T, E = Never> {
    pub(super) request: Request,
    codec: Codec<T, E>,
}

impl<T, E> BackgroundCall<T, E> {
    pub(super) const fn new(request: Request, codec: Codec<T, E>) -> Self {
        Self { request, codec }
    }
}

impl<T: Send + 'static, E: Send + 'static> BackgroundCall<T, E> {
    options!(common);
    options!(timeout);
    options!(one);
    options!(retry);

    /// Sends the call on its way. Done once it is: the result is the [`Task`]'s.
    ///
    /// # Errors
    ///
    /// [`CallError`], if there is nobody to call.
    pub fn start(self) -> Op<Result<Task<T, E>, CallError<E>>> {
        let Self { request, codec } = self;
        let request = Box::new(request);
        let place = Place::here();
        Op::new(async move {
            let outgoing = Outgoing::new(request, Modifier::Bg, place).map_err(CallError::widen)?;
            let sent = match outgoing.send_one().await {
                Ok(sent) => sent,
                Err(error) => return outgoing.span.ends(Err(error.widen())),
            };
            // A task of its own, so that the call goes on whoever drops the handle.
            let work = outgoing.node.runtimes.work.clone();
            let running = work.spawn(async move { outgoing.span.ends(outgoing.conclude(sent, codec).await) });
            Ok(Task { running })
        })
    }
}

/// A call that runs in the background: await it for its result. Dropping it lets the call go on; [`cancel`](Self::cancel)
/// ends it.
#[derive(Debug)]
pub struct Task<T, E = Never> {
    running: JoinHandle<Result<T, CallError<E>>>,
}

impl<T, E> Task<T, E> {
    /// Stops the callback; the task ends with [`CallError::Cancelled`]. Nothing happens if it has ended.
    pub fn cancel(&self) {
        self.running.abort();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.running.is_finished()
    }

    /// Blocks the thread until it has ended.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn wait(self) -> Result<T, CallError<E>> {
        pollster::block_on(self)
    }
}

impl<T, E> Future for Task<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The task panics in no case; its node going away aborts it.
        Pin::new(&mut self.running).poll(cx).map(|ended| ended.unwrap_or(Err(CallError::Cancelled)))
    }
}

/// A call whose result nobody waits for (BG with `no_return`). Awaiting it sends it; failures of the callback are logged by this
/// node.
///
/// Not more than [`MAX_CALLS`](crate::wire::limits::MAX_CALLS) may be under way: awaiting the next waits until one has ended.
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct OneWayCall {
    pub(super) request: Request,
}

impl OneWayCall {
    options!(common);
    options!(timeout);
    options!(one);

    /// Sends the call; blocks the thread only while too many are under way.
    ///
    /// # Errors
    ///
    /// [`CallError`], if there is nobody to call.
    pub fn wait(self) -> Result<(), CallError> {
        self.into_future().wait()
    }
}

impl IntoFuture for OneWayCall {
    type Output = Result<(), CallError>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (request, place) = (Box::new(self.request), Place::here());
        Op::new(async move { Outgoing::new(request, Modifier::Bg, place)?.forget().await })
    }
}

/// A call to every other node that offers the callback (BROADCAST). Awaiting it gives one [`NodeReply`] for each of them: those
/// that fail, or do not answer in time, take nothing from the others.
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct BroadcastCall<T, E = Never> {
    pub(super) request: Request,
    codec: Codec<T, E>,
}

/// What one node answered to a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeReply<T, E = Never> {
    /// The node's name.
    pub node: String,
    /// Its result.
    pub result: Result<T, CallError<E>>,
}

impl<T, E> BroadcastCall<T, E> {
    pub(super) const fn new(request: Request, codec: Codec<T, E>) -> Self {
        Self { request, codec }
    }
}

impl<T: Send + 'static, E: Send + 'static> BroadcastCall<T, E> {
    options!(common);
    options!(timeout);

    /// Makes the call and blocks the thread until every node has answered, or the time is over.
    ///
    /// # Errors
    ///
    /// [`CallError`], if there is nobody to call.
    pub fn wait(self) -> Result<Vec<NodeReply<T, E>>, CallError> {
        self.into_future().wait()
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for BroadcastCall<T, E> {
    type Output = Result<Vec<NodeReply<T, E>>, CallError>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { request, codec } = self;
        let request = Box::new(request);
        let place = Place::here();
        Op::new(async move { Outgoing::new(request, Modifier::Broadcast, place)?.all(codec).await })
    }
}

/// An FG call, for the macros.
pub const fn call<T, E>(
    stub: &'static Stub,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> Call<T, E> {
    Call::new(Request::of(stub, args), Codec::new(value, error))
}

/// A BG call, for the macros.
pub const fn background<T, E>(
    stub: &'static Stub,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> BackgroundCall<T, E> {
    BackgroundCall::new(Request::of(stub, args), Codec::new(value, error))
}

/// A BG call without return, for the macros.
pub const fn one_way(stub: &'static Stub, args: EncodedArgs) -> OneWayCall {
    OneWayCall { request: Request::of(stub, args) }
}

/// A BROADCAST call, for the macros.
pub const fn broadcast<T, E>(
    stub: &'static Stub,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> BroadcastCall<T, E> {
    BroadcastCall::new(Request::of(stub, args), Codec::new(value, error))
}
