//! Sends a stream of tuples.
//!
//! ```text
//! cargo run --example stream_of_tuples_receiver
//! cargo run --example stream_of_tuples_sender
//! ```

use clap::Parser;
use daffi::fetcher;

#[path = "../common/mod.rs"]
mod common;

#[fetcher(STREAM)]
fn process_stream(sequence_item: (i64, i64, &'static str));

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The receiver runs the controller: whoever has joined finds it there.
    let g = Options::parse().place.global().process_name("process2").start().wait()?;
    let arguments = vec![(1, 2, "a"), (3, 4, "b"), (5, 6, "c")];
    let report = process_stream(arguments).wait()?;
    println!("sent {} tuples, complete: {}", report.sent, report.is_complete());
    g.stop().wait();
    Ok(())
}
