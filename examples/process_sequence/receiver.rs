//! Stores the values that it is sent, and tells what it has when the sender is gone.
//!
//! Start two of them, then one of `sequence_bg`, `sequence_broadcast` and `sequence_stream`, in any order:
//!
//! ```text
//! cargo run --example sequence_receiver -- --name process2
//! cargo run --example sequence_receiver -- --name process3
//! cargo run --example sequence_stream
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Parser;
use daffi::callback;

#[path = "../common/mod.rs"]
mod common;

static STORE: Mutex<Vec<i64>> = Mutex::new(Vec::new());

fn store() -> MutexGuard<'static, Vec<i64>> {
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[callback]
fn process_sequence(a: i64) {
    store().push(a);
}

#[derive(Parser)]
struct Options {
    /// The name of this process
    #[arg(long, default_value = "process2")]
    name: String,
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { name, place } = Options::parse();
    // The controller is in the sender's process: when it is gone, there is nobody to wait for.
    let g = place.global().process_name(&name).reconnect(false).start().wait()?;
    println!("{name} has joined");
    g.join().wait()?;

    let values = store();
    let order = if values.is_sorted() { "in order" } else { "in another order" };
    println!("{name} has {} values, {order}, their sum is {}", values.len(), values.iter().sum::<i64>());
    Ok(())
}
