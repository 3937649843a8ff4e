//! The second of three nodes: splits a text into words, and has the third count them.
//!
//! ```text
//! cargo run --example pipeline_third
//! cargo run --example pipeline_second
//! cargo run --example pipeline_first
//! cargo run --example pipeline_caller
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{callback, fetcher};

#[path = "../common/mod.rs"]
mod common;

#[callback]
async fn second(text: String, pause: Duration) -> Result<usize, String> {
    println!("second splits");
    let words: Vec<_> = text.split_whitespace().collect();
    third(&words, pause).await.map_err(|error| error.to_string())
}

#[fetcher]
async fn third(words: &[&str], pause: Duration) -> usize;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("second").reconnect(false).start().wait()?;
    g.join().wait()?;
    Ok(())
}
