//! Who is there and what each offers. Plain data: no tasks, no connections.

mod refused;

use std::collections::{HashMap, HashSet, VecDeque};

use daffi_core::wire::{
    CallbackId, NodeId,
    control::{Member, Offered},
    limits::MAX_CONTROL,
    message,
    offer::Offer,
};
use serde::Serialize;

pub(crate) use self::refused::{Refused, beginning, check_callbacks, check_names, some_of};

/// The nodes that have joined, by number and by name.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: HashMap<NodeId, Entry>,
    names: HashMap<String, NodeId>,
    callbacks: HashMap<String, Numbered>,
    /// The names that the numbers stand for now.
    numbers: HashMap<CallbackId, String>,
    /// Names that the last node that offered them left, in the order in which it did.
    unused: VecDeque<String>,
    /// How many numbers of callbacks stand for nothing any more.
    forgotten: u64,
    last_node: NodeId,
    last_callback: CallbackId,
    /// How many bytes of a welcome all members take.
    bytes: usize,
    max_nodes: usize,
    max_callbacks: usize,
}

/// The number of a callback's name.
#[derive(Debug)]
struct Numbered {
    id: CallbackId,
    /// How many nodes offer it.
    offerers: usize,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    callbacks: HashSet<CallbackId>,
    bytes: usize,
}

/// How many names keep their numbers that no node offers any more: a live stream has the number from its beginning, and those who take
/// it may all go and come again. Not all of them, or names that come and go would fill the memory.
const UNUSED: usize = 16 << 10;

/// Room in a welcome for everything but the members.
const WELCOME: usize = 4 << 10;

impl Directory {
    /// One for so many nodes, with so many callbacks each.
    pub(crate) fn new(max_nodes: usize, max_callbacks: usize) -> Self {
        Self {
            entries: HashMap::new(),
            names: HashMap::new(),
            callbacks: HashMap::new(),
            numbers: HashMap::new(),
            unused: VecDeque::new(),
            forgotten: 0,
            last_node: 0,
            last_callback: 0,
            bytes: 0,
            max_nodes,
            max_callbacks,
        }
    }

    /// Takes a node in.
    pub(crate) fn join(&mut self, name: String, offers: Vec<Offer>) -> Result<Member, Refused> {
        check_names(&name, &offers)?;
        if self.names.contains_key(&name) {
            return Err(Refused::NameTaken(name));
        }
        // After the name: its holder may be a node that comes back, and has lost its connection without knowing it yet.
        if self.entries.len() >= self.max_nodes {
            return Err(Refused::TooManyNodes(self.max_nodes));
        }
        self.check(&offers, 0)?;
        let offers = self.number(distinct(offers));
        let id = next(&mut self.last_node, |id| self.entries.contains_key(&id));
        let member = Member { id, name: name.clone(), offers };
        let bytes = self.room_for(&member, &member.offers)?;
        let callbacks = member.offers.iter().map(|offered| offered.id).collect();
        self.names.insert(name, member.id);
        self.entries.insert(member.id, Entry { member: member.clone(), callbacks, bytes });
        Ok(member)
    }

    /// Takes in further callbacks of a node; the ones it had already are left out of the result.
    pub(crate) fn offer(&mut self, node: NodeId, offers: Vec<Offer>) -> Result<Vec<Offered>, Refused> {
        let Some(entry) = self.entries.get(&node) else {
            return Ok(Vec::new());
        };
        let has = |offer: &Offer| {
            self.callbacks.get(&offer.name).is_some_and(|numbered| entry.callbacks.contains(&numbered.id))
        };
        let offers: Vec<_> = offers.into_iter().filter(|offer| !has(offer)).collect();
        self.check(&offers, entry.callbacks.len())?;
        let offered = self.number(distinct(offers));
        let bytes = self.room_for(&offered, &offered)?;
        if let Some(entry) = self.entries.get_mut(&node) {
            entry.callbacks.extend(offered.iter().map(|offered| offered.id));
            entry.member.offers.extend_from_slice(&offered);
            entry.bytes += bytes;
        }
        Ok(offered)
    }

    /// Takes a node out.
    pub(crate) fn leave(&mut self, node: NodeId) {
        if let Some(entry) = self.entries.remove(&node) {
            self.names.remove(&entry.member.name);
            self.bytes -= entry.bytes;
            self.forget(&entry.member.offers);
        }
    }

