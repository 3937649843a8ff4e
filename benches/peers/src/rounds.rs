//! The order of things: round k runs every entry before round k + 1 begins.

use clap::Args;

use crate::{
    Result,
    figures::{Heading, Line, Run},
    system::{self, System},
};

/// How often to measure whom, and how to tell.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How often to measure each system
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Prints a line of JSON for each system instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Which systems to measure, with commas between them [default: all that can do this work]
    #[arg(long, value_delimiter = ',', value_parser = system::by_name)]
    pub(crate) systems: Option<Vec<&'static dyn System>>,
}

/// What takes part: a system at a work.
pub(crate) struct Entry {
    pub(crate) system: &'static dyn System,
    /// Its name in results, if it is not the system's: a system may take part twice.
    pub(crate) name: String,
    pub(crate) heading: Heading,
    /// One run, in fresh processes.
    pub(crate) run: Box<dyn Fn() -> Result<Run>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) lines: Vec<Line>,
    pub(crate) failures: Vec<Failure>,
}

/// A system that was not measured, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) work: &'static str,
    pub(crate) receivers: u32,
    pub(crate) system: String,
    pub(crate) error: String,
}

/// An entry that is in the race as long as nothing failed.
struct Contestant {
    entry: Entry,
    version: String,
    runs: Vec<Run>,
}

/// Measures. An entry that fails is out: figures of one that lost a call, or worked at times only, would be no figures.
pub(crate) fn run(rounds: u32, entries: Vec<Entry>) -> Measured {
    let mut measured = Measured::default();
    let mut contestants = Vec::new();
    for entry in entries {
        match entry.system.version() {
            Ok(version) => contestants.push(Contestant { entry, version, runs: Vec::new() }),
            Err(error) => measured.failed(&entry, &error.to_string()),
        }
    }
    for round in 1..=rounds {
        contestants.retain_mut(|contestant| contestant.go(round, &mut measured));
    }
    measured.lines = contestants.iter().map(Contestant::line).collect();
    measured
}

impl Contestant {
    /// One run; whether it went well.
    fn go(&mut self, round: u32, measured: &mut Measured) -> bool {
        let Entry { name, heading, .. } = &self.entry;
        let ran = (self.entry.run)();
        match ran {
            Ok(run) => {
                eprintln!("round {round}, {name}: {:.1} {} to {}", run.value, heading.unit, heading.receivers);
                self.runs.push(run);
                true
            }
            Err(error) => {
                measured.failed(&self.entry, &error.to_string());
                false
            }
        }
    }

    fn line(&self) -> Line {
        let Entry { system, name, heading, .. } = &self.entry;
        Line::new(heading, name.clone(), system.tls(), &self.version, &self.runs)
    }
}

impl Measured {
    /// The lines of each work, in the order in which they were measured.
    pub(crate) fn by_work(&self) -> Vec<(&'static str, Vec<&Line>)> {
        grouped(&self.lines, |line| line.work)
    }

    /// The lines of each work and number of receivers.
    pub(crate) fn by_heading(&self) -> Vec<((&'static str, u32), Vec<&Line>)> {
        grouped(&self.lines, |line| (line.work, line.receivers))
    }

    fn failed(&mut self, entry: &Entry, error: &str) {
        let Entry { name, heading: Heading { work, receivers, .. }, .. } = entry;
        eprintln!("{name} failed: {error}");
        self.failures.push(Failure { work, receivers: *receivers, system: name.clone(), error: error.to_owned() });
    }
}

/// What has the same key comes together, where the first of it was.
fn grouped<K: PartialEq>(lines: &[Line], key: impl Fn(&Line) -> K) -> Vec<(K, Vec<&Line>)> {
    let mut groups = Vec::<(K, Vec<&Line>)>::new();
    for line in lines {
        let key = key(line);
        match groups.iter_mut().find(|(group, _)| *group == key) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((key, vec![line])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    const HEADING: Heading = Heading {
        work: "calls",
        receivers: 1,
        count: 1,
        in_flight: None,
        unit: "us",
        meaning: "",
        parts: ["caller", "router", "responder"],
    };

    #[test]
    fn rounds_are_interleaved_and_what_fails_is_out() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let entry = |name: &'static str, fails_at: usize| {
            let order = order.clone();
            let run = move || {
                order.borrow_mut().push(name);
                let runs = order.borrow().iter().filter(|run| **run == name).count();
                if runs == fails_at { Err("it fell over".into()) } else { Ok(Run::default()) }
            };
            let system = system::by_name("raw-tcp").unwrap();
            Entry { system, name: name.to_owned(), heading: HEADING, run: Box::new(run) }
        };
        let measured = run(3, vec![entry("a", 0), entry("b", 2), entry("c", 0)]);
        assert_eq!(*order.borrow(), ["a", "b", "c", "a", "b", "c", "a", "c"]);
        assert_eq!(
            measured.lines.iter().map(|line| (line.system.as_str(), line.runs)).collect::<Vec<_>>(),
            [("a", 3), ("c", 3)]
        );
        assert_eq!(measured.by_work()[0].1.len(), 2);
        let [failure] = &measured.failures[..] else { panic!("one has failed") };
        assert_eq!((failure.system.as_str(), failure.error.as_str()), ("b", "it fell over"));
    }
}
