//! Process 1 of the video demo: reads a camera, or the test pattern, and streams it to all viewers. It has the controller.
//!
//! ```text
//! cargo run --release --example video_producer
//! cargo run --release --example video_viewer -- --name process2
//! cargo run --release --example video_viewer -- --name process3
//! ```

use std::{error::Error, process::ExitCode};

use clap::Parser;

#[path = "../common/mod.rs"]
mod common;
mod feed;
mod outcome;
mod producer;
#[path = "../common/signals.rs"]
mod signals;
mod source;
mod table;

use outcome::Outcome;
use signals::interrupted;

/// Streams video to all viewers
#[derive(Debug, Parser)]
struct Options {
    /// Wait for this viewer before the video begins; may be given several times. Without it, for process2 and process3
    #[arg(long)]
    expect: Vec<String>,
    /// End when all viewers are gone, instead of waiting for others
    #[arg(long)]
    once: bool,
    /// Print a summary of each viewer as JSON at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    video: source::VideoOptions,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("video_producer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<(), Box<dyn Error>> {
    let Options { mut expect, once, json, video, place } = Options::parse();
    if expect.is_empty() {
        expect = ["process2", "process3"].map(String::from).into();
    }
    let source = video.open()?;
    let g = place.global().process_name("process1").init_controller(true).callbacks([]).start().await?;
    let waited = tokio::select! {
        waited = async {
            eprintln!("waiting for {}: start each with `video_viewer --name NAME`", expect.join(", "));
            for viewer in expect {
                g.wait_process(viewer).await?;
            }
            Ok::<_, Box<dyn Error>>(true)
        } => waited?,
        _ = interrupted() => false,
    };
    let produced = match waited {
        true => producer::run(&g, source, &video, !once).await,
        false => Ok(Outcome::default()),
    };
    g.stop().await;
    produced?.conclude(json)
}
