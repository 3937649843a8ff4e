//! The third of three nodes: counts words, and shows what a deadline does to a callback. It runs the controller, and ends when
//! the caller has left.
//!
//! ```text
//! cargo run --example pipeline_third
//! cargo run --example pipeline_second
//! cargo run --example pipeline_first
//! cargo run --example pipeline_caller
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{Event, callback};

#[path = "../common/mod.rs"]
mod common;

/// Says how a callback ended: one that is stopped is dropped where it waits.
struct Count(Option<usize>);

impl Drop for Count {
    fn drop(&mut self) {
        match self.0 {
            Some(count) => println!("third has counted {count} words"),
            None => println!("third was stopped"),
        }
    }
}

#[callback]
async fn third(words: Vec<String>, pause: Duration) -> usize {
    let mut count = Count(None);
    println!("third counts");
    for _ in &words {
        tokio::time::sleep(pause).await;
    }
    count.0 = Some(words.len());
    words.len()
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("third").init_controller(true).start().wait()?;
    let mut events = g.events();
    while let Some(event) = events.wait_next() {
        if matches!(&event, Event::NodeLeft { node, .. } if node == "caller") {
            break;
        }
    }
    g.stop().wait();
    Ok(())
}
