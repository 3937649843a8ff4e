//! What the producers' reports say, beside what the receivers saw: every item that was sent was delivered, dropped, or was on its way to
//! a receiver that was killed.

use std::collections::HashMap;

use serde::Serialize;

use super::talk::{Finished, Kind, Part, Report, Seen};

/// A stream may begin with a receiver that is dead already, until that is noticed; in milliseconds.
const UNNOTICED: u64 = 5_000;

/// The account of all streams that have ended, items summed up over receivers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ledger {
    pub(super) streams: u64,
    /// Streams that were refused at their beginning.
    pub(super) refused: u64,
    /// What each receiver was to get, of what it began with on.
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    /// On the way to a receiver that was killed, or never sent to it.
    pub(super) in_flight: u64,
    /// Items of lossless streams that a receiver which lived did not get.
    pub(super) lost: u64,
    pub(super) repeated: u64,
    #[serde(skip)]
    kills: HashMap<String, Vec<Kill>>,
    #[serde(skip)]
    pub(super) complaints: Vec<String>,
}

/// The death of a receiver, in milliseconds of the time of day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    /// When what it had seen began to be collected for the last time.
    pub(super) collected: u64,
    pub(super) when: u64,
}

impl Ledger {
    /// Notes that a receiver, by its name, was killed.
    pub(super) fn killed(&mut self, node: &str, kill: Kill) {
        self.kills.entry(node.to_owned()).or_default().push(kill);
    }

    /// Enters a stream that has ended. `seen` is what the receivers that live saw of it.
    pub(super) fn enter(&mut self, finished: &Finished, seen: &HashMap<String, Seen>) {
        self.streams += 1;
        let report = match &finished.outcome {
            Ok(report) => report,
            Err(broken) if broken.refused => return self.refused += 1,
            Err(broken) => return self.complain(finished, &broken.error),
        };
        for (node, seen) in seen {
            self.repeated += seen.repeated;
            if seen.repeated > 0 {
                self.complain(finished, &format!("{node} saw {} items again", seen.repeated));
            }
            if seen.items > 0 && !report.parts.iter().any(|part| part.node == *node) {
                self.complain(finished, &format!("{node} saw {} items and is not in the report", seen.items));
            }
        }
        for part in &report.parts {
            self.enter_part(finished, report.sent, part);
        }
        for (node, seen) in seen {
            self.compare(finished, report, node, *seen);
        }
    }

    fn enter_part(&mut self, finished: &Finished, sent: u64, part: &Part) {
        let Part { node, first, delivered, dropped, failed, refused } = part;
        let due = sent.saturating_sub(*first);
        let told = delivered + dropped;
        self.sent += due;
        self.delivered += delivered;
        self.dropped += dropped;
        self.in_flight += due.saturating_sub(told);
        if told > due || *first > sent {
            self.complain(finished, &format!("{node} has more than the {sent} that were sent: {part:?}"));
        }
        let may_miss = *refused || (failed.is_some() && self.was_killed(node, finished));
        if told < due && !may_miss {
            if finished.kind != Kind::Live {
                self.lost += due - told;
            }
            self.complain(finished, &format!("{node} lived and has {told} of {due}: {failed:?}"));
        }
        if finished.kind != Kind::Live && (*first > 0 || *dropped > 0) {
            self.complain(finished, &format!("{node} lacks items of a lossless stream: {part:?}"));
        }
    }

    /// Whether what a living receiver saw is what the report says of it.
    fn compare(&mut self, finished: &Finished, report: &Report, node: &str, seen: Seen) {
        let parts: Vec<_> = report.parts.iter().filter(|part| part.node == node).collect();
        let killed = self.was_killed(node, finished);
        // This process is the last of its name; what those before it saw died with them.
        let Some(last) = parts.last() else { return };
        if last.failed.is_some() || self.died_uncollected(node, finished) {
            return;
        }
        let told = if killed { last.delivered } else { parts.iter().map(|part| part.delivered).sum() };
        let missing = if finished.kind == Kind::Live { 0 } else { seen.missing };
        // Of one that was taken off and came back, only the least is known that it had before.
        let is_least = parts.len() > 1 && !killed;
        if seen.items < told || (seen.items > told && !is_least) || missing > 0 {
            if finished.kind != Kind::Live {
                self.lost += told.abs_diff(seen.items).max(missing);
            }
            self.complain(finished, &format!("{node} saw {seen:?}, and the report says {last:?}"));
        }
    }

