//! Tidies up when it is told to, and reports each time.
//!
//! ```text
//! cargo run --example schedule_worker
//! cargo run --example schedule_caller
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use daffi::{CallError, callback, fetcher};

#[path = "../common/mod.rs"]
mod common;

static TIMES: AtomicU64 = AtomicU64::new(0);

#[callback]
async fn tidy() -> Result<(), String> {
    let times = TIMES.fetch_add(1, Ordering::Relaxed) + 1;
    println!("tidied up: {times}");
    tidied(times).await.map_err(|error: CallError| error.to_string())
}

/// A callback of the node that has the schedule.
#[fetcher]
async fn tidied(times: u64);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("worker").reconnect(false).start().wait()?;
    g.join().wait()?;
    println!("the caller is gone");
    Ok(())
}
