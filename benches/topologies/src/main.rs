//! `daffi-bench`: what whole topologies of daffi carry. Controller, sender and receivers are each a process of its own and talk
//! over loopback; the program starts itself once more for each of them.
//!
//! - `process`: a child process and the lines of JSON that it and its parent exchange.
//! - `topology`: the parent's side: the processes of a benchmark, and what they cost.
//! - `role`: the children's side.
//! - `work`: what is measured, one file for each.
//! - `report`: what is printed.
//! - `soak`: everything at once, with faults, for as long as you please: whether each item and call is accounted for.
//!
//! It reads CPU times from `/proc`, so it runs on Linux.

mod process;
mod report;
mod role;
mod soak;
mod topology;
mod work;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::work::{calls, churn, frames, idle, loaded, memory, tiny};

/// Where it goes wrong, the benchmark ends: nobody tells the errors apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures whole daffi topologies: controller, sender and receivers are each a process of its own, over loopback.
///
/// CPU seconds are those that each process spent between the order to begin and the report that all is done.
#[derive(Debug, Parser)]
#[command(name = "daffi-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Streams small items (64 bytes): what an item costs
    Tiny {
        #[command(flatten)]
        options: tiny::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Streams large items, such as frames of a camera: what a byte costs
    Frames {
        #[command(flatten)]
        options: frames::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Echoes 16 bytes from one node through the controller to another and back: latency and rate
    Calls {
        #[command(flatten)]
        options: calls::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Echoes 16 bytes, alone and then beside a stream at full speed between the same nodes: how much longer a call takes
    Loaded {
        #[command(flatten)]
        options: loaded::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Streams for a while to many receivers, half of them slow: what memory the controller has
    Memory {
        #[command(flatten)]
        options: memory::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Has many nodes join and do nothing: what each costs
    Idle {
        #[command(flatten)]
        options: idle::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Has nodes join, call once and leave: what they leave behind
    Churn {
        #[command(flatten)]
        options: churn::Options,
        #[command(flatten)]
        output: Output,
    },
    /// Streams and calls of all kinds for a while, with processes that are killed and paused: a verdict on what became of them
    Soak(soak::Options),
    /// What the program starts itself as
    #[command(subcommand, hide = true)]
    Role(role::Role),
}

/// How often to measure and how to tell.
#[derive(Debug, Args)]
struct Output {
    /// How often to measure; of several the median is told too
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The last line is the (median) result as JSON
    #[arg(long)]
    json: bool,
}

// The I/O of a node and of a controller have threads of their own, which leaves little for this one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Tiny { options, output } => report::all(tiny::measure(&options, output.runs).await, output.json),
        Command::Frames { options, output } => report::all(frames::measure(&options, output.runs).await, output.json),
        Command::Calls { options, output } => report::all(calls::measure(&options, output.runs).await, output.json),
        Command::Loaded { options, output } => report::all(loaded::measure(&options, output.runs).await, output.json),
        Command::Memory { options, output } => report::all(memory::measure(&options, output.runs).await, output.json),
        Command::Idle { options, output } => report::all(idle::measure(&options, output.runs).await, output.json),
        Command::Churn { options, output } => report::all(churn::measure(&options, output.runs).await, output.json),
        Command::Soak(options) => soak::run(&options).await,
        Command::Role(role) => role.play().await.map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("daffi-bench: {error}");
        ExitCode::FAILURE
    })
}