    /// The node that has this name.
    pub(crate) fn named(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// The node of this name and the callback of that, if the one offers the other.
    pub(crate) fn offered(&self, node: &str, callback: &str) -> Option<(NodeId, CallbackId)> {
        let (node, callback) = (self.named(node)?, self.callbacks.get(callback)?.id);
        self.entries.get(&node)?.callbacks.contains(&callback).then_some((node, callback))
    }

    /// The name that a callback's number stands for.
    pub(crate) fn callback_name(&self, callback: CallbackId) -> Option<String> {
        self.numbers.get(&callback).cloned()
    }

    /// The number that stands for a callback's name.
    pub(crate) fn callback_number(&self, callback: &str) -> Option<CallbackId> {
        self.callbacks.get(callback).map(|numbered| numbered.id)
    }

    /// How many numbers of callbacks have been forgotten so far: each may stand for another name one day.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
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

    /// Whether a node that has so many callbacks may offer these too.
    fn check(&self, offers: &[Offer], had: usize) -> Result<(), Refused> {
        let (count, limit) = (had + offers.len(), self.max_callbacks);
        if count > limit && !offers.is_empty() {
            return Err(Refused::TooManyCallbacks { count, limit });
        }
        check_callbacks(offers)
    }

    /// Gives each name its number: the same for all nodes, for as long as one offers it, and mostly for good: see [`UNUSED`].
    fn number(&mut self, offers: Vec<Offer>) -> Vec<Offered> {
        let Self { callbacks, numbers, last_callback, .. } = self;
        let numbered = offers.into_iter().map(|offer| {
            let numbered = callbacks.entry(offer.name.clone()).or_insert_with(|| {
                let id = next(last_callback, |id| numbers.contains_key(&id));
                numbers.insert(id, offer.name.clone());
                Numbered { id, offerers: 0 }
            });
            numbered.offerers += 1;
            Offered { id: numbered.id, offer }
        });
        numbered.collect()
    }

    /// A node offers these no more.
    fn forget(&mut self, offers: &[Offered]) {
        for Offered { offer, .. } in offers {
            if let Some(numbered) = self.callbacks.get_mut(&offer.name) {
                numbered.offerers -= 1;
                if numbered.offerers == 0 {
                    self.unused.push_back(offer.name.clone());
                }
            }
        }
        while self.unused.len() > UNUSED {
            let Some(name) = self.unused.pop_front() else { return };
            // Somebody may offer it again.
            if self.callbacks.get(&name).is_some_and(|numbered| numbered.offerers == 0)
                && let Some(numbered) = self.callbacks.remove(&name)
            {
                self.numbers.remove(&numbered.id);
                self.forgotten += 1;
            }
        }
    }

    /// Takes room in the welcome; how many bytes. What has no room is forgotten.
    fn room_for<M: Serialize>(&mut self, part: &M, offers: &[Offered]) -> Result<usize, Refused> {
        let mut encoded = Vec::new();
        message::put(part, &mut encoded);
        if self.bytes + encoded.len() > MAX_CONTROL - WELCOME {
            self.forget(offers);
            return Err(Refused::DirectoryFull);
        }
        self.bytes += encoded.len();
        Ok(encoded.len())
    }
}

/// The next number that is not taken, from 1 on. There are far more of them than of what they stand for.
fn next(last: &mut u32, is_taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        *last = last.wrapping_add(1);
        if *last != 0 && !is_taken(*last) {
            return *last;
        }
    }
}

