//! Takes a stream of tuples. It runs the controller, and ends when the stream does.
//!
//! ```text
//! cargo run --example stream_of_tuples_receiver
//! cargo run --example stream_of_tuples_sender
//! ```

use clap::Parser;
use daffi::{Event, callback};

#[path = "../common/mod.rs"]
mod common;

/// The callback of a stream has one parameter, the item: a tuple carries several values.
#[callback]
fn process_stream(args: (i64, i64, String)) {
    let (arg1, arg2, arg3) = args;
    println!("{arg1} {arg2} {arg3}");
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("process1").init_controller(true).start().wait()?;
    let mut events = g.events();
    println!("waiting for a stream");
    while let Some(event) = events.wait_next() {
        if let Event::StreamEnded { producer, delivered, end, .. } = event {
            println!("the stream of {producer} ended after {delivered} items: {end:?}");
            break;
        }
    }
    g.stop().wait();
    Ok(())
}
