//! Who is there and what each offers. Plain data: no tasks, no connections.

use std::collections::{HashMap, HashSet};

use daffi_core::wire::{
    CallbackId, NodeId,
    control::{Member, Offered},
    limits::MAX_CALLBACKS,
    name::{self, InvalidName},
    offer::Offer,
};

/// The nodes that have joined, by number and by name.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: HashMap<NodeId, Entry>,
    names: HashMap<String, NodeId>,
    callbacks: HashMap<String, CallbackId>,
    next_node: NodeId,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    callbacks: HashSet<CallbackId>,
}

/// Why a node or its offers were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the node name {name:?} is not one: {why}")]
    NodeName { name: String, why: InvalidName },
    #[error("the callback name {name:?} is not one: {why}")]
    CallbackName { name: String, why: InvalidName },
    #[error("a node named {0:?} is here already: give this one another name, or stop that one")]
    NameTaken(String),
    #[error("a node offers at most {MAX_CALLBACKS} callbacks")]
    TooManyCallbacks,
    #[error("no rule of this controller allows node {name:?} to offer {}; add one, or offer less", some_of(.callbacks))]
    NotAllowed { name: String, callbacks: Vec<String> },
    #[error("the controller is stopping")]
    Stopping,
}

impl Directory {
    /// Takes a node in.
    pub(crate) fn join(&mut self, name: String, offers: Vec<Offer>) -> Result<Member, Refused> {
        check_names(&name, &offers)?;
        if self.names.contains_key(&name) {
            return Err(Refused::NameTaken(name));
        }
        let offers = self.number(offers, 0)?;
        self.next_node += 1;
        let member = Member { id: self.next_node, name: name.clone(), offers };
        let callbacks = member.offers.iter().map(|offered| offered.id).collect();
        self.names.insert(name, member.id);
        self.entries.insert(member.id, Entry { member: member.clone(), callbacks });
        Ok(member)
    }

    /// Takes in further callbacks of a node; the ones it had already are left out of the result.
    pub(crate) fn offer(&mut self, node: NodeId, offers: Vec<Offer>) -> Result<Vec<Offered>, Refused> {
        let had = self.entries.get(&node).map_or(0, |entry| entry.callbacks.len());
        let mut offered = self.number(offers, had)?;
        if let Some(entry) = self.entries.get_mut(&node) {
            offered.retain(|offered| entry.callbacks.insert(offered.id));
            entry.member.offers.extend_from_slice(&offered);
        }
        Ok(offered)
    }

    /// Takes a node out.
    pub(crate) fn leave(&mut self, node: NodeId) {
        if let Some(entry) = self.entries.remove(&node) {
            self.names.remove(&entry.member.name);
        }
    }

