//! What the controller's rules forbid in a run, and since when.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;

use crate::plan::Place;

/// What rules speak of: what is called, and what streams go to.
const CALLED: [&str; 2] = ["work", "count"];
const STREAMED: [&str; 3] = ["take", "weigh", "swallow"];

/// Which node may not call, or not send streams to, which callback. All else is allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forbidden(Vec<(Place, &'static str)>);

impl Forbidden {
    /// Some of all that there is.
    pub(crate) fn some(rng: &mut Rng, nodes: usize) -> Self {
        let all = (0..nodes).flat_map(|place| CALLED.iter().chain(&STREAMED).map(move |callback| (place, *callback)));
        Self(all.filter(|_| rng.u8(0..5) == 0).collect())
    }

    /// The rules in a config file that forbid just that to so many nodes.
    pub(crate) fn config(&self, nodes: usize) -> String {
        let mut text = String::new();
        if self.0.is_empty() {
            return text;
        }
        for place in 0..nodes {
            let allowed = |of: &[&'static str]| -> Vec<_> {
                of.iter().copied().filter(|callback| !self.contains(place, callback)).collect()
            };
            let (call, stream) = (allowed(&CALLED), allowed(&STREAMED));
            writeln!(text, "[[rule]]\nnodes = 'n{place}'\noffer = '*'\ncall = {call:?}\nstream = {stream:?}")
                .expect("a String takes all");
        }
        text
    }

    fn contains(&self, place: Place, callback: &'static str) -> bool {
        self.0.contains(&(place, callback))
    }
}

/// What was forbidden when. Clones are the same.
#[derive(Clone)]
pub(crate) struct History(Arc<Mutex<Vec<(Duration, Forbidden)>>>);

/// Whether something was allowed during some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Forbidden,
    /// Not all of the time.
    Changing,
}

impl History {
    pub(crate) fn new(first: Forbidden) -> Self {
        Self(Arc::new(Mutex::new(vec![(Duration::ZERO, first)])))
    }

    pub(crate) fn change(&self, now: Duration, to: Forbidden) {
        self.0.lock().unwrap().push((now, to));
    }

    /// Since when a node is not allowed this, if it is not now.
    pub(crate) fn forbidden_since(&self, place: Place, callback: &'static str) -> Option<Duration> {
        let history = self.0.lock().unwrap();
        let last = history.iter().rev().take_while(|(_, forbidden)| forbidden.contains(place, callback)).last();
        last.map(|(since, _)| *since)
    }

    /// Whether a node was allowed this all the time since then.
    pub(crate) fn since(&self, then: Duration, place: Place, callback: &'static str) -> Verdict {
        let history = self.0.lock().unwrap();
        // What was changed in that very moment counts as before and after.
        let before = history.iter().rposition(|(at, _)| *at < then).unwrap_or_default();
        let mut held = history[before..].iter().map(|(_, forbidden)| forbidden.contains(place, callback));
        match (held.clone().any(|it| it), held.all(|it| it)) {
            (_, true) => Verdict::Forbidden,
            (true, false) => Verdict::Changing,
            (false, false) => Verdict::Allowed,
        }
    }
}
