//! Processes 2 and 3 of the video demo: each shows the frames in a window of its own.
//!
//! ```text
//! cargo run --release --example video_producer
//! cargo run --release --example video_viewer -- --name process2
//! cargo run --release --example video_viewer -- --name process3
//! ```
//!
//! A viewer may come and go at any time. Escape or the close button ends it; so does the end of the producer.

use std::{error::Error, process::ExitCode};

use clap::Parser;

#[path = "../common/mod.rs"]
mod common;
mod outcome;
#[path = "../common/signals.rs"]
mod signals;
mod viewer;

use outcome::{Outcome, Seen};

/// Shows the video that a producer streams
#[derive(Debug, Parser)]
struct Options {
    /// The name of this process
    #[arg(long, default_value = "process2")]
    name: String,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    viewer: viewer::ViewerOptions,
    #[command(flatten)]
    place: common::Place,
}

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("video_viewer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<(), Box<dyn Error>> {
    let Options { name, json, viewer, place } = Options::parse();
    eprintln!("{name} looks for a producer at {place}; Ctrl-C ends it");
    let joined = || eprintln!("{name} has joined");
    let seen = viewer::run(&name, place.global(), &viewer, joined, std::future::pending())?;
    Outcome { seen: Seen::from([(name, seen)]), failure: None }.conclude(json)
}
