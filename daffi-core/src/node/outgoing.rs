//! A call on its way: from the arguments to the answers. What the kinds of calls have in common.

mod again;
mod reply;
mod request;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use self::reply::stream_instead;
pub(crate) use self::{
    reply::Codec,
    request::{Modifier, Request},
};
use super::{
    Inner,
    answers::{self, Answer, AnswerReceiver},
    call::NodeReply,
    context::{Place, Scope},
    directory::{Audience, Target},
    error::CallError,
    pending::Waiting,
    session::Link,
    span::ClientSpan,
};
use crate::wire::{
    CallId, CallbackId, NodeId,
    frame::{Ask, Head},
};

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
}
