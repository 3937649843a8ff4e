//! Three counters: values of one type, each of which is called under a name of its own. It runs the controller, and stays until
//! Ctrl-C.
//!
//! ```text
//! cargo run --example counter_service
//! cargo run --example counter_client
//! ```

use std::sync::Arc;

use clap::Parser;
use daffi::callback;
use tokio::sync::watch;

#[path = "../common/mod.rs"]
mod common;

/// What it counts with: calls come several at a time, so a callback takes `&self`, and what changes is in a cell.
#[derive(Default)]
struct Counter {
    value: watch::Sender<i64>,
}

#[callback]
impl Counter {
    /// Returns what it has now.
    #[callback]
    fn add(&self, by: i64) -> i64 {
        self.value.send_modify(|value| *value += by);
        self.value()
    }

    /// Returns when it has at least so much.
    #[callback]
    async fn reach(&self, goal: i64) -> i64 {
        // The sender is in `self`, which lives as long as the call: there is no error.
        self.value.subscribe().wait_for(|value| *value >= goal).await.map_or(goal, |value| *value)
    }

    /// Without the attribute a method is nobody's but this program's.
    fn value(&self) -> i64 {
        *self.value.borrow()
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An `Arc` is served like the value itself, by whoever wants to keep a hand on it.
    let (left, right) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let g = Options::parse().place.global().process_name("counters").init_controller(true);
    let g = g.serve(Counter::default()).serve_as("left", left.clone()).serve_as("right", right.clone()).start().await?;
    println!("counting");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    println!("left has {}, right has {}", left.value(), right.value());
    Ok(())
}
