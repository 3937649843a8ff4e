//! What the controller allows, and how much: limits for the whole run, and rules that change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arbitrary::Arbitrary;
use daffi_controller::{Access, Globs, Limits, Rule, Rules};
use daffi_core::wire::{
    failure::Right,
    limits::{MAX_CALLBACKS, MAX_LANE_BACKLOG},
};

use crate::TOKEN;

/// How many callbacks each of the two nodes offers.
const OFFERED: usize = 6;

/// The least bytes a second: with them all that a run sends takes a minute at most.
const LEAST_RATE: u64 = 512 << 10;

const NODES: [&str; 7] = ["*", "a", "b", "{a,b}", "[!ab]*", "mallory", "?"];
const CALLBACKS: [&str; 8] = ["*", "double", "{take,sum}", "echo", "[!d]*", "never", "count", "s?m"];

/// Which limits are set, and how low.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct SomeLimits {
    nodes: Option<u8>,
    callbacks_per_node: Option<u8>,
    streams_per_node: Option<u8>,
    calls_per_node: Option<u8>,
    message_kilobytes: Option<u8>,
    item_size: Option<u8>,
    lowest_backlog: bool,
    handshake_millis: Option<u8>,
    handshakes: Option<u8>,
    rate: Option<u8>,
}

impl SomeLimits {
    /// None is so low that the two nodes cannot join, or that an item of theirs is too large.
    pub(crate) fn into_limits(self) -> Limits {
        let mut limits = Limits::default();
        limits.nodes = self.nodes.map_or(limits.nodes, |nodes| 2 + usize::from(nodes % 4));
        limits.callbacks_per_node =
            self.callbacks_per_node.map_or(MAX_CALLBACKS, |more| OFFERED + usize::from(more % 4));
        limits.streams_per_node = self.streams_per_node.map(|streams| 1 + u32::from(streams % 4));
        limits.calls_per_node = self.calls_per_node.map_or(limits.calls_per_node, |calls| 1 + usize::from(calls % 8));
        limits.message_size = self.message_kilobytes.map_or(limits.message_size, |size| (1 + u64::from(size)) << 10);
        limits.item_size = self.item_size.map_or(limits.item_size, |size| 16 + u64::from(size));
        if self.lowest_backlog {
            limits.backlog_per_node = MAX_LANE_BACKLOG as u64 + limits.message_size;
        }
        limits.handshake_time = self
            .handshake_millis
            .map_or(limits.handshake_time, |millis| std::time::Duration::from_millis(1 + u64::from(millis)));
        limits.handshakes = self.handshakes.map_or(limits.handshakes, |handshakes| 2 + usize::from(handshakes % 4));
        limits.bytes_per_second_per_node = self.rate.map(|rate| LEAST_RATE << (rate % 8));
        assert_eq!(limits.check(), Ok(()));
        limits
    }
}

/// A rule: some nodes, and what they may do; nothing stands for no callback.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct SomeRule {
    nodes: u8,
    call: Option<u8>,
    offer: Option<u8>,
    stream: Option<u8>,
}

impl SomeRule {
    fn into_rule(self) -> Rule {
        let some = |of: &[&'static str], which: Option<u8>| {
            let chosen = which.map(|which| of[usize::from(which) % of.len()]);
            Globs::new(chosen).expect("they are globs")
        };
        let callbacks = |which| some(&CALLBACKS, which);
        let rule = Rule::of_nodes(some(&NODES, Some(self.nodes)));
        rule.call(callbacks(self.call)).offer(callbacks(self.offer)).stream(callbacks(self.stream))
    }
}

/// The limits that the two nodes may meet, and all rules that have held so far. Clones are the same.
#[derive(Clone)]
pub(crate) struct Law {
    access: Access,
    rules: Arc<Mutex<Vec<Rules>>>,
    limits: Arc<Limits>,
}

/// Since when something runs, in rules that have held.
#[derive(Clone, Copy)]
pub(crate) struct Since(usize);

impl Law {
    /// Without rules.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (access, rules) = (Access::from(TOKEN.clone()), Arc::new(Mutex::new(vec![Rules::default()])));
        Self { access, rules, limits: Arc::new(limits.clone()) }
    }

    pub(crate) fn access(&self) -> Access {
        self.access.clone()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other rules hold from now on.
    pub(crate) fn replace(&self, rules: Vec<SomeRule>) {
        let rules: Rules = rules.into_iter().take(4).map(SomeRule::into_rule).collect();
        self.held().push(rules.clone());
        self.access.replace(TOKEN.clone().into(), rules);
    }

    pub(crate) fn now(&self) -> Since {
        Since(self.held().len() - 1)
    }

    /// Whether a node had a right with a callback of another at some time since then.
    pub(crate) fn allowed(&self, since: Since, right: Right, [caller, node, callback]: [&str; 3]) -> bool {
        let may = |rules: &Rules| rules.allow(caller, right, callback) && rules.allow(node, Right::Offer, callback);
        self.held()[since.0..].iter().any(may)
    }

    /// Whether a node lacked a right at some time since then.
    pub(crate) fn lacked(&self, since: Since, node: &str, right: Right, callback: &str) -> bool {
        self.held()[since.0..].iter().any(|rules| !rules.allow(node, right, callback))
    }

    fn held(&self) -> MutexGuard<'_, Vec<Rules>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
