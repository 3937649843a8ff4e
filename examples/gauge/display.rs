//! Takes a gauge's values: a display that shows the newest, or a log that has to have all.
//!
//! ```text
//! cargo run --example gauge_sensor
//! cargo run --example gauge_display
//! cargo run --example gauge_display -- --log
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use clap::Parser;
use daffi::{Event, callback, callbacks};

#[path = "../common/mod.rs"]
mod common;

/// It takes longer to show a value than to measure one.
#[callback]
fn show(value: u64) {
    std::thread::sleep(Duration::from_millis(50));
    println!("{value}");
}

/// Of the same name on the wire, and not to miss anything: the sensor would wait for it.
mod log {
    use super::*;

    pub(super) static SUM: AtomicU64 = AtomicU64::new(0);

    #[callback(lossless)]
    pub(super) fn show(value: u64) {
        SUM.fetch_add(value, Ordering::Relaxed);
    }
}

#[derive(Parser)]
struct Options {
    /// Take every value
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { log, place } = Options::parse();
    let (name, callback) = if log { ("log", callbacks![log::show]) } else { ("display", callbacks![show]) };
    let g = place.global().process_name(name).callbacks(callback).start().await?;
    let mut events = g.events();
    while let Some(event) = events.next().await {
        if let Event::StreamEnded { delivered, missed, .. } = event {
            println!("{delivered} values taken, {missed} missed");
            break;
        }
    }
    if log {
        println!("the sum is {}", log::SUM.load(Ordering::Relaxed));
    }
    g.stop().await;
    Ok(())
}
