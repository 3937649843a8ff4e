//! Copies a file to several processes at once, as a stream of blocks, and compares the checksums.
//!
//! ```text
//! cargo run --release --example file_stream
//! cargo run --release --example file_stream -- --input FILE --out DIR --receivers 5
//! ```
//!
//! One program plays all the parts: it starts itself again as a controller and as each of the receivers. Without `--input` it
//! makes a file of 64 MiB; without `--out` the copies go to a temporary directory. `--json` adds a summary as the last line.

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod block;
mod controller;
#[path = "../common/processes.rs"]
mod processes;
mod receiver;
mod sender;
#[path = "../common/signals.rs"]
mod signals;
mod summary;

/// Copies a file to several processes at once, as a stream of blocks, and compares the checksums
#[derive(Debug, Parser)]
#[command(override_usage = "file_stream [OPTIONS]", disable_help_subcommand = true)]
struct Options {
    /// The file to copy; without it, a file of 64 MiB is made
    #[arg(long)]
    input: Option<PathBuf>,
    /// Where the copies go: receiver-1.bin, receiver-2.bin and so on; without it, to a directory that is removed at the end
    #[arg(long)]
    out: Option<PathBuf>,
    /// How many processes get a copy
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    receivers: u16,
    /// Print a summary as JSON, in the last line
    #[arg(long)]
    json: bool,
    /// Where the controller listens
    #[arg(long, default_value = "localhost")]
    host: String,
    /// The controller's port; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts that the program plays when it has started itself.
#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Controller,
    #[command(hide = true)]
    Receiver { name: String, copy: PathBuf },
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    let played = match options.part.take() {
        Some(Part::Controller) => controller::run(&options.host, options.port).map(|()| true),
        Some(Part::Receiver { name, copy }) => receiver::run(&options.host, options.port, &name, &copy).map(|()| true),
        None => send(&options),
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("file_stream: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all copies are equal to the file.
fn send(options: &Options) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(sender::run(options))?;
    summary.print(options.json)?;
    Ok(summary.is_equal())
}
