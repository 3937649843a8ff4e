//! Who is there and what each offers, as the controller told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::error::CallError;
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
    nodes: BTreeMap<NodeId, Member>,
    callbacks: HashMap<String, Offering>,
}

#[derive(Debug)]
struct Offering {
    id: CallbackId,
    nodes: Vec<NodeId>,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
}

impl Directory {
    /// The directory as a node finds it when it joins.
    pub(crate) fn welcome(own: NodeId, members: Vec<Member>) -> Self {
        let mut directory = Self { own: Some(own), ..Self::default() };
        members.into_iter().for_each(|member| directory.joined(member));
        directory
    }

    pub(crate) fn joined(&mut self, member: Member) {
        self.index(member.id, &member.offers);
        self.nodes.insert(member.id, member);
    }

    /// The node's name, if it is known.
    pub(crate) fn offered(&mut self, node: NodeId, offers: Vec<Offered>) -> Option<String> {
        self.index(node, &offers);
        let member = self.nodes.get_mut(&node)?;
        member.offers.extend(offers);
        Some(member.name.clone())
    }

    /// The name of the node that left, if it was known.
    pub(crate) fn left(&mut self, node: NodeId) -> Option<String> {
        for offering in self.callbacks.values_mut() {
            offering.nodes.retain(|other| *other != node);
        }
        self.nodes.remove(&node).map(|member| member.name)
    }

    /// Everybody, the node itself included.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        let info = |member: &Member| NodeInfo {
            name: member.name.clone(),
            callbacks: member
                .offers
                .iter()
                .map(|Offered { offer, .. }| CallbackInfo {
                    name: offer.name.clone(),
                    signature: offer.signature.clone(),
                    location: offer.location.clone(),
                })
                .collect(),
        };
        self.nodes.values().map(info).collect()
    }

    /// Whether this is the node whose directory it is.
    pub(crate) fn is_own(&self, node: NodeId) -> bool {
        self.own == Some(node)
    }

    /// Whether a node of this name is there.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.nodes.values().any(|member| member.name == name)
    }

    /// Whether another node offers this callback.
    pub(crate) fn has_callback(&self, name: &str) -> bool {
        !self.others(name).is_empty()
    }

    /// The name of a node; its number for one that is gone.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.nodes.get(&node).map_or_else(|| format!("#{node}"), |member| member.name.clone())
    }

    /// The node that is to run a call: the one of this name, else the next in turn of the others that offer the callback.
    pub(crate) fn pick(&self, callback: &str, to: Option<&str>) -> Result<(CallbackId, NodeId), CallError> {
        let no_callback = || CallError::NoCallback { name: callback.to_owned(), node: None, known: self.known() };
        if let Some(to) = to {
            let Some(member) = self.nodes.values().find(|member| member.name == to) else {
                return Err(CallError::NoNode { name: to.to_owned(), present: self.present() });
            };
            return match self.callbacks.get(callback) {
                Some(offering) if offering.nodes.contains(&member.id) => Ok((offering.id, member.id)),
                _ => Err(CallError::NoCallback {
                    name: callback.to_owned(),
                    node: Some(to.to_owned()),
                    known: member.offers.iter().map(|offered| offered.offer.name.clone()).collect(),
                }),
            };
        }
        let offering = self.callbacks.get(callback).ok_or_else(no_callback)?;
        let candidates = offering.nodes.len();
        for _ in 0..candidates {
            let turn = offering.turn.fetch_add(1, Ordering::Relaxed);
            let node = offering.nodes[turn % candidates];
            if Some(node) != self.own {
                return Ok((offering.id, node));
            }
        }
        Err(no_callback())
    }

    /// All other nodes that offer a callback.
    pub(crate) fn all(&self, callback: &str) -> Result<(CallbackId, Vec<NodeId>), CallError> {
        let nodes = self.others(callback);
        match self.callbacks.get(callback) {
            Some(offering) if !nodes.is_empty() => Ok((offering.id, nodes)),
            _ => Err(CallError::NoCallback { name: callback.to_owned(), node: None, known: self.known() }),
        }
    }

    /// The names of the nodes that are there.
    pub(crate) fn present(&self) -> Vec<String> {
        self.nodes.values().map(|member| member.name.clone()).collect()
    }

    /// The callbacks that other nodes offer.
    pub(crate) fn known(&self) -> Vec<String> {
        let mut known: Vec<_> = self.callbacks.keys().filter(|name| self.has_callback(name)).cloned().collect();
        known.sort_unstable();
        known
    }

    fn others(&self, callback: &str) -> Vec<NodeId> {
        let offering = self.callbacks.get(callback);
        offering.map_or_else(Vec::new, |offering| {
            offering.nodes.iter().copied().filter(|node| Some(*node) != self.own).collect()
        })
    }

    fn index(&mut self, node: NodeId, offers: &[Offered]) {
        for Offered { id, offer } in offers {
            let offering = self.callbacks.entry(offer.name.clone()).or_insert_with(|| Offering {
                id: *id,
                nodes: Vec::new(),
                turn: Arc::default(),
            });
            if !offering.nodes.contains(&node) {
                offering.nodes.push(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::Offer;

    fn member(id: NodeId, name: &str, callbacks: &[(CallbackId, &str)]) -> Member {
        let offer =
            |name: &str| Offer { name: name.into(), signature: String::new(), parameters: 1, location: String::new() };
        let offers = callbacks.iter().map(|(id, name)| Offered { id: *id, offer: offer(name) }).collect();
        Member { id, name: name.into(), offers }
    }

    fn directory() -> Directory {
        let members = vec![
            member(1, "me", &[(0, "add")]),
            member(2, "a", &[(0, "add")]),
            member(3, "b", &[(0, "add"), (1, "sub")]),
        ];
        Directory::welcome(1, members)
    }

    #[test]
    fn turns_are_even_and_never_ones_own() {
        let directory = directory();
        let picked: Vec<_> = (0..40).map(|_| directory.pick("add", None).unwrap().1).collect();
        let of = |node| picked.iter().filter(|picked| **picked == node).count();
        assert_eq!(of(1), 0);
        assert_eq!(of(2) + of(3), 40);
        assert!(of(2).abs_diff(of(3)) <= 1, "{picked:?}");
    }

    #[test]
    fn errors_list_who_is_there() {
        let directory = directory();
        let present = vec!["me".into(), "a".into(), "b".into()];
        assert_eq!(directory.pick("add", Some("c")), Err(CallError::NoNode { name: "c".into(), present }));
        let known = vec!["add".into(), "sub".into()];
        assert_eq!(directory.pick("ad", None), Err(CallError::NoCallback { name: "ad".into(), node: None, known }));
        assert_eq!(directory.pick("sub", Some("b")), Ok((1, 3)));
    }

    #[test]
    fn who_left_is_asked_no_more() {
        let mut directory = directory();
        assert_eq!(directory.all("add").unwrap().1, [2, 3]);
        assert_eq!(directory.left(3).as_deref(), Some("b"));
        assert_eq!(directory.all("add").unwrap().1, [2]);
        assert!(!directory.has_callback("sub"));
    }
}
