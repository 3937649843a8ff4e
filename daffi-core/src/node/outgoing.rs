//! A call on its way: from the arguments to the answers. What the kinds of calls have in common.

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Inner,
    answers::{self, Answer, AnswerReceiver},
    call::NodeReply,
    choice::Choice,
    context::{Place, Scope},
    contract::Stub,
    directory::{Audience, Target},
    error::CallError,
    event::Event,
    pending::Waiting,
    retry::{Retry, may_retry},
    session::Link,
    span::ClientSpan,
    stub::{DecodeError, EncodedArgs},
};
use crate::wire::{
    CallId, CallbackId, NodeId,
    failure::Failure,
    frame::{Ask, Head, Status},
    trace::TraceContext,
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

impl<T, E> Codec<T, E> {
    pub(crate) const fn new(
        value: fn(&[u8]) -> Result<T, DecodeError>,
        error: fn(&[u8]) -> Result<E, DecodeError>,
    ) -> Self {
        Self { value, error }
    }

    pub(crate) fn value(&self, payload: &[u8]) -> Result<T, String> {
        (self.value)(payload).map_err(|DecodeError(message)| message)
    }

    pub(crate) fn error(&self, payload: &[u8]) -> Result<E, String> {
        (self.error)(payload).map_err(|DecodeError(message)| message)
    }
}

/// What every kind of call has: what to call, with what, and the options that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) callback: Cow<'static, str>,
    /// What the stub says of itself; nothing for a call without one.
    pub(crate) stub: Option<&'static Stub>,
    pub(crate) args: EncodedArgs,
    pub(crate) node: Option<Arc<Inner>>,
    pub(crate) choice: Choice,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) trace: Option<TraceContext>,
}

impl Request {
    /// What a stub asks for.
    pub(crate) const fn of(stub: &'static Stub, args: EncodedArgs) -> Self {
        Self::new(Cow::Borrowed(stub.name), Some(stub), args)
    }

    /// What is asked for by its name alone.
    pub(crate) const fn named(callback: String, args: EncodedArgs) -> Self {
        Self::new(Cow::Owned(callback), None, args)
    }

    const fn new(callback: Cow<'static, str>, stub: Option<&'static Stub>, args: EncodedArgs) -> Self {
        Self { callback, stub, args, node: None, choice: Choice::Turn, timeout: None, retry: None, trace: None }
    }

    /// Whether the arguments can be sent.
    pub(crate) fn check(&self) -> Result<(), CallError> {
        self.args.clone().into_payload().map(drop)
    }
}

/// How a stub is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    Fg,
    Bg,
    Broadcast,
    Period,
    Stream,
    /// FG, with a stream of results.
    Results,
}

impl Modifier {
    /// How a stub spells it.
    #[cfg(feature = "opentelemetry")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fg | Self::Results => "FG",
            Self::Bg => "BG",
            Self::Broadcast => "BROADCAST",
            Self::Period => "PERIOD",
            Self::Stream => "STREAM",
        }
    }

    /// How long a call waits that does not say; for ever, if somebody holds a handle to it, or nobody waits for it.
    fn default_timeout(self, node: &Inner) -> Option<Duration> {
        match self {
            Self::Fg | Self::Broadcast | Self::Period => Some(node.call_timeout),
            Self::Bg | Self::Stream | Self::Results => None,
        }
    }
}

/// A call that is about to be sent: its node is known, and when it ends.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Apart, so that the futures of calls stay small: the allocator is quicker with those.
    pub(crate) request: Box<Request>,
    pub(crate) node: Arc<Inner>,
    pub(super) span: ClientSpan,
    pub(crate) scope: Option<Scope>,
    pub(crate) began: Instant,
    pub(crate) deadline: Option<Instant>,
}

/// A call that was sent. Dropping it while an answer is missing cancels the callback.
#[derive(Debug)]
pub(crate) struct Sent {
    node: Arc<Inner>,
    link: Arc<Link>,
    id: CallId,
    pub(crate) answers: AnswerReceiver,
    targets: Vec<Target>,
}

