//! `report`: all works in one run, and what came of it in docs/benchmarks.md. What stands outside the markers is written by people
//! and stays.

mod conditions;
mod goals;
mod markdown;
mod markers;
mod numbers;
mod plot;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use self::conditions::Conditions;
use crate::{
    Result,
    rounds::{self, Entry, Measured},
    work::{
        calls,
        stream::{self, Kind},
    },
};

/// What a brief run divides the number of items by.
const BRIEF: u32 = 20;

/// How often to measure, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often to measure each system at each work; one time takes some ten minutes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The document with the markers. The plots go to a directory beside it that has its name
    #[arg(long, default_value = "docs/benchmarks.md")]
    document: PathBuf,
    /// Does a twentieth of the work, to see whether all of it can be done. The document says so: such figures mean little
    #[arg(long)]
    brief: bool,
}

/// Measures everything and writes the document. It is a failure if a system failed; the document tells of it.
///
/// # Errors
///
/// If there is no such document, or it has no place for the figures; that is found before anything is measured.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { runs, document, brief } = options;
    let text = fs::read_to_string(document).map_err(|error| {
        format!(
            "could not read {}: {error}; run this at the root of the repository, or name the document",
            document.display()
        )
    })?;
    markers::replace(&text, "").map_err(|error| format!("{}: {error}", document.display()))?;
    let conditions = Conditions::now(*runs, *brief);
    let measured = rounds::run(*runs, entries(*brief)?);
    write(document, &conditions, &measured)?;
    Ok(if measured.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that takes part in anything, in one order: a round takes all works.
fn entries(brief: bool) -> Result<Vec<Entry>> {
    let options = rounds::Options { runs: 1, json: false, systems: None };
    let count = |count: u32| if brief { count / BRIEF } else { count };
    let mut entries = Vec::new();
    for kind in Kind::ALL {
        entries.extend(stream::entries(kind, count, None, &options)?);
    }
    for work in [calls::SEQUENTIAL, calls::IN_FLIGHT_64] {
        entries.extend(work.entries(count, &options)?);
    }
    Ok(entries)
}

fn write(document: &Path, conditions: &Conditions, measured: &Measured) -> Result<()> {
    let plots = document.with_extension("");
    fs::create_dir_all(&plots)?;
    for (work, lines) in measured.by_work() {
        fs::write(plots.join(format!("{work}.svg")), plot::of(work, &lines)?)?;
    }
    let directory = plots.file_name().unwrap_or_default().to_string_lossy();
    // Read once more: to measure takes long, and somebody may have written in it.
    let text = fs::read_to_string(document)?;
    let text = markers::replace(&text, &markdown::of(conditions, measured, &directory))?;
    Ok(fs::write(document, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Cpu, Heading, Line, Run};

    #[test]
    fn the_document_gets_figures_and_plots_and_keeps_its_words() {
        let heading = Heading {
            work: "tiny",
            receivers: 1,
            count: 10,
            in_flight: None,
            unit: "items/s",
            meaning: "items a second",
            parts: ["sender", "router", "receivers"],
        };
        let line = |system: &str, value| {
            let run = Run { value, lost: Some(0), cpu: Cpu([1e-6, 2e-6, 3e-6]), ..Run::default() };
            Line::new(&heading, system.into(), true, "daffi 1", &[run])
        };
        let lines = vec![line("daffi", 3_000_000.0), line("raw-tcp", 9_000_000.0)];
        let measured = Measured { lines, failures: Vec::new() };
        let dir = tempfile::tempdir().unwrap();
        let document = dir.path().join("figures.md");
        fs::write(&document, format!("# Mine\n\n{}\nobsolete\n{}\n\nMine too\n", markers::BEGIN, markers::END))
            .unwrap();
        write(&document, &Conditions::now(1, true), &measured).unwrap();
        let text = fs::read_to_string(&document).unwrap();
        assert!(
            text.starts_with("# Mine\n\n") && text.ends_with("\n\nMine too\n") && !text.contains("obsolete"),
            "{text}"
        );
        assert!(text.contains("(figures/tiny.svg)") && text.contains("3.00 million"), "{text}");
        let plot = fs::read_to_string(dir.path().join("figures/tiny.svg")).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("raw-tcp"), "{plot}");
    }

    #[test]
    fn a_round_takes_all_works() {
        let mut works: Vec<_> = entries(true).unwrap().iter().map(|entry| entry.heading.work).collect();
        works.dedup();
        assert_eq!(works, ["tiny", "frames", "big-frames", "live", "slow-receiver", "calls", "calls-64"]);
    }
}
