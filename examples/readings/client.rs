//! Takes all readings of one sensor and some of another, which has no end.
//!
//! ```text
//! cargo run --example readings_station
//! cargo run --example readings_client
//! ```

use clap::Parser;
use daffi::{CallError, fetcher};
use futures_util::StreamExt;

use self::reading::{Reading, SensorError};

#[path = "../common/mod.rs"]
mod common;
mod reading;

#[fetcher]
async fn readings(place: &str) -> Result<impl Stream<Item = Result<Reading, SensorError>>, SensorError>;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().start().await?;
    for place in ["attic", "cellar"] {
        match readings(place).await {
            Ok(mut readings) => {
                while let Some(reading) = readings.next().await {
                    println!("{place}: {}", say(reading)?);
                }
                println!("{place}: that is all");
            }
            Err(CallError::App(error)) => println!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }

    // Dropped after the fifth, it stops the source at the station.
    let mut first = readings("roof").await?.take(5);
    while let Some(reading) = first.next().await {
        println!("roof: {}", say(reading)?);
    }
    drop(first);
    println!("roof: that is enough");
    g.stop().await;
    Ok(())
}

/// A sensor's error is an item like any other, and the next may be a reading again. Every other error is the last item.
fn say(reading: Result<Reading, CallError<SensorError>>) -> Result<String, CallError<SensorError>> {
    match reading {
        Ok(Reading { celsius, .. }) => Ok(format!("{celsius:.1} °C")),
        Err(CallError::App(error)) => Ok(error.to_string()),
        Err(error) => Err(error),
    }
}
