//! Takes a stream of structs with an async callback.
//!
//! ```text
//! cargo run --example stream_of_structs_receiver
//! cargo run --example stream_of_structs_sender
//! ```

use clap::Parser;
use daffi::callback;

use self::reading::Reading;

#[path = "../common/mod.rs"]
mod common;
mod reading;

#[callback]
async fn record(reading: Reading) {
    println!("{} has {:.1} °C", reading.sensor, reading.celsius);
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("recorder").reconnect(false).start().await?;
    g.join().await?;
    println!("the sender is gone");
    Ok(())
}
