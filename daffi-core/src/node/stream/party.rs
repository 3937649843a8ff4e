//! Who takes part in a stream, as its producer knows them: those of its beginning, and those who come to a live one.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, watch};

use crate::{
    node::{
        Inner,
        contract::Stub,
        directory::{Audience, Directory},
        error::CallError,
        event::Event,
    },
    wire::{NodeId, failure::Failure},
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
    /// The names of those who have not ended.
    names: HashMap<NodeId, String>,
    /// Who is known, so that nobody is let in twice: those who offer the callback now.
    known: HashSet<NodeId>,
    /// Those whose callback the stub does not fit.
    misfits: Vec<(String, CallError)>,
}

impl Party<'_> {
    /// Takes in who is not known yet: those who are to get the stream.
    pub(super) fn take_in(&self, audience: Audience) -> Vec<NodeId> {
        let Members { names, known, misfits } = &mut *self.lock();
        let mut targets = Vec::new();
        let mut present = HashSet::new();
        for target in audience.targets {
            present.insert(target.node);
            if !known.contains(&target.node) {
                names.insert(target.node, target.name.to_string());
                targets.push(target.node);
            }
        }
        for (target, error) in audience.misfits {
            present.insert(target.node);
            if !known.contains(&target.node) {
                misfits.push((target.name.to_string(), error));
            }
        }
        // A node that comes back has another number, so nothing need be known of those who left.
        *known = present;
        targets
    }

    /// Sends everybody to the door who comes from now on.
    pub(super) async fn watch(
        &self,
        mut directory: watch::Receiver<Directory>,
        door: &mpsc::UnboundedSender<Vec<NodeId>>,
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
            if !newcomers.is_empty() {
                // The other side lives as long as the stream.
                let _ = door.send(newcomers);
            }
        }
        // The node has ended, and with it the connection that the stream is on.
        std::future::pending().await
    }

    /// The name of one who has ended: it is not needed any more.
    pub(super) fn name_of(&self, node: NodeId) -> String {
        self.lock().names.remove(&node).unwrap_or_default()
    }

    pub(super) fn announce_joined(&self, nodes: &[NodeId]) {
        let joined: Vec<_> = nodes.iter().filter_map(|node| self.lock().names.get(node).cloned()).collect();
        for node in joined {
            self.node.announce(Event::ReceiverJoined { callback: self.callback.to_owned(), node });
        }
    }

    pub(super) fn announce_dropped(&self, node: NodeId, dropped: u64) {
        let receiver = self.lock().names.get(&node).cloned();
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
