//! The first of three nodes: cleans a text, and has the second do the rest.
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

/// Counts the words of the text, with a pause for each.
#[callback]
async fn first(text: String, pause: Duration) -> Result<usize, String> {
    println!("first cleans");
    let clean = text.replace(|c: char| c.is_ascii_punctuation(), " ");
    // The deadline of the caller goes along without a word.
    second(&clean, pause).await.map_err(|error| error.to_string())
}

#[fetcher]
async fn second(text: &str, pause: Duration) -> Result<usize, String>;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("first").reconnect(false).start().wait()?;
    g.join().wait()?;
    Ok(())
}
