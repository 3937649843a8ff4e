//! Sends 1 to 100 as a stream to every receiver (STREAM): one call for all of them.
//!
//! ```text
//! cargo run --example sequence_receiver -- --name process2
//! cargo run --example sequence_receiver -- --name process3
//! cargo run --example sequence_stream
//! ```

use clap::Parser;
use daffi::fetcher;

#[path = "../common/mod.rs"]
mod common;

#[fetcher(STREAM)]
async fn process_sequence(a: i64);

#[derive(Parser)]
struct Options {
    /// A receiver to wait for; may be given several times
    #[arg(long, default_values = ["process2", "process3"])]
    expect: Vec<String>,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { expect, place } = Options::parse();
    let g = place.global().process_name("process1").init_controller(true).start().await?;
    for name in &expect {
        g.wait_process(name).await?;
    }

    let report = process_sequence(1..=100).await?;
    for receiver in &report.receivers {
        match &receiver.result {
            Ok(()) => println!("{} took {} of {} values", receiver.node, receiver.delivered, report.sent),
            Err(error) => println!("{} failed after {} values: {error}", receiver.node, receiver.delivered),
        }
    }
    g.stop().await;
    Ok(())
}
