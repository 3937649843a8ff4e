//! `daffi-peers`: daffi beside its peers. Each system does the same work through a router, each part in a process of its own: round
//! k runs every system before round k + 1 begins, so that what else the machine does falls on all of them.
//!
//! - `rounds`: the order of things, and what becomes of a system that fails.
//! - `topology`: the processes of one run, and what they cost.
//! - `process`: one of them, as the program sees it; `role`: as it sees itself.
//! - `work`: what is measured: calls and streams. A work makes the [`rounds::Entry`]s of those that take part.
//! - `system`: who is measured, one room for each, and the traits that they are.
//! - `figures`: what comes of it, by `statistics`; `print`: how it is told.
//! - `report`: all works at once, for docs/benchmarks.md.
//!
//! It reads the CPU clocks of other processes and ties them to itself by a death signal, so it runs on Linux.

mod clock;
mod figures;
mod print;
mod process;
mod report;
mod role;
mod rounds;
mod statistics;
mod system;
mod topology;
mod work;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::{
    rounds::{Entry, Options},
    work::{
        calls,
        stream::{self, Kind},
    },
};

/// Where it goes wrong, the system is out: nobody tells the errors apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures daffi and its peers at the same work, in turn; router and all ends are processes of their own, over loopback.
///
/// CPU seconds are those of all processes between the order to begin and the report that all is done. The exit status is not zero
/// if a system failed; the others are measured nevertheless.
#[derive(Debug, Parser)]
#[command(name = "daffi-peers", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Echoes 16 bytes, one call after the other: the p50 of a call
    Calls(CallOptions),
    /// Echoes 16 bytes, 64 calls in flight from one caller: calls per second
    #[command(name = "calls-64")]
    Calls64(CallOptions),
    /// Streams items of 64 bytes, to one receiver and to two: items per second
    Tiny(StreamOptions),
    /// Streams frames of 172,800 bytes, to one receiver and to two: MiB per second
    Frames(StreamOptions),
    /// Streams frames of 1 MiB, to one receiver and to two: MiB per second
    BigFrames(StreamOptions),
    /// Streams frames of 172,800 bytes at 60 a second to two receivers: how old they are when they come
    Live(StreamOptions),
    /// Streams frames of 256 KiB at 60 a second to three receivers, of which one reads 2 MB a second, and to the two others alone:
    /// how old they are when they come to those two
    SlowReceiver(StreamOptions),
    /// Measures everything and writes the measured part of docs/benchmarks.md, and a plot of each work
    Report(report::Options),
    /// Installs daffi 3 for Python into a directory of its own in the user's cache, where the system daffi-3 looks for it
    #[command(name = "install-daffi-3")]
    InstallDaffi3,
    /// What the program starts itself as
    #[command(hide = true)]
    Role(role::Role),
}

#[derive(Debug, Args)]
struct CallOptions {
    /// How many calls a run has [default: 20000, with 64 in flight 64000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    #[command(flatten)]
    rounds: Options,
}

#[derive(Debug, Args)]
struct StreamOptions {
    /// How many items a run has [default: some seconds' work of each system]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// How many processes take the stream [default: those of the work, one after the other]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=32))]
    receivers: Option<u32>,
    #[command(flatten)]
    rounds: Options,
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Calls(options) => calls(calls::SEQUENTIAL, &options),
        Command::Calls64(options) => calls(calls::IN_FLIGHT_64, &options),
        Command::Tiny(options) => stream(Kind::Tiny, &options),
        Command::Frames(options) => stream(Kind::Frames, &options),
        Command::BigFrames(options) => stream(Kind::BigFrames, &options),
        Command::Live(options) => stream(Kind::Live, &options),
        Command::SlowReceiver(options) => stream(Kind::SlowReceiver, &options),
        Command::Report(options) => report::run(&options),
        Command::InstallDaffi3 => system::install_daffi3().map(|()| ExitCode::SUCCESS),
        Command::Role(role) => return role.play(),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("daffi-peers: {error}");
        ExitCode::FAILURE
    })
}

fn calls(work: calls::Calls, options: &CallOptions) -> Result<ExitCode> {
    Ok(measure(work.entries(|count| options.count.unwrap_or(count), &options.rounds)?, &options.rounds))
}

fn stream(kind: Kind, options: &StreamOptions) -> Result<ExitCode> {
    let StreamOptions { count, receivers, rounds } = options;
    Ok(measure(stream::entries(kind, |most| count.unwrap_or(most), *receivers, rounds)?, rounds))
}

fn measure(entries: Vec<Entry>, options: &Options) -> ExitCode {
    let measured = rounds::run(options.runs, entries);
    if options.json {
        print::json(&measured);
    } else {
        print::tables(&measured);
    }
    if measured.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