/// Each name once.
fn distinct(mut offers: Vec<Offer>) -> Vec<Offer> {
    let mut names = HashSet::new();
    offers.retain(|offer| names.insert(offer.name.clone()));
    offers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str) -> Offer {
        Offer { name: name.into(), ..Offer::default() }
    }

    fn directory() -> Directory {
        Directory::new(100, 3)
    }

    #[test]
    fn a_callback_has_one_number_on_all_nodes() {
        let mut directory = directory();
        let a = directory.join("a".into(), vec![offer("add"), offer("sub")]).unwrap();
        let b = directory.join("b".into(), vec![offer("sub")]).unwrap();
        assert_eq!(a.offers[1].id, b.offers[0].id);
        assert_eq!(directory.offers(b.id, a.offers[0].id), Some(false));
        assert_eq!(directory.offer(b.id, vec![offer("add"), offer("sub")]).unwrap().len(), 1);
        assert_eq!(directory.offers(b.id, a.offers[0].id), Some(true));
    }

    #[test]
    fn a_name_is_free_again_once_its_node_left_and_its_number_is_not() {
        let mut directory = directory();
        let first = directory.join("a".into(), vec![]).unwrap().id;
        assert_eq!(directory.join("a".into(), vec![]), Err(Refused::NameTaken("a".into())));
        directory.leave(first);
        assert_eq!(directory.named("a"), None);
        assert_ne!(directory.join("a".into(), vec![]).unwrap().id, first);
    }

    #[test]
    fn as_many_nodes_join_as_may_and_not_one_more() {
        let mut directory = Directory::new(2, 3);
        let a = directory.join("a".into(), vec![]).unwrap().id;
        directory.join("b".into(), vec![]).unwrap();
        assert_eq!(directory.join("b".into(), vec![]), Err(Refused::NameTaken("b".into())), "one that comes back");
        assert_eq!(directory.join("c".into(), vec![]), Err(Refused::TooManyNodes(2)));
        directory.leave(a);
        directory.join("c".into(), vec![]).unwrap();
    }

    #[test]
    fn a_node_offers_as_many_callbacks_as_it_may_and_not_one_more() {
        let mut directory = directory();
        let refused = Err(Refused::TooManyCallbacks { count: 4, limit: 3 });
        let offers = |names: &str| names.split(' ').map(offer).collect::<Vec<_>>();
        assert_eq!(directory.join("a".into(), offers("a b c d")), refused);
        let a = directory.join("a".into(), offers("a b")).unwrap().id;
        assert_eq!(directory.offer(a, offers("a b c")).unwrap().len(), 1);
        assert_eq!(directory.offer(a, offers("d")), Err(Refused::TooManyCallbacks { count: 4, limit: 3 }));
        assert_eq!(directory.offer(a, offers("c")), Ok(vec![]), "it has that one");
    }

    #[test]
    fn what_fits_into_no_welcome_is_refused_and_leaves_nothing() {
        let mut directory = Directory::new(100, 3);
        let large = |name: &str| Offer { signature: "x".repeat(MAX_CONTROL / 2), ..offer(name) };
        let a = directory.join("a".into(), vec![large("a")]).unwrap().id;
        assert_eq!(directory.join("b".into(), vec![large("b")]), Err(Refused::DirectoryFull));
        assert_eq!(directory.offer(a, vec![large("b")]), Err(Refused::DirectoryFull));
        directory.leave(a);
        assert_eq!(directory.bytes, 0);
        directory.join("b".into(), vec![large("b")]).unwrap();
    }

    #[test]
    fn a_name_that_nobody_offers_keeps_its_number_until_many_others_have_gone() {
        let mut directory = directory();
        let pass = |directory: &mut Directory, name: &str| {
            let member = directory.join("a".into(), vec![offer(name), offer(name)]).unwrap();
            directory.leave(member.id);
            member.offers[0].id
        };
        let add = pass(&mut directory, "add");
        assert_eq!(pass(&mut directory, "add"), add);
        assert_eq!(directory.forgotten(), 0);
        let stays = directory.join("b".into(), vec![offer("stays")]).unwrap();
        for number in 0..2 * UNUSED {
            pass(&mut directory, &format!("other{number}"));
        }
        let kept = (directory.callbacks.len(), directory.numbers.len(), directory.unused.len());
        assert_eq!(kept, (UNUSED + 1, UNUSED + 1, UNUSED));
        assert_eq!(directory.forgotten(), UNUSED as u64 + 1, "of all that had numbers");
        assert_ne!(pass(&mut directory, "add"), add, "a frame of before finds nothing else");
        let again = directory.join("c".into(), vec![offer("stays")]).unwrap();
        assert_eq!(again.offers[0].id, stays.offers[0].id);
    }

    #[test]
    fn numbers_that_are_in_use_are_passed_over() {
        let mut last = u32::MAX - 1;
        assert_eq!(next(&mut last, |id| id == u32::MAX || id == 1), 2);
    }

    #[test]
    fn members_are_in_the_order_in_which_they_joined() {
        let mut directory = directory();
        let joined: Vec<_> = (0..20).map(|number| directory.join(format!("n{number}"), vec![]).unwrap().id).collect();
        assert!(directory.members().iter().map(|member| member.id).eq(joined));
    }

    #[test]
    fn bad_names_are_refused_before_anything_is_taken_in() {
        let mut directory = directory();
        assert!(matches!(directory.join("a b".into(), vec![]), Err(Refused::NodeName { .. })));
        assert!(matches!(directory.join("a".into(), vec![offer("x y")]), Err(Refused::CallbackName { .. })));
        assert_eq!(directory.members(), []);
    }

    #[test]
    fn of_a_name_that_is_too_long_little_is_said() {
        let mut directory = directory();
        let long = "ü".repeat(1 << 20);
        for refused in [
            directory.join(long.clone(), vec![]).unwrap_err(),
            directory.join("a".into(), vec![offer(&long)]).unwrap_err(),
        ] {
            let said = refused.to_string();
            assert!(said.len() < 400 && said.contains("this one has 2097152"), "{said}");
        }
    }
}