    /// The node that has this name.
    pub(crate) fn named(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// The node of this name and the callback of that, if the one offers the other.
    pub(crate) fn offered(&self, node: &str, callback: &str) -> Option<(NodeId, CallbackId)> {
        let (node, callback) = (self.named(node)?, *self.callbacks.get(callback)?);
        self.entries.get(&node)?.callbacks.contains(&callback).then_some((node, callback))
    }

    /// The name that a callback's number stands for.
    pub(crate) fn callback_name(&self, callback: CallbackId) -> Option<String> {
        self.callbacks.iter().find(|(_, id)| **id == callback).map(|(name, _)| name.clone())
    }

    /// The number that stands for a callback's name.
    pub(crate) fn callback_number(&self, callback: &str) -> Option<CallbackId> {
        self.callbacks.get(callback).copied()
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: NodeId) -> Option<&str> {
        self.entries.get(&node).map(|entry| &*entry.member.name)
    }

    /// The name of a callback that a node offers.
    pub(crate) fn callback(&self, node: NodeId, callback: CallbackId) -> Option<&str> {
        let offers = self.entries.get(&node).into_iter().flat_map(|entry| &entry.member.offers);
        offers.into_iter().find(|offered| offered.id == callback).map(|offered| &*offered.offer.name)
    }

    /// Whether a node is there, and whether it offers a callback.
    pub(crate) fn offers(&self, node: NodeId, callback: CallbackId) -> Option<bool> {
        self.entries.get(&node).map(|entry| entry.callbacks.contains(&callback))
    }

    /// Whether a node has to have all items of a stream of this callback.
    pub(crate) fn is_lossless(&self, node: NodeId, callback: CallbackId) -> bool {
        let offers = self.entries.get(&node).into_iter().flat_map(|entry| &entry.member.offers);
        offers.into_iter().any(|offered| offered.id == callback && offered.offer.lossless)
    }

    /// Everybody, in the order in which they joined: calls in turn begin with the first, in every run.
    pub(crate) fn members(&self) -> Vec<Member> {
        let mut members: Vec<_> = self.entries.values().map(|entry| entry.member.clone()).collect();
        members.sort_unstable_by_key(|member| member.id);
        members
    }

    /// Gives each name its number: the same for all nodes, for as long as the controller runs.
    fn number(&mut self, offers: Vec<Offer>, had: usize) -> Result<Vec<Offered>, Refused> {
        if had + offers.len() > MAX_CALLBACKS {
            return Err(Refused::TooManyCallbacks);
        }
        check_callbacks(&offers)?;
        let numbered = offers.into_iter().map(|offer| {
            let next = self.callbacks.len() as CallbackId;
            let id = *self.callbacks.entry(offer.name.clone()).or_insert(next);
            Offered { id, offer }
        });
        Ok(numbered.collect())
    }
}

/// Whether these are names, of a node and of its callbacks.
pub(crate) fn check_names(node: &str, offers: &[Offer]) -> Result<(), Refused> {
    name::check(node).map_err(|why| Refused::NodeName { name: node.to_owned(), why })?;
    check_callbacks(offers)
}

pub(crate) fn check_callbacks(offers: &[Offer]) -> Result<(), Refused> {
    let bad = |name: &str| name::check(name).err().map(|why| Refused::CallbackName { name: name.to_owned(), why });
    offers.iter().find_map(|offer| bad(&offer.name)).map_or(Ok(()), Err)
}

/// A few of them: the reason for which a connection is closed has to fit into a packet.
pub(crate) fn some_of(names: &[String]) -> String {
    const SOME: usize = 4;
    let some: Vec<_> = names.iter().take(SOME).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(SOME) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str) -> Offer {
        Offer { name: name.into(), ..Offer::default() }
    }

    #[test]
    fn a_callback_has_one_number_on_all_nodes() {
        let mut directory = Directory::default();
        let a = directory.join("a".into(), vec![offer("add"), offer("sub")]).unwrap();
        let b = directory.join("b".into(), vec![offer("sub")]).unwrap();
        assert_eq!(a.offers[1].id, b.offers[0].id);
        assert_eq!(directory.offers(b.id, a.offers[0].id), Some(false));
        assert_eq!(directory.offer(b.id, vec![offer("add"), offer("sub")]).unwrap().len(), 1);
        assert_eq!(directory.offers(b.id, a.offers[0].id), Some(true));
    }

    #[test]
    fn a_name_is_free_again_once_its_node_left_and_its_number_is_not() {
        let mut directory = Directory::default();
        let first = directory.join("a".into(), vec![]).unwrap().id;
        assert_eq!(directory.join("a".into(), vec![]), Err(Refused::NameTaken("a".into())));
        directory.leave(first);
        assert_eq!(directory.named("a"), None);
        assert_ne!(directory.join("a".into(), vec![]).unwrap().id, first);
    }

    #[test]
    fn members_are_in_the_order_in_which_they_joined() {
        let mut directory = Directory::default();
        let joined: Vec<_> = (0..20).map(|number| directory.join(format!("n{number}"), vec![]).unwrap().id).collect();
        assert!(directory.members().iter().map(|member| member.id).eq(joined));
    }

    #[test]
    fn bad_names_are_refused_before_anything_is_taken_in() {
        let mut directory = Directory::default();
        assert!(matches!(directory.join("a b".into(), vec![]), Err(Refused::NodeName { .. })));
        assert!(matches!(directory.join("a".into(), vec![offer("x y")]), Err(Refused::CallbackName { .. })));
        assert_eq!(directory.members(), []);
    }
}
