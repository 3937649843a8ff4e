//! Who is let in, and who may do what: the join tokens and the rules as they are now, shared by all sessions.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use daffi_core::{
    transport::{JoinToken, Tokens},
    wire::{CallbackId, NodeId, failure::Right, limits::MAX_CALLBACKS},
};
use tokio::sync::watch;

use crate::rules::Rules;

/// Tokens and rules, which may change while a controller runs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tokens: RwLock<Tokens>,
    rules: RwLock<Arc<Rules>>,
    /// How often the rules have changed: looked at for every call, so that they hold from the moment on at which they change.
    changes: AtomicU64,
    /// The same, for those who wait for a change.
    changed: watch::Sender<u64>,
}

impl From<JoinToken> for Access {
    /// Without rules.
    fn from(token: JoinToken) -> Self {
        Self::new(token.into(), Rules::default())
    }
}

impl Access {
    /// Lets nodes in that have one of these tokens, and lets them do what these rules say.
    pub fn new(tokens: Tokens, rules: Rules) -> Self {
        let (tokens, rules) = (RwLock::new(tokens), RwLock::new(Arc::new(rules)));
        Self(Arc::new(Shared { tokens, rules, changes: AtomicU64::new(0), changed: watch::Sender::new(0) }))
    }

    /// Other tokens, for nodes that join from now on, and other rules, for everybody.
    pub fn replace(&self, tokens: Tokens, rules: Rules) {
        *self.0.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        let changes = self.0.changes.fetch_add(1, Ordering::Release) + 1;
        self.0.changed.send_replace(changes);
    }

    /// The present token, for new nodes.
    pub fn token(&self) -> JoinToken {
        self.0.tokens.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Whether a node knows the secret of a token that is valid now.
    pub(crate) fn admits(&self, secret: &[u8]) -> bool {
        self.0.tokens.read().unwrap_or_else(PoisonError::into_inner).admits(secret, SystemTime::now())
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of each change of the rules from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}

/// How many verdicts are kept of a node, before they are found anew: as many callbacks as one node offers at most, so that who calls
/// callbacks that come and go does not fill the memory.
const KEPT: usize = MAX_CALLBACKS;

/// What the rules say of each node and callback, once they were asked: so names are not matched with globs for each call.
#[derive(Debug)]
pub(crate) struct Verdicts {
    access: Access,
    rules: Arc<Rules>,
    changes: u64,
    /// How many numbers of callbacks were forgotten until then: what was said of one is not to hold for whoever has it next.
    forgotten: u64,
    known: HashMap<NodeId, HashMap<(CallbackId, Right), bool>>,
}

impl Verdicts {
    pub(crate) fn new(access: Access) -> Self {
        // In this order: rules that change between the two are looked up again.
        let changes = access.0.changes.load(Ordering::Acquire);
        let rules = access.rules();
        Self { access, rules, changes, forgotten: 0, known: HashMap::new() }
    }

    /// The same for the rules as they are now, when so many numbers of callbacks have been forgotten.
    pub(crate) fn for_now(&mut self, forgotten: u64) -> &mut Self {
        if self.access.0.changes.load(Ordering::Acquire) != self.changes {
            *self = Self::new(self.access.clone());
        }
        if self.forgotten != forgotten {
            self.known.clear();
            self.forgotten = forgotten;
        }
        self
    }

    /// Whether a node may do this with a callback; `names` tells both names if they have to be looked at.
    pub(crate) fn allow<'a>(
        &mut self,
        node: NodeId,
        right: Right,
        callback: CallbackId,
        names: impl FnOnce() -> Option<(&'a str, &'a str)>,
    ) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        let known = self.known.get(&node).and_then(|known| known.get(&(callback, right)));
        if let Some(verdict) = known {
            return *verdict;
        }
        // Of whoever has left nothing is kept.
        let Some((name, callback_name)) = names() else { return false };
        let verdict = self.rules.allow(name, right, callback_name);
        let known = self.known.entry(node).or_default();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert((callback, right), verdict);
        verdict
    }

    /// Forgets a node that has left.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.known.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rules::{Globs, Rule};

    fn rules(nodes: &str) -> Rules {
        [Rule::of_nodes(Globs::new([nodes]).unwrap()).call(Globs::new(["*"]).unwrap())].into_iter().collect()
    }

    fn token() -> JoinToken {
        JoinToken::generate([7; 32])
    }

    #[test]
    fn names_are_looked_at_once_for_each_set_of_rules() {
        let access = Access::new(token().into(), rules("a"));
        let mut verdicts = Verdicts::new(access.clone());
        assert!(verdicts.allow(1, Right::Call, 0, || Some(("a", "x"))));
        assert!(verdicts.allow(1, Right::Call, 0, || panic!("it is known")));
        assert!(!verdicts.allow(1, Right::Offer, 0, || Some(("a", "x"))));
        access.replace(token().into(), rules("b"));
        assert!(!verdicts.for_now(0).allow(1, Right::Call, 0, || Some(("a", "x"))));
        assert!(!verdicts.allow(2, Right::Call, 0, || None));
        verdicts.forget(1);
        assert!(verdicts.known.is_empty());
    }

    #[test]
    fn callbacks_that_come_and_go_leave_no_verdicts_behind() {
        let mut verdicts = Verdicts::new(Access::new(token().into(), rules("a")));
        for callback in 0..100_000 {
            assert!(verdicts.allow(1, Right::Call, callback, || Some(("a", "job"))));
        }
        assert!(verdicts.known[&1].len() <= KEPT);
    }

    #[test]
    fn a_number_that_was_forgotten_is_judged_anew() {
        let open = [Rule::of_nodes(Globs::new(["a"]).unwrap()).call(Globs::new(["open"]).unwrap())];
        let mut verdicts = Verdicts::new(Access::new(token().into(), open.into_iter().collect()));
        assert!(verdicts.for_now(0).allow(1, Right::Call, 7, || Some(("a", "open"))));
        assert!(!verdicts.for_now(1).allow(1, Right::Call, 7, || Some(("a", "shut"))));
    }

    #[test]
    fn without_rules_nothing_is_looked_at_or_kept() {
        let mut verdicts = Verdicts::new(token().into());
        assert!(verdicts.allow(1, Right::Call, 0, || panic!("there are no rules")));
        assert!(verdicts.known.is_empty());
    }

    #[tokio::test]
    async fn a_change_is_told() {
        let (first, second) = (token(), token());
        let access = Access::from(first.clone());
        let mut changes = access.changes();
        access.replace(second.clone().into(), rules("a"));
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        assert!(access.admits(second.secret()) && !access.admits(first.secret()));
        assert_eq!(access.token(), second);
    }
}
