//! Sends 1 to 100 with one call for each, and waits for no result (BG without return). Each call goes to the next receiver in
//! turn.
//!
//! ```text
//! cargo run --example sequence_receiver -- --name process2
//! cargo run --example sequence_receiver -- --name process3
//! cargo run --example sequence_bg
//! ```

use clap::Parser;
use daffi::fetcher;

#[path = "../common/mod.rs"]
mod common;

#[fetcher(BG(no_return))]
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

    for a in 1..=100 {
        process_sequence(a).await?;
    }
    println!("100 values sent, in turn to {}", expect.join(", "));
    g.stop().await;
    Ok(())
}
