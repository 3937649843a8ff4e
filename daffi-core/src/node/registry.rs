//! The callbacks that a node offers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    callback::{Callback, CallbackOptions, Handler, Service, State},
    error::JoinError,
    limit::Limiter,
};
use crate::wire::{CallbackId, control::Offered, limits::MAX_CALLBACKS, name, offer::Offer};

/// A callback that this node offers: what the macro says of it, under which name, and on what value it is called.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) limiter: Option<Limiter>,
    callback: Callback,
}

impl Registered {
    fn new(name: String, callback: Callback, state: State) -> Arc<Self> {
        let limiter = callback.options.limit.map(|(running, waiting)| Limiter::new(running, waiting));
        Arc::new(Self { name, state, limiter, callback })
    }

    pub(crate) const fn handler(&self) -> Handler {
        self.callback.handler
    }

    pub(crate) const fn options(&self) -> CallbackOptions {
        self.callback.options
    }

    /// The signature as written, for people.
    pub(crate) const fn signature(&self) -> &'static str {
        self.callback.signature.text
    }

    fn offer(&self) -> Offer {
        self.callback.offer(&self.name)
    }
}

/// Free functions, or the methods of one value, that a node is to offer.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    callbacks: Vec<Callback>,
    state: State,
    /// What stands before each name, with a dot.
    under: Option<String>,
}

impl Served {
    /// All callbacks of the program that carry `#[callback]`.
    pub(crate) fn of_program() -> Self {
        Self::functions(inventory::iter::<Callback>().copied())
    }

    pub(crate) fn functions(callbacks: impl IntoIterator<Item = Callback>) -> Self {
        Self { callbacks: callbacks.into_iter().collect(), state: State::default(), under: None }
    }

    pub(crate) fn value<S: Service>(value: S, under: Option<String>) -> Self {
        Self { callbacks: S::CALLBACKS.to_vec(), state: value.into_state(), under }
    }

    fn registered(&self) -> impl Iterator<Item = Arc<Registered>> {
        self.callbacks.iter().map(|callback| {
            let name = match &self.under {
                Some(under) => format!("{under}.{}", callback.name),
                None => callback.name.to_owned(),
            };
            Registered::new(name, *callback, self.state.clone())
        })
    }
}

/// The callbacks of one node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_name: RwLock<BTreeMap<String, Arc<Registered>>>,
    /// By the numbers that the present controller gave.
    by_id: RwLock<HashMap<CallbackId, Arc<Registered>>>,
}

impl Registry {
    /// Takes callbacks in, up to so many in all; all or none.
    pub(crate) fn add(&self, served: &Served, limit: usize) -> Result<Vec<Offer>, JoinError> {
        let limit = limit.min(MAX_CALLBACKS);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = by_name.clone();
        let mut offers = Vec::new();
        for registered in served.registered() {
            let name = &registered.name;
            name::check(name).map_err(|source| JoinError::InvalidCallbackName {
                name: name.clone(),
                location: registered.callback.location(),
                source,
            })?;
            if let Some(first) = next.get(name) {
                return Err(JoinError::DuplicateCallback {
                    name: name.clone(),
                    first: first.callback.location(),
                    second: registered.callback.location(),
                });
            }
            offers.push(registered.offer());
            next.insert(name.clone(), registered);
        }
        // Those that were there before a lower limit came stay.
        if next.len() > limit && !offers.is_empty() {
            return Err(JoinError::TooManyCallbacks { count: next.len(), limit });
        }
        *by_name = next;
        Ok(offers)
    }

    /// Takes callbacks out that the controller does not let the node offer.
    pub(crate) fn forget(&self, names: &[String]) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.retain(|name, _| !names.contains(name));
    }

    /// What the node offers.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().map(|registered| registered.offer()).collect()
    }

    /// Takes in the numbers that a controller gave. `anew` forgets those of the controller before.
    pub(crate) fn number(&self, offered: &[Offered], anew: bool) {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if anew {
            by_id.clear();
        }
        for Offered { id, offer } in offered {
            if let Some(registered) = by_name.get(offer.name.as_str()) {
                by_id.insert(*id, registered.clone());
            }
        }
    }

    /// The callback of this number.
    pub(crate) fn find(&self, id: CallbackId) -> Option<Arc<Registered>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}
