//! Sends a stream of structs from an async source. It runs the controller, and waits for a receiver.
//!
//! ```text
//! cargo run --example stream_of_structs_receiver
//! cargo run --example stream_of_structs_sender
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::fetcher;
use futures_util::{Stream, stream};

use self::reading::Reading;

#[path = "../common/mod.rs"]
mod common;
mod reading;

#[fetcher(STREAM)]
async fn record(reading: Reading);

/// Two sensors, read in turn, five times each.
fn readings() -> impl Stream<Item = Reading> {
    stream::unfold(0_u32, |turn| async move {
        let sensor = if turn % 2 == 0 { "cellar" } else { "roof" };
        let reading = Reading { sensor: sensor.into(), celsius: 12.0 + f64::from(turn) / 2.0 };
        (turn < 10).then_some((reading, turn + 1))
    })
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("sensors").init_controller(true).start().await?;
    let report = record(readings()).wait_for_receiver(Duration::from_secs(30)).await?;
    println!("sent {} readings, complete: {}", report.sent, report.is_complete());
    g.stop().await;
    Ok(())
}
