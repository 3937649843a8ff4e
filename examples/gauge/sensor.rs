//! Streams a gauge to displays, each of which sees it as fast as it can. It runs the controller.
//!
//! ```text
//! cargo run --example gauge_sensor
//! cargo run --example gauge_display
//! cargo run --example gauge_display -- --log
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{Event, Events, fetcher};

#[path = "../common/mod.rs"]
mod common;

/// A display that is slow sees the newest value, and holds up neither the sensor nor the others.
#[fetcher(STREAM, on_slow = KeepLatest)]
async fn show(value: u64);

#[derive(Parser)]
struct Options {
    /// How many displays to wait for
    #[arg(long, default_value_t = 1)]
    displays: usize,
    /// How many values there are
    #[arg(long, default_value_t = 300)]
    values: u64,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { displays, values, place } = Options::parse();
    let g = place.global().process_name("sensor").init_controller(true).callbacks([]).start().await?;
    let mut events = g.events();
    println!("waiting for {displays} displays");
    // This node is there itself.
    while g.nodes().len() < displays + 1 {
        events.next().await;
    }
    // An iterator may block: it has a thread of its own.
    let readings = (1..=values).inspect(|_| std::thread::sleep(Duration::from_millis(5)));
    let report = tokio::select! {
        report = show(readings) => report?,
        () = tell_of_drops(events) => unreachable!("it listens for ever"),
    };
    for receiver in &report.receivers {
        println!("{}: {} of {} values, {} dropped", receiver.node, receiver.delivered, report.sent, receiver.dropped);
    }
    g.stop().await;
    Ok(())
}

/// While it happens, a few times a second.
async fn tell_of_drops(mut events: Events) {
    while let Some(event) = events.next().await {
        if let Event::ItemsDropped { receiver, dropped, .. } = event {
            println!("{receiver} was too slow for {dropped} values up to now");
        }
    }
    std::future::pending::<()>().await;
}
