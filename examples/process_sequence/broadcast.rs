//! Sends 1 to 100 with one call for each that goes to every receiver (BROADCAST), and waits for their answers.
//!
//! ```text
//! cargo run --example sequence_receiver -- --name process2
//! cargo run --example sequence_receiver -- --name process3
//! cargo run --example sequence_broadcast
//! ```

use clap::Parser;
use daffi::fetcher;

#[path = "../common/mod.rs"]
mod common;

#[fetcher(BROADCAST)]
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

    let mut answers = 0;
    for a in 1..=100 {
        for reply in process_sequence(a).await? {
            match reply.result {
                Ok(()) => answers += 1,
                Err(error) => println!("{} failed at {a}: {error}", reply.node),
            }
        }
    }
    println!("100 values sent, {answers} answers");
    g.stop().await;
    Ok(())
}