    fn was_killed(&self, node: &str, finished: &Finished) -> bool {
        let during = finished.began.saturating_sub(UNNOTICED)..=finished.ended;
        self.kills_of(node).any(|kill| during.contains(&kill.when))
    }

    /// Whether a receiver that had come to the end of a stream was killed before it was asked what it saw.
    fn died_uncollected(&self, node: &str, finished: &Finished) -> bool {
        self.kills_of(node).any(|kill| (kill.collected..=kill.when).contains(&finished.ended))
    }

    fn kills_of(&self, node: &str) -> impl Iterator<Item = &Kill> {
        self.kills.get(node).into_iter().flatten()
    }

    fn complain(&mut self, Finished { kind, stream, .. }: &Finished, what: &str) {
        let complaint = format!("{kind:?} stream {stream}: {what}");
        eprintln!("soak: {complaint}");
        self.complaints.push(complaint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 100_000;

    fn finished(kind: Kind, sent: u64, parts: &[Part]) -> Finished {
        let outcome = Ok(Report { sent, parts: parts.to_vec() });
        Finished { kind, stream: 1, began: BEGAN, ended: BEGAN + 10, outcome }
    }

    fn part(first: u64, delivered: u64, dropped: u64, failed: Option<&str>) -> Part {
        Part { node: "a".into(), first, delivered, dropped, failed: failed.map(Into::into), refused: false }
    }

    fn saw(items: u64) -> HashMap<String, Seen> {
        HashMap::from([("a".into(), Seen { items, next: items, ..Seen::default() })])
    }

    #[test]
    fn what_adds_up_is_no_complaint() {
        let mut ledger = Ledger::default();
        ledger.enter(&finished(Kind::Steady, 10, &[part(0, 10, 0, None)]), &saw(10));
        ledger.enter(&finished(Kind::Live, 10, &[part(2, 5, 3, None)]), &saw(5));
        assert_eq!(ledger.complaints, Vec::<String>::new());
        assert_eq!((ledger.sent, ledger.delivered, ledger.dropped, ledger.in_flight), (18, 15, 3, 0));
    }

    #[test]
    fn an_item_that_a_living_receiver_lacks_is_lost() {
        for (part, seen) in [(part(0, 9, 0, None), 9), (part(0, 10, 0, None), 9), (part(0, 9, 0, Some("lost")), 9)] {
            let mut ledger = Ledger::default();
            ledger.enter(&finished(Kind::Steady, 10, &[part]), &saw(seen));
            assert_eq!((ledger.lost, ledger.complaints.len()), (1, 1));
        }
    }

    #[test]
    fn what_a_receiver_was_refused_is_not_lost() {
        let mut ledger = Ledger::default();
        let refused = Part { refused: true, ..part(0, 0, 0, Some("the controller is stopping")) };
        ledger.enter(&finished(Kind::Large, 3, &[refused]), &saw(0));
        assert_eq!((ledger.lost, ledger.in_flight), (0, 3));
        assert_eq!(ledger.complaints, Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_receiver_did_not_get_was_on_its_way() {
        let mut ledger = Ledger::default();
        ledger.killed("a", Kill { collected: BEGAN + 4, when: BEGAN + 5 });
        ledger.enter(&finished(Kind::Steady, 10, &[part(0, 9, 0, Some("lost"))]), &saw(0));
        assert_eq!((ledger.lost, ledger.in_flight), (0, 1));
        assert_eq!(ledger.complaints, Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_receiver_was_not_asked_for_died_with_it() {
        // The stream ends 10 ms after its beginning.
        for (collected, when, complaints) in [(9, 12, 0), (11, 12, 1)] {
            let mut ledger = Ledger::default();
            ledger.killed("a", Kill { collected: BEGAN + collected, when: BEGAN + when });
            ledger.enter(&finished(Kind::Large, 4, &[part(0, 4, 0, None)]), &saw(0));
            assert_eq!(ledger.complaints.len(), complaints, "{:?}", ledger.complaints);
        }
    }

    #[test]
    fn what_comes_twice_or_is_too_much_is_a_complaint() {
        let mut ledger = Ledger::default();
        let seen = HashMap::from([("a".into(), Seen { items: 10, next: 9, repeated: 1, ..Seen::default() })]);
        ledger.enter(&finished(Kind::Steady, 10, &[part(0, 10, 0, None)]), &seen);
        assert_eq!((ledger.repeated, ledger.complaints.len()), (1, 1));
        ledger.enter(&finished(Kind::Live, 10, &[part(0, 8, 3, None)]), &saw(8));
        assert_eq!(ledger.complaints.len(), 2);
    }
}
