//! To whom a call goes, a broadcast or a stream: those whose callback it fits.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use super::{Directory, Entry, Offerer, Offering};
use crate::{
    node::{
        choice::{Choice, Load, affinity},
        contract::{self, Fit, Stub},
        error::CallError,
    },
    wire::{CallbackId, NodeId, limits::MAX_TARGETS},
};

/// A node that is to run a call.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) node: NodeId,
    /// Kept: a node that leaves takes its name out of the directory.
    pub(crate) name: Arc<str>,
    pub(crate) load: Load,
    /// It has to have all items of a stream, however slow it is.
    pub(crate) lossless: bool,
}

/// Everybody who is to get a broadcast or a stream.
#[derive(Debug)]
pub(crate) struct Audience {
    pub(crate) callback: CallbackId,
    pub(crate) targets: Vec<Target>,
    /// Those whose callback the stub does not fit.
    pub(crate) misfits: Vec<(Target, CallError)>,
}

impl Directory {
    /// The node that is to run a call, out of the others that offer the callback.
    pub(crate) fn pick(
        &self,
        callback: &str,
        choice: &Choice,
        stub: Option<&'static Stub>,
    ) -> Result<(CallbackId, Target), CallError> {
        let offering = self.callbacks.get(callback);
        let picked = match (choice, offering) {
            (Choice::Named(name), _) => Some(self.named(name, callback, offering)?),
            (_, None) => None,
            (Choice::Turn, Some(offering)) => self.next_in_turn(offering),
            (Choice::LeastBusy, Some(offering)) => self.least_busy(offering),
            (Choice::Sticky(key), Some(offering)) => {
                self.others(offering).max_by_key(|(_, entry)| affinity(key, &entry.name))
            }
        };
        let (Some((offerer, entry)), Some(offering)) = (picked, offering) else {
            return Err(self.nobody_offers(callback));
        };
        check(stub, offering.id, offerer, entry)?;
        Ok((offering.id, entry.target(offerer)))
    }

    /// All other nodes that offer a callback.
    pub(crate) fn all(&self, callback: &str, stub: Option<&'static Stub>) -> Result<Audience, CallError> {
        let offering = self.callbacks.get(callback).ok_or_else(|| self.nobody_offers(callback))?;
        let mut audience = Audience { callback: offering.id, targets: Vec::new(), misfits: Vec::new() };
        for (offerer, entry) in self.others(offering) {
            let target = entry.target(offerer);
            match check(stub, offering.id, offerer, entry) {
                Ok(()) => audience.targets.push(target),
                Err(error) => audience.misfits.push((target, error)),
            }
        }
        if audience.targets.is_empty() && audience.misfits.is_empty() {
            return Err(self.nobody_offers(callback));
        }
        let targets = audience.targets.len();
        if targets > MAX_TARGETS {
            return Err(CallError::TooManyTargets { callback: callback.to_owned(), targets, limit: MAX_TARGETS });
        }
        Ok(audience)
    }

    fn named<'a>(
        &'a self,
        name: &str,
        callback: &str,
        offering: Option<&'a Offering>,
    ) -> Result<(&'a Offerer, &'a Entry), CallError> {
        let found = self.nodes.iter().find(|(_, entry)| *entry.name == *name);
        let (id, entry) = found.ok_or_else(|| CallError::NoNode { name: name.to_owned(), present: self.present() })?;
        let mut offerers = offering.into_iter().flat_map(|offering| &offering.offerers);
        let offerer = offerers.find(|offerer| offerer.node == *id).ok_or_else(|| CallError::NoCallback {
            name: callback.to_owned(),
            node: Some(name.to_owned()),
            known: entry.known(),
        })?;
        Ok((offerer, entry))
    }

    fn next_in_turn<'a>(&'a self, offering: &'a Offering) -> Option<(&'a Offerer, &'a Entry)> {
        let offerers = &offering.offerers;
        for _ in offerers {
            let turn = offering.turn.fetch_add(1, Ordering::Relaxed);
            let offerer = &offerers[turn % offerers.len()];
            if Some(offerer.node) != self.own {
                return self.nodes.get(&offerer.node).map(|entry| (offerer, entry));
            }
        }
        None
    }

    /// Of several with as few calls, the next in turn.
    fn least_busy<'a>(&'a self, offering: &'a Offering) -> Option<(&'a Offerer, &'a Entry)> {
        let offerers = &offering.offerers;
        let turn = offering.turn.fetch_add(1, Ordering::Relaxed);
        let distance = |offerer: &Offerer| {
            let at = offerers.iter().position(|other| other.node == offerer.node).unwrap_or_default();
            (at + offerers.len() - turn % offerers.len()) % offerers.len()
        };
        self.others(offering).min_by_key(|(offerer, entry)| (entry.load.count(), distance(offerer)))
    }

    fn nobody_offers(&self, callback: &str) -> CallError {
        CallError::NoCallback { name: callback.to_owned(), node: None, known: self.known() }
    }
}

impl Entry {
    fn target(&self, offerer: &Offerer) -> Target {
        let Offerer { node, lossless, .. } = *offerer;
        Target { node, name: self.name.clone(), load: self.load.clone(), lossless }
    }
}

