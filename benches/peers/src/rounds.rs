//! The order of things: round k runs every system before round k + 1 begins.

use std::process::ExitCode;

use clap::Args;

use crate::{
    Result,
    report::{self, Heading, Line, Run},
    system::{self, System},
};

/// How often to measure whom, and how to tell.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often to measure each system
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Prints a line of JSON for each system instead of a table
    #[arg(long)]
    json: bool,
    /// Which systems to measure, with commas between them [default: all]
    #[arg(long, value_delimiter = ',', value_parser = system::by_name)]
    systems: Option<Vec<&'static dyn System>>,
}

/// A system that is in the race as long as nothing failed.
struct Contestant {
    system: &'static dyn System,
    version: String,
    runs: Vec<Run>,
}

/// Measures, with `run` for one run of one system, and prints. A system that fails is out: figures of one that lost a call, or
/// worked at times only, would be no figures.
pub(crate) fn run(options: &Options, heading: Heading, run: impl Fn(&'static dyn System) -> Result<Run>) -> ExitCode {
    let systems = options.systems.clone().unwrap_or_else(|| system::ALL.to_vec());
    let asked = systems.len();
    let mut contestants: Vec<_> = systems.into_iter().filter_map(Contestant::enter).collect();
    for round in 1..=options.runs {
        contestants.retain_mut(|contestant| contestant.go(round, &heading, &run));
    }
    let failed = contestants.len() < asked;
    let lines: Vec<_> = contestants.iter().map(|contestant| contestant.line(&heading)).collect();
    if options.json {
        report::json(&lines);
    } else {
        report::table(&heading, &lines);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Contestant {
    fn enter(system: &'static dyn System) -> Option<Self> {
        let version = succeeded(system, system.version())?;
        Some(Self { system, version, runs: Vec::new() })
    }

    /// One run; whether it went well.
    fn go(&mut self, round: u32, heading: &Heading, run: impl Fn(&'static dyn System) -> Result<Run>) -> bool {
        let Some(run) = succeeded(self.system, run(self.system)) else { return false };
        eprintln!("round {round}, {}: {:.1} {}", self.system.name(), run.value, heading.unit);
        self.runs.push(run);
        true
    }

    fn line(&self, heading: &Heading) -> Line {
        Line::new(heading, self.system, &self.version, &self.runs)
    }
}

fn succeeded<T>(system: &dyn System, result: Result<T>) -> Option<T> {
    result.inspect_err(|error| eprintln!("{} failed: {error}", system.name())).ok()
}
