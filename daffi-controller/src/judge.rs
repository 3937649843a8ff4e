//! Says of each call and stream whether the rules allow it, and logs it if they do not.

use daffi_core::wire::{
    CallbackId, NodeId,
    failure::{Failure, Right},
};

use crate::{
    access::{Access, Verdicts},
    directory::Directory,
    refusals::Refusals,
};

#[derive(Debug)]
pub(crate) struct Judge {
    verdicts: Verdicts,
    refusals: Refusals,
}

impl Judge {
    pub(crate) fn new(access: Access) -> Self {
        Self { verdicts: Verdicts::new(access), refusals: Refusals::default() }
    }

    /// Why a node may not do this with a callback of another, if it may not. The other one must be allowed to offer it, too: it may
    /// have joined under other rules.
    pub(crate) fn forbids(
        &mut self,
        directory: &Directory,
        caller: NodeId,
        right: Right,
        node: NodeId,
        callback: CallbackId,
    ) -> Option<Failure> {
        let names = |of| Some((directory.name(of)?, directory.callback(node, callback)?));
        let missing = if !self.verdicts.allow(caller, right, callback, || names(caller)) {
            right
        } else if !self.verdicts.allow(node, Right::Offer, callback, || names(node)) {
            Right::Offer
        } else {
            return None;
        };
        let (name, callback) = names(caller).unwrap_or_default();
        self.refusals.log(caller, name, missing, callback, directory.name(node).unwrap_or_default());
        Some(Failure::NotAllowed { caller: name.to_owned(), callback: callback.to_owned(), right: missing })
    }

    /// Forgets a node that leaves.
    pub(crate) fn forget(&mut self, directory: &Directory, node: NodeId) {
        self.verdicts.forget(node);
        self.refusals.forget(node, directory.name(node).unwrap_or_default());
    }
}
