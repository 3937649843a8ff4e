//! The callbacks that a node offers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};

use super::{
    error::JoinError,
    stub::{BoxFuture, Outcome, Payload},
};
use crate::wire::{
    CallbackId,
    control::{Offer, Offered},
};

/// A function that other nodes can call, as `#[callback]` describes it.
#[derive(Debug, Clone, Copy)]
pub struct Callback {
    /// The name that callers use.
    pub name: &'static str,
    /// The signature as written.
    pub signature: &'static str,
    /// How many parameters it has.
    pub parameters: u32,
    /// The source file it stands in.
    pub file: &'static str,
    /// The line it stands on.
    pub line: u32,
    /// How to run it.
    pub handler: Handler,
}

/// How to run a callback.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// It may block, so it runs on a thread for that.
    Sync(fn(&[u8]) -> Outcome),
    /// It runs as a task.
    Async(fn(Payload) -> BoxFuture<Outcome>),
}

/// Leads from a callback's name in the source to its description; `#[callback]` implements it.
pub trait Definition {
    /// The description.
    const CALLBACK: Callback;
}

inventory::collect!(Callback);

impl Callback {
    fn location(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    fn offer(&self) -> Offer {
        Offer {
            name: self.name.into(),
            signature: self.signature.into(),
            parameters: self.parameters,
            location: self.location(),
        }
    }
}

/// The callbacks of one node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_name: RwLock<BTreeMap<&'static str, Callback>>,
    /// By the numbers that the present controller gave.
    by_id: RwLock<HashMap<CallbackId, Callback>>,
}

impl Registry {
    /// All callbacks of the program that carry `#[callback]`.
    pub(crate) fn of_program() -> Vec<Callback> {
        inventory::iter::<Callback>().copied().collect()
    }

    /// Takes callbacks in; all or none.
    pub(crate) fn add(&self, callbacks: &[Callback]) -> Result<Vec<Offer>, JoinError> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = by_name.clone();
        for callback in callbacks {
            if let Some(first) = next.insert(callback.name, *callback) {
                return Err(JoinError::DuplicateCallback {
                    name: callback.name.into(),
                    first: first.location(),
                    second: callback.location(),
                });
            }
        }
        *by_name = next;
        Ok(callbacks.iter().map(Callback::offer).collect())
    }

    /// What the node offers.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().map(Callback::offer).collect()
    }

    /// Takes in the numbers that a controller gave. `anew` forgets those of the controller before.
    pub(crate) fn number(&self, offered: &[Offered], anew: bool) {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if anew {
            by_id.clear();
        }
        for Offered { id, offer } in offered {
            if let Some(callback) = by_name.get(offer.name.as_str()) {
                by_id.insert(*id, *callback);
            }
        }
    }

    /// The callback of this number.
    pub(crate) fn find(&self, id: CallbackId) -> Option<Callback> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }
}