impl Sent {
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        let target = self.targets.iter().find(|target| target.node == node);
        target.map_or_else(|| format!("#{node}"), |target| target.name.to_string())
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
    pub(crate) fn new(request: Box<Request>, modifier: Modifier, place: Place) -> Result<Self, CallError> {
        let (node, scope) = place.resolve(request.node.clone())?;
        let began = node.runtimes.now();
        let timeout = request.timeout.or_else(|| modifier.default_timeout(&node));
        let own = timeout.and_then(|timeout| began.checked_add(timeout));
        let deadline = match (own, scope.as_ref().and_then(|scope| scope.deadline)) {
            (Some(own), Some(inherited)) => Some(own.min(inherited)),
            (own, inherited) => own.or(inherited),
        };
        let span = place.begin(|| ClientSpan::begin(&request.callback, modifier, request.trace, scope.as_ref()));
        Ok(Self { request, node, span, scope, began, deadline })
    }

    /// Calls one node and waits for its result; again, if that was asked for and may be done.
    pub(crate) async fn one<T, E>(&self, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        let result = match self.send_one().await {
            Ok(mut sent) => self.result(&mut sent, codec).await,
            Err(error) => Err(error.widen()),
        };
        self.span.ends(self.retried(result, codec).await)
    }

    /// Waits for the result of a call that was sent, and tries again as [`one`](Self::one) does.
    pub(super) async fn conclude<T, E>(&self, mut sent: Sent, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        let result = self.result(&mut sent, codec).await;
        self.retried(result, codec).await
    }

    async fn retried<T, E>(&self, result: Result<T, CallError<E>>, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        match (result, self.request.retry) {
            // Few calls come here, and all would carry the room that it takes.
            (Err(error), Some(retry)) => Box::pin(self.try_again(error, retry, codec)).await,
            (result, _) => result,
        }
    }

    async fn try_again<T, E>(
        &self,
        mut error: CallError<E>,
        retry: Retry,
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        let mut pauses = retry.schedule();
        let mut attempt = 1;
        loop {
            let failed = match error {
                CallError::App(error) => return Err(CallError::App(error)),
                error => error.map_app(|_| CallError::Cancelled),
            };
            let idempotent = self.request.stub.is_some_and(|stub| stub.idempotent);
            let Some(pause) = pauses.next().filter(|_| may_retry(&failed, idempotent)) else {
                return Err(failed.widen());
            };
            attempt += 1;
            self.span.note(
                || tracing::info!(callback = %self.request.callback, attempt, error = %failed, ?pause, "a call is tried again"),
            );
            self.node.announce(Event::Retried {
                callback: self.request.callback.clone().into_owned(),
                attempt,
                error: failed.to_string(),
            });
            let timer = {
                let _runtime = self.node.runtimes.io.enter();
                tokio::time::sleep(pause)
            };
            if self.within(timer).await.is_err() {
                // What went wrong says more than that there is no time left to try it again.
                return Err(failed.widen());
            }
            let result = match self.send_one().await {
                Ok(mut sent) => self.result(&mut sent, codec).await,
                Err(error) => Err(error.widen()),
            };
            error = match result {
                Err(error) => error,
                Ok(value) => return Ok(value),
            };
        }
    }

    async fn result<T, E>(&self, sent: &mut Sent, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        match self.within(sent.answers.recv()).await.map_err(CallError::widen)? {
            Some(Answer::Reply { node, status, payload }) => {
                self.decode(|| sent.name_of(node), status, &payload, codec)
            }
            Some(Answer::Results { node, .. }) => Err(stream_instead(sent.name_of(node))),
            Some(Answer::ControllerLost) | None => Err(CallError::ControllerLost),
        }
    }

