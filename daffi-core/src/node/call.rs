//! Calls: one node and its result (FG), a handle (BG), or an answer from every node (BROADCAST).

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    Inner,
    context::{Context, node_for},
    error::{CallError, Never},
    pending::Answer,
    runtime::Op,
    session::Link,
    stub::{DecodeError, EncodedArgs},
};
use crate::wire::{
    CallId, NodeId,
    failure::Failure,
    frame::{Head, Status},
};

/// How to decode what a callback returns.
#[derive(Debug)]
pub(crate) struct Codec<T, E> {
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
}

impl<T, E> Clone for Codec<T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, E> Copy for Codec<T, E> {}

/// What every kind of call has: what to call, with what, and the options that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) callback: &'static str,
    pub(crate) args: EncodedArgs,
    pub(crate) node: Option<Arc<Inner>>,
    pub(crate) to: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

impl Request {
    pub(crate) const fn new(callback: &'static str, args: EncodedArgs) -> Self {
        Self { callback, args, node: None, to: None, timeout: None }
    }

    /// Whether the arguments can be sent.
    pub(crate) fn check(&self) -> Result<(), CallError> {
        self.args.clone().into_payload().map(drop)
    }
}

macro_rules! options {
    (common) => {
        /// Makes the call through this node instead of the process's first, or of the one whose callback is running.
        pub fn on(mut self, node: impl AsRef<$crate::node::Node>) -> Self {
            self.request.node = Some(node.as_ref().inner().clone());
            self
        }

        /// Ends the call with [`CallError::Timeout`] after this time. The deadline travels: the callback is stopped then, and
        /// so is what it asked of others. Of two deadlines the earlier counts.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.request.timeout = Some(timeout);
            self
        }
    };
    (to) => {
        /// Calls the node of this name, instead of the next in turn of those that offer the callback.
        pub fn to(mut self, name: impl Into<String>) -> Self {
            self.request.to = Some(name.into());
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
    request: Request,
    codec: Codec<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> Call<T, E> {
    options!(common);
    options!(to);

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
        match Outgoing::new(request, DefaultTimeout::OfNode) {
            Ok(outgoing) => Op::new(outgoing.one(codec)),
            Err(error) => Op::new(async { Err(error.widen()) }),
        }
    }
}

/// A call that hands back a handle (BG): [`start`](Self::start) it.
///
/// It waits for its result without limit unless [`timeout`](Self::timeout) sets one.
#[derive(Debug)]
#[must_use = "a call does nothing until it is started"]
pub struct BackgroundCall<T, E = Never> {
    request: Request,
    codec: Codec<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> BackgroundCall<T, E> {
    options!(common);
    options!(to);

    /// Sends the call on its way. Done once it is: the result is the [`Task`]'s.
    ///
    /// # Errors
    ///
    /// [`CallError`], if there is nobody to call.
    pub fn start(self) -> Op<Result<Task<T, E>, CallError<E>>> {
        let Self { request, codec } = self;
        match Outgoing::new(request, DefaultTimeout::None) {
            Ok(mut outgoing) => Op::new(async move {
                let sent = outgoing.send_one().await.map_err(CallError::widen)?;
                // A task of its own, so that the call goes on whoever drops the handle.
                let running = outgoing.node.runtimes.work.clone().spawn(outgoing.result(sent, codec));
                Ok(Task { running })
            }),
            Err(error) => Op::new(async { Err(error.widen()) }),
        }
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

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
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
    request: Request,
}

impl OneWayCall {
    options!(common);
    options!(to);

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
        match Outgoing::new(self.request, DefaultTimeout::None) {
            Ok(outgoing) => Op::new(outgoing.forget()),
            Err(error) => Op::new(async { Err(error) }),
        }
    }
}

/// A call to every other node that offers the callback (BROADCAST). Awaiting it gives one [`NodeReply`] for each of them: those
/// that fail, or do not answer in time, take nothing from the others.
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited or waited for"]
pub struct BroadcastCall<T, E = Never> {
    request: Request,
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

impl<T: Send + 'static, E: Send + 'static> BroadcastCall<T, E> {
    options!(common);

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
        match Outgoing::new(request, DefaultTimeout::OfNode) {
            Ok(outgoing) => Op::new(outgoing.all(codec)),
            Err(error) => Op::new(async { Err(error) }),
        }
    }
}

/// How long a call waits that does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultTimeout {
    OfNode,
    None,
}

/// A call that is about to be sent: its node is known, and when it ends.
#[derive(Debug)]
pub(crate) struct Outgoing {
    request: Request,
    pub(crate) node: Arc<Inner>,
    context: Option<Context>,
    began: Instant,
    deadline: Option<Instant>,
}

/// A call that was sent. Dropping it while an answer is missing cancels the callback.
#[derive(Debug)]
pub(crate) struct Sent {
    node: Arc<Inner>,
    link: Arc<Link>,
    id: CallId,
    answers: mpsc::UnboundedReceiver<Answer>,
    /// Whom it was sent to. Their names are kept: a node that leaves takes its name out of the directory.
    targets: Vec<(NodeId, String)>,
}

impl Sent {
    fn name_of(&self, node: NodeId) -> String {
        let target = self.targets.iter().find(|(target, _)| *target == node);
        target.map_or_else(|| format!("#{node}"), |(_, name)| name.clone())
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if self.node.pending.forget(self.id) {
            self.link.frames.send(&Head::Cancel { id: self.id }, &[]);
        }
    }
}

impl Outgoing {
    pub(crate) fn new(request: Request, default: DefaultTimeout) -> Result<Self, CallError> {
        let (node, context) = node_for(request.node.clone())?;
        let began = Instant::now();
        let timeout = request.timeout.or(match default {
            DefaultTimeout::OfNode => Some(node.call_timeout),
            DefaultTimeout::None => None,
        });
        let own = timeout.and_then(|timeout| began.checked_add(timeout));
        let deadline = match (own, context.as_ref().and_then(|context| context.deadline)) {
            (Some(own), Some(inherited)) => Some(own.min(inherited)),
            (own, inherited) => own.or(inherited),
        };
        Ok(Self { request, node, context, began, deadline })
    }

    /// Calls one node and waits for its result.
    pub(crate) async fn one<T, E>(mut self, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        let sent = self.send_one().await.map_err(CallError::widen)?;
        self.result(sent, codec).await
    }

    async fn result<T, E>(self, mut sent: Sent, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        match self.within(sent.answers.recv()).await.map_err(CallError::widen)? {
            Some(Answer::Reply { node, status, payload }) => self.decode(sent.name_of(node), status, &payload, codec),
            Some(Answer::ControllerLost) | None => Err(CallError::ControllerLost),
        }
    }

    async fn forget(mut self) -> Result<(), CallError> {
        let payload = self.take_payload()?;
        let link = self.node.link()?;
        let (callback, peer) = self.node.directory.borrow().pick(self.request.callback, self.request.to.as_deref())?;
        let permit = self.within(self.node.pending.room()).await?.ok_or(CallError::Cancelled)?;
        let id = self.node.pending.begin(self.request.callback, 1, None, permit);
        link.frames.send(&Head::Call { id, callback, peer, budget: self.budget() }, &payload);
        if !self.node.has_link(&link) {
            self.node.pending.forget(id);
            return Err(CallError::ControllerLost);
        }
        Ok(())
    }

    async fn all<T, E>(mut self, codec: Codec<T, E>) -> Result<Vec<NodeReply<T, E>>, CallError> {
        let payload = self.take_payload()?;
        let link = self.node.link()?;
        let (callback, targets) = self.node.directory.borrow().all(self.request.callback)?;
        let budget = self.budget();
        let frame = |id, targets| Head::Broadcast { id, callback, budget, targets };
        let mut sent = self.send(link, targets, &payload, frame).await?;
        let mut results: Vec<_> = sent.targets.iter().map(|(node, name)| (*node, name.clone(), None)).collect();
        let collected = self
            .within(async {
                while let Some(Answer::Reply { node, status, payload }) = sent.answers.recv().await {
                    let result = self.decode(sent.name_of(node), status, &payload, codec);
                    if let Some((_, _, slot)) = results.iter_mut().find(|(target, _, _)| *target == node) {
                        *slot = Some(result);
                    }
                    if results.iter().all(|(_, _, result)| result.is_some()) {
                        return Ok(());
                    }
                }
                Err(CallError::ControllerLost)
            })
            .await
            .and_then(|collected| collected);
        let missing = collected.err().unwrap_or(CallError::ControllerLost);
        let replies = results.into_iter().map(|(_, node, result)| NodeReply {
            node,
            result: result.unwrap_or_else(|| Err(missing.clone().widen())),
        });
        Ok(replies.collect())
    }

    async fn send_one(&mut self) -> Result<Sent, CallError> {
        let payload = self.take_payload()?;
        let link = self.node.link()?;
        let (callback, peer) = self.node.directory.borrow().pick(self.request.callback, self.request.to.as_deref())?;
        let budget = self.budget();
        self.send(link, vec![peer], &payload, |id, _| Head::Call { id, callback, peer, budget }).await
    }

    async fn send(
        &self,
        link: Arc<Link>,
        targets: Vec<NodeId>,
        payload: &[u8],
        head: impl FnOnce(CallId, Vec<NodeId>) -> Head,
    ) -> Result<Sent, CallError> {
        let names = {
            let directory = self.node.directory.borrow();
            targets.iter().map(|node| (*node, directory.name_of(*node))).collect()
        };
        let permit = self.within(self.node.pending.room()).await?.ok_or(CallError::Cancelled)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let id = self.node.pending.begin(self.request.callback, targets.len(), Some(sender), permit);
        // From here on a drop cancels the call: the guard exists before the frame does.
        let sent = Sent { node: self.node.clone(), link, id, answers: receiver, targets: names };
        sent.link.frames.send(&head(id, targets), payload);
        // The link may have been lost in between, after it had ended all its calls and before this one was among them.
        if !self.node.has_link(&sent.link) {
            return Err(CallError::ControllerLost);
        }
        Ok(sent)
    }

    fn take_payload(&mut self) -> Result<bytes::Bytes, CallError> {
        let empty = EncodedArgs(Ok(bytes::Bytes::new()));
        std::mem::replace(&mut self.request.args, empty).into_payload()
    }

    fn budget(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits no longer than the deadline, and no longer than the callback that makes the call is wanted. Works in any
    /// executor: the timer belongs to the node's runtime.
    async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, CallError> {
        let passed = async {
            match self.deadline {
                Some(deadline) => {
                    let timer = {
                        let _runtime = self.node.runtimes.io.enter();
                        tokio::time::sleep_until(deadline)
                    };
                    timer.await;
                }
                None => std::future::pending().await,
            }
        };
        let cancelled = async {
            match &self.context {
                Some(context) => context.cancelled.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = cancelled => Err(CallError::Cancelled),
            () = passed => Err(CallError::Timeout { after: self.began.elapsed() }),
        }
    }

    fn decode<T, E>(
        &self,
        node: String,
        status: Status,
        payload: &[u8],
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        let bad = |node, DecodeError(message)| CallError::BadReply { node, message };
        match status {
            Status::Value => (codec.value)(payload).map_err(|error| bad(node, error)),
            Status::Error => Err((codec.error)(payload).map_or_else(|error| bad(node, error), CallError::App)),
            Status::Failure => Err(match Failure::decode(payload) {
                // The callee's clock may fire first.
                Failure::Deadline => CallError::Timeout { after: self.began.elapsed() },
                failure => CallError::from_failure(failure, node, self.request.callback, |error| codec.error(error)),
            }),
        }
    }
}

/// An FG call, for the macros.
pub fn call<T, E>(
    name: &'static str,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> Call<T, E> {
    Call { request: Request::new(name, args), codec: Codec { value, error } }
}

/// A BG call, for the macros.
pub fn background<T, E>(
    name: &'static str,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> BackgroundCall<T, E> {
    BackgroundCall { request: Request::new(name, args), codec: Codec { value, error } }
}

/// A BG call without return, for the macros.
pub const fn one_way(name: &'static str, args: EncodedArgs) -> OneWayCall {
    OneWayCall { request: Request::new(name, args) }
}

/// A BROADCAST call, for the macros.
pub fn broadcast<T, E>(
    name: &'static str,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> BroadcastCall<T, E> {
    BroadcastCall { request: Request::new(name, args), codec: Codec { value, error } }
}

impl<T, E> Codec<T, E> {
    pub(crate) const fn new(
        value: fn(&[u8]) -> Result<T, DecodeError>,
        error: fn(&[u8]) -> Result<E, DecodeError>,
    ) -> Self {
        Self { value, error }
    }

    pub(crate) fn error(&self, payload: &[u8]) -> Result<E, String> {
        (self.error)(payload).map_err(|DecodeError(message)| message)
    }
}
