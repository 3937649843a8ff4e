//! Who is there and what each offers, as the controller told.

mod pick;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

pub(crate) use self::pick::{Audience, Target};
use super::{choice::Load, error::CallError};
use crate::wire::{
    CallbackId, NodeId,
    control::{Member, Offered},
};

/// A node that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub callbacks: Vec<CallbackInfo>,
}

/// A callback that a node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallbackInfo {
    /// Its name.
    pub name: String,
    /// Its signature as written in the node's source.
    pub signature: String,
    /// Where it stands in the node's source: `file:line`.
    pub location: String,
}

/// The nodes by number, and for each callback's name the nodes that offer it.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    own: Option<NodeId>,
    nodes: BTreeMap<NodeId, Entry>,
    callbacks: HashMap<String, Offering>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    offers: Vec<Offered>,
    load: Load,
}

#[derive(Debug)]
struct Offering {
    id: CallbackId,
    offerers: Vec<Offerer>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// A node that offers a callback.
#[derive(Debug)]
struct Offerer {
    node: NodeId,
    /// It has to have all items of a stream.
    lossless: bool,
    /// The stubs that were found to fit, by their addresses: each is compared once.
    fitting: Mutex<Vec<usize>>,
}

impl Directory {
    /// The directory as a node finds it when it joins.
    pub(crate) fn welcome(own: NodeId, members: Vec<Member>) -> Self {
        let mut directory = Self { own: Some(own), ..Self::default() };
        members.into_iter().for_each(|member| directory.joined(member));
        directory
    }

    pub(crate) fn joined(&mut self, member: Member) {
        let Member { id, name, offers } = member;
        self.index(id, &offers);
        self.nodes.insert(id, Entry { name: name.into(), offers, load: Load::default() });
    }

    /// The node's name, if it is known.
    pub(crate) fn offered(&mut self, node: NodeId, offers: Vec<Offered>) -> Option<String> {
        self.index(node, &offers);
        let entry = self.nodes.get_mut(&node)?;
        entry.offers.extend(offers);
        Some(entry.name.to_string())
    }

    /// The name of the node that left, if it was known.
    pub(crate) fn left(&mut self, node: NodeId) -> Option<String> {
        // When the last has left, the next that offers it may bring another number.
        self.callbacks.retain(|_, offering| {
            offering.offerers.retain(|offerer| offerer.node != node);
            !offering.offerers.is_empty()
        });
        self.nodes.remove(&node).map(|entry| entry.name.to_string())
    }