    pub(super) async fn forget(self) -> Result<(), CallError> {
        self.span.ends(self.send_off().await)
    }

    async fn send_off(&self) -> Result<(), CallError> {
        let permit = self.room_for_one().await?;
        let (payload, link) = self.ready()?;
        let (callback, target) = self.pick()?;
        self.span.reaches(&target.name);
        let waiting = Waiting::for_nothing(self.request.callback.clone(), target.load.enter(), permit);
        let (id, _) = self.node.pending.begin(waiting);
        let head = Head::Call { id, peer: target.node, ask: self.ask(callback) };
        link.frames.send(&head, &payload);
        if !self.node.has_link(&link) {
            self.node.pending.forget(id);
            return Err(CallError::ControllerLost);
        }
        Ok(())
    }

    pub(super) async fn all<T, E>(self, codec: Codec<T, E>) -> Result<Vec<NodeReply<T, E>>, CallError> {
        let replies = self.span.ends(self.gather(codec).await)?;
        self.span.has_replies(&replies);
        Ok(replies)
    }

    async fn gather<T, E>(&self, codec: Codec<T, E>) -> Result<Vec<NodeReply<T, E>>, CallError> {
        let permit = self.room().await?;
        let (payload, link) = self.ready()?;
        let audience = self.node.directory.borrow().all(&self.request.callback, self.request.stub)?;
        let Audience { callback, targets, misfits } = audience;
        let misfits = misfits.into_iter().map(|(target, error)| (target, Some(Err(error.widen()))));
        let mut results: Vec<_> = targets.iter().map(|target| (target.clone(), None)).chain(misfits).collect();
        let collected = if targets.is_empty() {
            Ok(())
        } else {
            let ids = targets.iter().map(|target| target.node).collect();
            let head = |id| Head::Broadcast { id, targets: ids, ask: self.ask(callback) };
            let mut sent = self.send(permit, link, targets, &payload, head)?;
            self.within(async {
                while let Some(answer) = sent.answers.recv().await {
                    let (node, result) = match answer {
                        Answer::Reply { node, status, payload } => {
                            (node, self.decode(|| sent.name_of(node), status, &payload, codec))
                        }
                        Answer::Results { node, .. } => (node, Err(stream_instead(sent.name_of(node)))),
                        Answer::ControllerLost => break,
                    };
                    if let Some((_, slot)) = results.iter_mut().find(|(target, _)| target.node == node) {
                        *slot = Some(result);
                    }
                    if results.iter().all(|(_, result)| result.is_some()) {
                        return Ok(());
                    }
                }
                Err(CallError::ControllerLost)
            })
            .await
            .and_then(|collected| collected)
        };
        let missing = collected.err().unwrap_or(CallError::ControllerLost);
        let replies = results.into_iter().map(|(target, result)| NodeReply {
            node: target.name.to_string(),
            result: result.unwrap_or_else(|| Err(missing.clone().widen())),
        });
        Ok(replies.collect())
    }

    pub(crate) async fn send_one(&self) -> Result<Sent, CallError> {
        let permit = self.room_for_one().await?;
        let (payload, link) = self.ready()?;
        let (callback, target) = self.pick()?;
        self.span.reaches(&target.name);
        let peer = target.node;
        self.send(permit, link, vec![target], &payload, |id| Head::Call { id, peer, ask: self.ask(callback) })
    }

    /// The same as [`room`](Self::room); but what nobody can answer is told at once.
    async fn room_for_one(&self) -> Result<OwnedSemaphorePermit, CallError> {
        match self.node.pending.room_now() {
            Some(permit) => Ok(permit),
            None => {
                self.pick()?;
                self.room().await
            }
        }
    }

    /// Waits until there is room among the calls under way. Whom they go to is looked up after that: it may take a while.
    async fn room(&self) -> Result<OwnedSemaphorePermit, CallError> {
        match self.node.pending.room_now() {
            Some(permit) => Ok(permit),
            None => Box::pin(self.within(self.node.pending.room())).await?.ok_or(CallError::Cancelled),
        }
    }