/// Whether a stub, or a call without one, fits a node's callback. What differs is told once.
fn check(stub: Option<&'static Stub>, id: CallbackId, offerer: &Offerer, entry: &Entry) -> Result<(), CallError> {
    let offered = || entry.offers.iter().find(|offered| offered.id == id).map(|offered| &offered.offer);
    let misfit = |why, stub, offer| {
        let callback = contract::describe(offer, &entry.name);
        Err(CallError::Mismatch { why, stub, callback })
    };
    let Some(stub) = stub else {
        return match offered().map(|offer| (offer, contract::fit_without_stub(offer))) {
            Some((offer, Fit::Cannot(why))) => misfit(why, None, offer),
            _ => Ok(()),
        };
    };
    let address = std::ptr::from_ref(stub).addr();
    // A push leaves the list whole.
    let mut fitting = offerer.fitting.lock().unwrap_or_else(PoisonError::into_inner);
    if fitting.contains(&address) {
        return Ok(());
    }
    let Some(offer) = offered() else {
        return Ok(());
    };
    match stub.fit(offer) {
        Fit::Fits => {}
        Fit::Differs(what) => {
            tracing::warn!(
                stub = stub.describe(),
                callback = contract::describe(offer, &entry.name),
                "{what} differ; the call is made, since two spellings may mean one type"
            );
        }
        Fit::Cannot(why) => return misfit(why, Some(stub.describe()), offer),
    }
    fitting.push(address);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{directory, member},
        *,
    };

    #[test]
    fn turns_are_even_and_never_ones_own() {
        let directory = directory();
        let picked: Vec<_> = (0..40).map(|_| directory.pick("add", &Choice::Turn, None).unwrap().1.node).collect();
        let of = |node| picked.iter().filter(|picked| **picked == node).count();
        assert_eq!(of(1), 0);
        assert_eq!(of(2) + of(3), 40);
        assert!(of(2).abs_diff(of(3)) <= 1, "{picked:?}");
    }

    #[test]
    fn errors_list_who_is_there() {
        let directory = directory();
        let present = vec!["me".into(), "a".into(), "b".into()];
        let named = |name: &str| Choice::Named(name.into());
        let refused = |callback, choice| directory.pick(callback, &choice, None).unwrap_err();
        assert_eq!(refused("add", named("c")), CallError::NoNode { name: "c".into(), present });
        let known = vec!["add".into(), "sub".into()];
        assert_eq!(refused("ad", Choice::Turn), CallError::NoCallback { name: "ad".into(), node: None, known });
        let known = vec!["add".into(), "sub".into()];
        let missing = CallError::NoCallback { name: "ad".into(), node: Some("b".into()), known };
        assert_eq!(refused("ad", named("b")), missing);
        let (callback, target) = directory.pick("sub", &named("b"), None).unwrap();
        assert_eq!((callback, target.node), (1, 3));
    }

    #[test]
    fn a_broadcast_that_would_go_to_too_many_goes_to_none() {
        let members = (1..=8_193).map(|id| member(id, &format!("n{id}"), &[(0, "add")])).collect();
        let mut directory = Directory::welcome(1, members);
        assert_eq!(directory.all("add", None).unwrap().targets.len(), MAX_TARGETS);
        directory.joined(member(8_194, "last", &[(0, "add")]));
        let refused = directory.all("add", None).unwrap_err();
        assert_eq!(refused, CallError::TooManyTargets { callback: "add".into(), targets: 8_193, limit: MAX_TARGETS });
        assert!(!refused.is_retryable());
        directory.left(2);
        assert!(directory.all("add", None).is_ok());
    }

    #[test]
    fn the_least_busy_is_picked_and_those_alike_in_turn() {
        let directory = directory();
        let pick = || directory.pick("add", &Choice::LeastBusy, None).unwrap().1;
        let first = pick();
        let busy = first.load.enter();
        let second = pick();
        assert_ne!(first.node, second.node);
        assert_eq!(pick().node, second.node);
        drop(busy);
        let picked: Vec<_> = (0..40).map(|_| pick().node).collect();
        assert!(picked.contains(&2) && picked.contains(&3));
    }

    #[test]
    fn a_key_has_one_node() {
        let mut directory = directory();
        let pick =
            |directory: &Directory, key: u8| directory.pick("add", &Choice::Sticky(vec![key]), None).unwrap().1.node;
        let before: Vec<_> = (0..100).map(|key| pick(&directory, key)).collect();
        assert_eq!(before, (0..100).map(|key| pick(&directory, key)).collect::<Vec<_>>());
        assert!(before.contains(&2) && before.contains(&3));
        directory.left(3);
        assert!((0..100).all(|key| pick(&directory, key) == 2));
        // It comes back under another number and the same name.
        directory.joined(member(9, "b", &[(0, "add")]));
        let after: Vec<_> = (0..100).map(|key| pick(&directory, key)).collect();
        assert_eq!(
            before.iter().map(|node| *node == 3).collect::<Vec<_>>(),
            after.iter().map(|node| *node == 9).collect::<Vec<_>>()
        );
    }
}
