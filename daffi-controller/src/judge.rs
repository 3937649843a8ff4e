//! Says of each call and stream whether the rules allow it, and logs it if they do not.

use daffi_core::wire::{
    CallbackId, NodeId,
    failure::{Failure, Right},
};

use crate::{
    access::{Access, Verdicts},
    directory::Directory,
    hub::Producer,
    refusals::{Counted, Refusals},
};

#[derive(Debug)]
pub(crate) struct Judge {
    access: Access,
    verdicts: Verdicts,
    refusals: Refusals,
}

impl Judge {
    pub(crate) fn new(access: Access, counted: Counted) -> Self {
        Self { verdicts: Verdicts::new(access.clone()), refusals: Refusals::new(counted), access }
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
        let verdicts = self.verdicts.for_now(directory.forgotten());
        let missing = if !verdicts.allow(caller, right, callback, || names(caller)) {
            right
        } else if !verdicts.allow(node, Right::Offer, callback, || names(node)) {
            Right::Offer
        } else {
            return None;
        };
        let (name, callback) = names(caller).unwrap_or_default();
        self.refusals.log(name, missing, callback, directory.name(node).unwrap_or_default());
        Some(Failure::NotAllowed { caller: name.to_owned(), callback: callback.to_owned(), right: missing })
    }

    /// Why a node may not send a stream to another, if it may not. It may be away, so it is known by its name; and streams are few, so
    /// no verdict is kept.
    pub(crate) fn forbids_stream(
        &mut self,
        directory: &Directory,
        producer: &Producer,
        node: NodeId,
        callback: CallbackId,
    ) -> Option<Failure> {
        let (receiver, callback) = (directory.name(node)?, directory.callback(node, callback)?);
        let rules = self.access.rules();
        let right = if !rules.allow(&producer.name, Right::Stream, callback) {
            Right::Stream
        } else if !rules.allow(receiver, Right::Offer, callback) {
            Right::Offer
        } else {
            return None;
        };
        self.refusals.log(&producer.name, right, callback, receiver);
        Some(Failure::NotAllowed { caller: producer.name.clone(), callback: callback.to_owned(), right })
    }

    /// Logs that a node may not offer what it wanted to.
    pub(crate) fn log_offers(&mut self, node: &str, reason: &str) {
        self.refusals.log_offers(node, reason);
    }

    /// Logs how many refusals were not logged; see [`Refusals::log_rest`].
    pub(crate) fn log_rest(&mut self) {
        self.refusals.log_rest();
    }

    /// Forgets a node that leaves.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.verdicts.forget(node);
    }
}
