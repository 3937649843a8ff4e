//! Who takes part in a stream, as its producer knows them: those of its beginning, and those who come to a live one.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, watch};

use crate::{
    node::{
        Inner,
        contract::Stub,
        directory::{Audience, Directory, Target},
        error::CallError,
        event::Event,
    },
    wire::{
        NodeId,
        failure::Failure,
        item_stream::{Awaited, Newcomers, ReceiverId},
    },
};

/// The receivers of one stream.
pub(super) struct Party<'a> {
    pub(super) node: &'a Inner,
    pub(super) callback: &'a str,
    pub(super) stub: Option<&'static Stub>,
    pub(super) members: Mutex<Members>,
}

#[derive(Default)]
pub(super) struct Members {
    /// Those who have not ended, by their numbers in the stream.
    present: BTreeMap<ReceiverId, Member>,
    /// How many were named.
    named: ReceiverId,
    /// How many of these were let in: the others wait at the door.
    entered: ReceiverId,
    /// Who is known, so that nobody is let in twice: those who offer the callback now. By number and name, since a controller that
    /// was started again begins to count anew.
    known: HashMap<NodeId, Arc<str>>,
    /// Of these, the ones who are back under another number, for whom the stream may go on: they are newcomers only if it does not.
    back: HashMap<Arc<str>, Target>,
    /// Those whose callback the stub does not fit.
    misfits: Vec<(String, CallError)>,
}

/// One receiver.
struct Member {
    name: Arc<str>,
    /// It has to have all items, however slow it is.
    lossless: bool,
}

/// How many these are.
pub(super) fn count(nodes: &[NodeId]) -> ReceiverId {
    ReceiverId::try_from(nodes.len()).unwrap_or(ReceiverId::MAX)
}

impl Members {
    /// Gives the next number to a node.
    fn name(&mut self, target: &Target) {
        self.present.insert(self.named, Member { name: target.name.clone(), lossless: target.lossless });
        self.named += 1;
    }

    fn has(&self, name: &str) -> bool {
        self.present.values().any(|member| *member.name == *name)
    }
}

impl Party<'_> {
    /// Takes in who is not known yet: those who are to get the stream.
    pub(super) fn take_in(&self, audience: Audience) -> Newcomers {
        let mut members = self.lock();
        let (mut nodes, first) = (Vec::new(), members.named);
        let mut known = HashMap::new();
        members.back.retain(|_, back| audience.targets.iter().any(|target| target.node == back.node));
        for target in audience.targets {
            known.insert(target.node, target.name.clone());
            if members.known.get(&target.node) == Some(&target.name) {
                continue;
            }
            if members.has(&target.name) {
                members.back.insert(target.name.clone(), target);
            } else {
                members.name(&target);
                nodes.push(target.node);
            }
        }
        for (Target { node, name, .. }, error) in audience.misfits {
            if members.known.get(&node) != Some(&name) {
                members.misfits.push((name.to_string(), error));
            }
            known.insert(node, name);
        }
        // A node that comes back has another number, so nothing need be known of those who left.
        members.known = known;
        Newcomers { nodes, first }
    }

    /// Sends everybody to the door who comes from now on.
    pub(super) async fn watch(
        &self,
        mut directory: watch::Receiver<Directory>,
        door: &mpsc::UnboundedSender<Newcomers>,
    ) -> Infallible {
        while directory.changed().await.is_ok() {
            let audience = match directory.borrow_and_update().all(self.callback, self.stub) {
                Ok(audience) => audience,
                Err(error) => {
                    // Nobody may be there at the moment. Who is one too many comes in when another leaves.
                    if matches!(error, CallError::TooManyTargets { .. }) {
                        tracing::warn!(callback = self.callback, %error, "a stream takes no newcomers");
                    }
                    continue;
                }
            };
            let newcomers = self.take_in(audience);
            if !newcomers.nodes.is_empty() {
                // The other side lives as long as the stream.
                let _ = door.send(newcomers);
            }
        }
        // The node has ended, and with it the connection that the stream is on.
        std::future::pending().await
    }

    /// Forgets one who has ended: its name, and what makes it a newcomer if it is back.
    pub(super) fn end(&self, receiver: ReceiverId) -> (String, Option<Newcomers>) {
        let mut members = self.lock();
        let Some(Member { name, .. }) = members.present.remove(&receiver) else { return Default::default() };
        let back = members.back.remove(&name);
        let newcomers = back.map(|target| {
            let first = members.named;
            members.name(&target);
            Newcomers { nodes: vec![target.node], first }
        });
        (name.to_string(), newcomers)
    }

    /// Lets in those who were named up to here.
    pub(super) fn enter(&self, named: ReceiverId) {
        self.lock().entered = named;
    }

    /// Those who have not ended, and how many were named in all. Those at the door are let in, unless the source `has_ended`: what
    /// they would get are items that they may have had.
    pub(super) fn awaited(&self, has_ended: bool) -> (Vec<Awaited>, ReceiverId) {
        let mut members = self.lock();
        if !has_ended {
            members.entered = members.named;
        }
        let entered = members.entered;
        let awaited = |(receiver, member): (&ReceiverId, &Member)| {
            let Member { name, lossless } = member;
            Awaited { receiver: *receiver, node: name.to_string(), lossless: *lossless }
        };
        (members.present.range(..entered).map(awaited).collect(), entered)
    }

    pub(super) fn announce_joined(&self, newcomers: &Newcomers) {
        let count = count(&newcomers.nodes);
        let joined: Vec<_> = {
            let members = self.lock();
            let joined = members.present.range(newcomers.first..newcomers.first.saturating_add(count));
            joined.map(|(_, member)| member.name.to_string()).collect()
        };
        for node in joined {
            self.node.announce(Event::ReceiverJoined { callback: self.callback.to_owned(), node });
        }
    }

    pub(super) fn announce_dropped(&self, receiver: ReceiverId, dropped: u64) {
        let receiver = self.lock().present.get(&receiver).map(|member| member.name.to_string());
        if let Some(receiver) = receiver {
            let (callback, producer) = (self.callback.to_owned(), self.node.name.clone());
            self.node.announce(Event::ItemsDropped { callback, producer, receiver, dropped });
        }
    }

    pub(super) fn announce_left(&self, receiver: &str, failure: &Failure) {
        let (callback, node) = (self.callback.to_owned(), receiver.to_owned());
        self.node.announce(Event::ReceiverLeft { callback, node, reason: failure.to_string() });
    }

    pub(super) fn into_misfits(self) -> Vec<(String, CallError)> {
        self.members.into_inner().unwrap_or_else(PoisonError::into_inner).misfits
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing under the lock panics: maps are changed, no foreign code runs.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
