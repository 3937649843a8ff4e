//! What is told at the end.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    ledger::Ledger,
    load::Measures,
    talk::{Ran, Tally},
    vitals::{Growth, Vitals},
};
use crate::report::rounded;

/// All that is known.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) seconds: f64,
    pub(super) seed: u64,
    pub(super) faults: u64,
    pub(super) ledger: Ledger,
    pub(super) calls: Tally,
    pub(super) ran: Ran,
    pub(super) measures: Measures,
    pub(super) vitals: Vitals,
}

/// What it comes to. [`fmt::Display`] is for people, [`Serialize`] for programs.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Whether every item and every call is accounted for.
    accounted: bool,
    lost: u64,
    faults: u64,
    seconds: f64,
    calls: u64,
    /// Items that receivers finished, those of streams of results included.
    items: u64,
    /// Items and calls that came twice.
    repeated: u64,
    resume_ms: Times,
    notice_ms: Times,
    rejoin_ms: Times,
    memory: Memory,
    descriptors: Descriptors,
    cpu_seconds: BTreeMap<String, f64>,
    streams: Ledger,
    answered: u64,
    failed: BTreeMap<String, u64>,
    seed: u64,
    complaints: Vec<String>,
    verdict: &'static str,
}

#[derive(Debug, Serialize)]
struct Times {
    median: u64,
    max: u64,
    count: usize,
}

/// Of processes that were there for long enough; the most that one grew by.
#[derive(Debug, Serialize)]
struct Memory {
    ok: bool,
    grew_mib: f64,
    processes: Vec<Growth>,
}

#[derive(Debug, Serialize)]
struct Descriptors {
    ok: bool,
    more: usize,
}

impl Verdict {
    pub(super) fn of(account: Account) -> Self {
        let Account { seconds, seed, faults, ledger, calls, ran, measures, vitals } = account;
        let mut ledger = ledger;
        let mut complaints = std::mem::take(&mut ledger.complaints);
        complaints.extend(about_calls(&calls, ran));
        let accounted = complaints.is_empty();
        let processes = vitals.growth();
        let growing: Vec<_> = processes.iter().filter_map(Growth::complaint).collect();
        let memory_ok = !processes.iter().any(Growth::grew_too_much);
        let descriptors_ok = !processes.iter().any(Growth::opened_too_many);
        complaints.extend(growing);
        let repeated = ledger.repeated + ran.repeated;
        Self {
            accounted,
            lost: ledger.lost,
            faults,
            seconds: rounded(seconds, 1),
            calls: calls.made,
            items: ledger.delivered + calls.results,
            repeated,
            resume_ms: Times::of(measures.resume),
            notice_ms: Times::of(measures.notice),
            rejoin_ms: Times::of(measures.rejoin),
            memory: Memory {
                ok: memory_ok,
                grew_mib: processes.iter().map(Growth::grew_mib).fold(0.0, f64::max),
                processes: processes.clone(),
            },
            descriptors: Descriptors {
                ok: descriptors_ok,
                more: processes.iter().map(Growth::more_descriptors).max().unwrap_or_default(),
            },
            cpu_seconds: vitals.cpu_seconds(),
            streams: ledger,
            answered: calls.answered,
            failed: calls.errors,
            seed,
            verdict: if complaints.is_empty() { "ok" } else { "not ok" },
            complaints,
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.complaints.is_empty()
    }
}

/// What is wrong with the calls, in words.
fn about_calls(calls: &Tally, ran: Ran) -> Vec<String> {
    let Tally { made, answered, overdue, wrong, once_made, once_answered, .. } = calls;
    let Ran { ran, repeated } = ran;
    let wrongs = [
        (*made != answered + calls.failed() + overdue, format!("of {made} calls not all have an end: {calls:?}")),
        (*overdue > 0, format!("{overdue} calls did not end by their deadline")),
        (*wrong > 0, format!("{wrong} results were not what they should be")),
        (repeated > 0, format!("{repeated} calls ran twice")),
        (
            ran < *once_answered || ran > *once_made,
            format!("{ran} calls ran, of {once_made} that were made and {once_answered} that were answered"),
        ),
    ];
    wrongs.into_iter().filter_map(|(is_wrong, what)| is_wrong.then_some(what)).collect()
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let millis =
            |time: Option<&Duration>| time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self { median: millis(times.get(times.len() / 2)), max: millis(times.last()), count: times.len() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, faults, seconds, calls, items, repeated, streams, answered, failed, .. } = self;
        let Ledger { streams: ended, refused, sent, delivered, dropped, in_flight, .. } = streams;
        writeln!(f, "soak: {seconds} s, {faults} faults, {ended} streams ({refused} refused), {items} items")?;
        writeln!(
            f,
            "soak: sent {sent} = delivered {delivered} + dropped {dropped} + in flight to who was killed {in_flight}; lost {lost}, \
             repeated {repeated}"
        )?;
        writeln!(f, "soak: {calls} calls, {answered} answered, failed: {failed:?}")?;
        for (what, times) in [
            ("from the controller's restart to the next item", &self.resume_ms),
            ("to notice a killed node", &self.notice_ms),
            ("from a receiver's restart to the live stream", &self.rejoin_ms),
        ] {
            writeln!(f, "soak: {what}: {} ms, at most {} ms ({} times)", times.median, times.max, times.count)?;
        }
        writeln!(
            f,
            "soak: memory grew by at most {} MiB, descriptors by {}, in {} processes that were there long enough",
            self.memory.grew_mib,
            self.descriptors.more,
            self.memory.processes.len()
        )?;
        for complaint in &self.complaints {
            writeln!(f, "soak: COMPLAINT: {complaint}")?;
        }
        write!(f, "soak: {}", self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Tally {
        let errors = BTreeMap::from([("ControllerLost".into(), 2)]);
        Tally { made: 10, answered: 8, errors, once_made: 6, once_answered: 5, ..Tally::default() }
    }

    #[test]
    fn calls_that_add_up_are_no_complaint() {
        assert_eq!(about_calls(&calls(), Ran { ran: 6, repeated: 0 }), Vec::<String>::new());
    }

    #[test]
    fn calls_without_an_end_or_with_two_are_complaints() {
        let complaints = |calls: Tally, ran, repeated| about_calls(&calls, Ran { ran, repeated }).len();
        assert_eq!(complaints(Tally { made: 11, ..calls() }, 6, 0), 1);
        assert_eq!(complaints(Tally { answered: 7, overdue: 1, ..calls() }, 6, 0), 1);
        assert_eq!(complaints(Tally { wrong: 1, ..calls() }, 6, 0), 1);
        assert_eq!(complaints(calls(), 6, 1), 1);
        assert_eq!(complaints(calls(), 4, 0), 1);
        assert_eq!(complaints(calls(), 7, 0), 1);
    }
}
