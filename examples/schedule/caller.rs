//! Calls a worker every 200 ms (PERIOD), lists its schedules, and cancels after five times. It runs the controller.
//!
//! ```text
//! cargo run --example schedule_worker
//! cargo run --example schedule_caller
//! ```

use std::{sync::LazyLock, time::Duration};

use clap::Parser;
use daffi::{callback, fetcher};
use tokio::sync::watch;

#[path = "../common/mod.rs"]
mod common;

#[fetcher(PERIOD)]
async fn tidy() -> Result<(), String>;

static TIMES: LazyLock<watch::Sender<u64>> = LazyLock::new(watch::Sender::default);

/// The worker reports here.
#[callback]
async fn tidied(times: u64) {
    TIMES.send_replace(times);
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("caller").init_controller(true).start().await?;
    g.wait_process("worker").await?;
    let schedule = tidy().every(Duration::from_millis(200)).start().await?;
    for schedule in g.schedules() {
        println!("{} every {:?}, run by {}", schedule.callback(), schedule.period(), schedule.runs_on());
    }

    TIMES.subscribe().wait_for(|times| *times == 5).await?;
    schedule.cancel();
    schedule.ended().await;
    println!(
        "cancelled after {} times, {} failed; schedules left: {}",
        schedule.fired(),
        schedule.failed(),
        g.schedules().len()
    );
    g.stop().await;
    Ok(())
}