    /// Everybody, the node itself included.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        let callback = |Offered { offer, .. }: &Offered| CallbackInfo {
            name: offer.name.clone(),
            signature: offer.signature.clone(),
            location: offer.location.clone(),
        };
        let info = |entry: &Entry| NodeInfo {
            name: entry.name.to_string(),
            callbacks: entry.offers.iter().map(callback).collect(),
        };
        self.nodes.values().map(info).collect()
    }

    /// Whether this is the node whose directory it is.
    pub(crate) fn is_own(&self, node: NodeId) -> bool {
        self.own == Some(node)
    }

    /// Whether a node of this name is there.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.nodes.values().any(|entry| *entry.name == *name)
    }

    /// Whether another node offers this callback.
    pub(crate) fn has_callback(&self, name: &str) -> bool {
        self.callbacks.get(name).is_some_and(|offering| self.others(offering).next().is_some())
    }

    /// The name of a node; its number for one that is gone.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.nodes.get(&node).map_or_else(|| format!("#{node}"), |entry| entry.name.to_string())
    }

    /// The names of the nodes that are there.
    pub(crate) fn present(&self) -> Vec<String> {
        self.nodes.values().map(|entry| entry.name.to_string()).collect()
    }

    /// An error that another node or the controller found, with the lists that it has when it is found here. Nothing of the
    /// user's runs meanwhile: whoever holds the directory holds up the I/O thread.
    pub(crate) fn lists_for<E>(&self, error: CallError<E>) -> CallError<E> {
        match error {
            // It may be in the directory still, or again.
            CallError::NoNode { name, .. } => {
                let mut present = self.present();
                present.retain(|other| *other != name);
                CallError::NoNode { name, present }
            }
            CallError::NoCallback { name, node: Some(node), .. } => {
                let entry = self.nodes.values().find(|entry| *entry.name == *node);
                let mut known = entry.map(Entry::known).unwrap_or_default();
                known.retain(|other| *other != name);
                CallError::NoCallback { name, known, node: Some(node) }
            }
            other => other,
        }
    }

    /// The callbacks that other nodes offer.
    pub(crate) fn known(&self) -> Vec<String> {
        let mut known: Vec<_> = self.callbacks.keys().filter(|name| self.has_callback(name)).cloned().collect();
        known.sort_unstable();
        known
    }

    fn others<'a>(&'a self, offering: &'a Offering) -> impl Iterator<Item = (&'a Offerer, &'a Entry)> {
        let others = offering.offerers.iter().filter(|offerer| Some(offerer.node) != self.own);
        others.filter_map(|offerer| Some((offerer, self.nodes.get(&offerer.node)?)))
    }

    fn index(&mut self, node: NodeId, offers: &[Offered]) {
        for Offered { id, offer } in offers {
            let offering = self.callbacks.entry(offer.name.clone()).or_insert_with(|| Offering {
                id: *id,
                offerers: Vec::new(),
                turn: AtomicUsize::new(0),
            });
            if offering.offerers.iter().all(|offerer| offerer.node != node) {
                offering.offerers.push(Offerer { node, lossless: offer.lossless, fitting: Mutex::default() });
            }
        }
    }
}

impl Entry {
    fn known(&self) -> Vec<String> {
        self.offers.iter().map(|offered| offered.offer.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::error::Never,
        wire::{failure::Failure, offer::Offer},
    };

    pub(super) fn member(id: NodeId, name: &str, callbacks: &[(CallbackId, &str)]) -> Member {
        let offer = |name: &str| Offer { name: name.into(), ..Offer::default() };
        let offers = callbacks.iter().map(|(id, name)| Offered { id: *id, offer: offer(name) }).collect();
        Member { id, name: name.into(), offers }
    }

    pub(super) fn directory() -> Directory {
        let members = vec![
            member(1, "me", &[(0, "add")]),
            member(2, "a", &[(0, "add")]),
            member(3, "b", &[(0, "add"), (1, "sub")]),
        ];
        Directory::welcome(1, members)
    }

    #[test]
    fn what_others_found_lists_who_is_there_too() {
        let directory = directory();
        let error = |failure, node: &str| {
            let error =
                CallError::<Never>::from_failure(failure, node.into(), "ad", |_| unreachable!("it is no error"));
            directory.lists_for(error)
        };
        let present = vec!["me".into(), "a".into(), "b".into()];
        assert_eq!(error(Failure::NoNode, "c"), CallError::NoNode { name: "c".into(), present });
        let missing = |node: &str, known| CallError::NoCallback { name: "ad".into(), node: Some(node.into()), known };
        assert_eq!(error(Failure::NoCallback, "b"), missing("b", vec!["add".into(), "sub".into()]));
        assert_eq!(error(Failure::NoCallback, "c"), missing("c", vec![]));
        assert_eq!(error(Failure::Busy, "b"), CallError::Busy { node: "b".into() });
    }

    #[test]
    fn who_left_is_asked_no_more() {
        let mut directory = directory();
        let all = |directory: &Directory| -> Vec<_> {
            directory.all("add", None).unwrap().targets.iter().map(|target| target.node).collect()
        };
        assert_eq!(all(&directory), [2, 3]);
        assert_eq!(directory.left(3).as_deref(), Some("b"));
        assert_eq!(all(&directory), [2]);
        assert!(!directory.has_callback("sub"));
    }
}
