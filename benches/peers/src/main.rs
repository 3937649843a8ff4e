//! `daffi-peers`: daffi beside its peers. Each system does the same work through a router, in three processes: round k runs
//! every system before round k + 1 begins, so that what else the machine does falls on all of them.
//!
//! - `rounds`: the order of things, and what becomes of a system that fails.
//! - `topology`: the processes of one run, and what they cost.
//! - `process`: one of them, as the program sees it; `role`: as it sees itself.
//! - `work`: what is measured, one file for each. A new work gives a [`report::Run`] for a system and a run.
//! - `system`: who is measured, one file for each, and the trait that all of them are.
//! - `report`: what is printed.
//!
//! It reads the CPU clocks of other processes and ties them to itself by a death signal, so it runs on Linux.

mod process;
mod report;
mod role;
mod rounds;
mod system;
mod topology;
mod work;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::{system::System, work::calls};

/// Where it goes wrong, the system is out: nobody tells the errors apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures daffi and its peers at the same work, in turn; router and both ends are processes of their own, over loopback.
///
/// CPU seconds are those of all three processes between the order to begin and the report that all is done. The exit status is
/// not zero if a system failed; the others are measured nevertheless.
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
    rounds: rounds::Options,
}

fn main() -> ExitCode {
    let (work, options) = match Cli::parse().command {
        Command::Calls(options) => (calls::SEQUENTIAL, options),
        Command::Calls64(options) => (calls::IN_FLIGHT_64, options),
        Command::Role(role) => return role.play(),
    };
    let work = work.with_count(options.count);
    rounds::run(&options.rounds, work.heading(), |system: &'static dyn System| work.run(system))
}
