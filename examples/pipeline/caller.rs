//! Calls the first of three nodes, which calls the second, which calls the third: once with time enough, and once without.
//!
//! ```text
//! cargo run --example pipeline_third
//! cargo run --example pipeline_second
//! cargo run --example pipeline_first
//! cargo run --example pipeline_caller
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{CallError, fetcher};

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn first(text: &str, pause: Duration) -> Result<usize, String>;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("caller").start().await?;
    for name in ["first", "second", "third"] {
        g.wait_process(name).await?;
    }
    let text = "One node calls, the next one answers.";
    println!("{} words", first(text, Duration::ZERO).await?);

    // A minute for each word is too long: the deadline stops all three.
    match first(text, Duration::from_secs(60)).timeout(Duration::from_millis(300)).await {
        Err(CallError::Timeout { .. }) => println!("no answer in time"),
        // The deadline is the same everywhere: the first node may be the one that notices first.
        Err(CallError::App(reason)) => println!("no answer in time, says the first: {reason}"),
        other => println!("{} words, after all", other?),
    }
    g.stop().await;
    Ok(())
}
