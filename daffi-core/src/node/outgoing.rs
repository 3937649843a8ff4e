//! A call on its way: from the arguments to the answers. What the kinds of calls have in common.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{
    Inner,
    call::NodeReply,
    context::{Context, node_for},
    error::CallError,
    pending::Answer,
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

    pub(super) async fn result<T, E>(self, mut sent: Sent, codec: Codec<T, E>) -> Result<T, CallError<E>> {
        match self.within(sent.answers.recv()).await.map_err(CallError::widen)? {
            Some(Answer::Reply { node, status, payload }) => self.decode(sent.name_of(node), status, &payload, codec),
            Some(Answer::ControllerLost) | None => Err(CallError::ControllerLost),
        }
    }

    pub(super) async fn forget(mut self) -> Result<(), CallError> {
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

    pub(super) async fn all<T, E>(mut self, codec: Codec<T, E>) -> Result<Vec<NodeReply<T, E>>, CallError> {
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

    pub(super) async fn send_one(&mut self) -> Result<Sent, CallError> {
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
