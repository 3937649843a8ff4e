//! Plain functions that others may call, in a program without a word of async. It runs the controller, and ends when the client has
//! left.
//!
//! ```text
//! cargo run --example plain_service
//! cargo run --example plain_client
//! ```

use clap::Parser;
use daffi::{Event, Incoming, callback};

#[path = "../common/mod.rs"]
mod common;

#[callback]
fn square(number: i64) -> i64 {
    number * number
}

/// Gives one number after the other, each when it is asked for.
#[callback]
fn count_down(from: u32) -> impl Iterator<Item = u32> {
    (1..=from).rev()
}

/// Takes a whole stream.
#[callback]
fn sum(mut numbers: Incoming<i64>) -> i64 {
    numbers.iter().sum()
}

#[callback]
fn note(text: &str) {
    println!("noted: {text}");
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("server").init_controller(true).start().wait()?;
    let mut events = g.events();
    println!("ready");
    while let Some(event) = events.wait_next() {
        if matches!(&event, Event::NodeLeft { node, .. } if node == "client") {
            break;
        }
    }
    g.stop().wait();
    Ok(())
}