    fn send(
        &self,
        permit: OwnedSemaphorePermit,
        link: Arc<Link>,
        targets: Vec<Target>,
        payload: &[u8],
        head: impl FnOnce(CallId) -> Head,
    ) -> Result<Sent, CallError> {
        let (sender, receiver) = answers::channel(targets.len());
        let busy = targets.iter().map(|target| target.load.enter()).collect();
        let (id, alone) =
            self.node.pending.begin(Waiting::for_answers(sender, self.request.callback.clone(), busy, permit));
        // From here on a drop cancels the call: the guard exists before the frame does.
        let sent = Sent { node: self.node.clone(), link, id, answers: receiver, targets };
        let head = head(id);
        if alone {
            sent.link.frames.send_alone(&head, payload);
        } else {
            sent.link.frames.send(&head, payload);
        }
        // The link may have been lost in between, after it had ended all its calls and before this one was among them.
        if !self.node.has_link(&sent.link) {
            return Err(CallError::ControllerLost);
        }
        Ok(sent)
    }

    /// The arguments, and the connection that they fit.
    fn ready(&self) -> Result<(Bytes, Arc<Link>), CallError> {
        let (payload, link) = (self.request.args.clone().into_payload()?, self.node.link()?);
        let (size, limit) = (payload.len() as u64, link.terms.message_size);
        if size > limit {
            return Err(CallError::TooLarge { what: "the arguments", size, limit });
        }
        Ok((payload, link))
    }

    fn pick(&self) -> Result<(CallbackId, Target), CallError> {
        let Request { callback, choice, stub, .. } = &*self.request;
        self.node.directory.borrow().pick(callback, choice, *stub)
    }

    fn ask(&self, callback: CallbackId) -> Ask {
        let budget = self.deadline.map(|deadline| deadline.saturating_duration_since(self.node.runtimes.now()));
        Ask { callback, budget, trace: self.span.trace() }
    }

    /// Waits no longer than the deadline, and no longer than the callback that makes the call is wanted. Works in any
    /// executor: the timer belongs to the node's runtime.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, CallError> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = self.given_up() => Err(CallError::Cancelled),
            () = self.passed() => Err(CallError::Timeout { after: self.waited() }),
        }
    }

    /// Nobody wants the callback any more that makes the call.
    async fn given_up(&self) {
        match &self.scope {
            Some(scope) => scope.cancelled.cancelled().await,
            None => std::future::pending().await,
        }
    }

    async fn passed(&self) {
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
    }

    fn waited(&self) -> Duration {
        self.node.runtimes.now().saturating_duration_since(self.began)
    }

    pub(crate) fn decode<T, E>(
        &self,
        node: impl FnOnce() -> String,
        status: Status,
        payload: &[u8],
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        let bad = |node, message: String| {
            let message = match self.request.stub {
                Some(stub) => format!("{message}; the stub is `{}`", stub.signature.text),
                None => message,
            };
            CallError::BadReply { node, message }
        };
        match status {
            Status::Value => codec.value(payload).map_err(|error| bad(node(), error)),
            Status::Error => Err(codec.error(payload).map_or_else(|error| bad(node(), error), CallError::App)),
            Status::Failure => Err(match Failure::decode(payload) {
                // The callee's clock may fire first.
                Failure::Deadline => CallError::Timeout { after: self.waited() },
                failure => {
                    let callback = &self.request.callback;
                    let error = CallError::from_failure(failure, node(), callback, |error| codec.error(error));
                    self.node.directory.borrow().lists_for(error)
                }
            }),
        }
    }
}

/// The callback returns a stream, and its node has not said so beforehand. Dropping the stream ends it.
fn stream_instead<E>(node: String) -> CallError<E> {
    CallError::BadReply { node, message: "it returns a stream of results, and the call expects one result".into() }
}
