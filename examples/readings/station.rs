//! A weather station: a call gives the readings of a sensor, for as long as somebody wants them. It runs the controller, and stays
//! until Ctrl-C.
//!
//! ```text
//! cargo run --example readings_station
//! cargo run --example readings_client
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::callback;
use futures_util::{Stream, stream};

use self::reading::{Reading, SensorError};

#[path = "../common/mod.rs"]
mod common;
mod reading;

/// The sensor in the cellar is read four times, that on the roof for ever. Both fail each third time, and go on.
#[callback]
fn readings(place: String) -> Result<impl Stream<Item = Result<Reading, SensorError>>, SensorError> {
    let last = match place.as_str() {
        "cellar" => 4,
        "roof" => u32::MAX,
        _ => return Err(SensorError::NoSensor { place }),
    };
    println!("{place}: switched on");
    let sensor = Sensor { place, number: 0, last };
    Ok(stream::unfold(sensor, |mut sensor| async { Some((sensor.read().await?, sensor)) }))
}

struct Sensor {
    place: String,
    number: u32,
    last: u32,
}

impl Sensor {
    async fn read(&mut self) -> Option<Result<Reading, SensorError>> {
        if self.number == self.last {
            return None;
        }
        self.number += 1;
        let number = self.number;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let reading = Reading { number, celsius: 12.0 + f64::from(number) / 2.0 };
        Some(if number.is_multiple_of(3) { Err(SensorError::Failed { number }) } else { Ok(reading) })
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let why = if self.number == self.last { "read to the end" } else { "nobody wants more" };
        println!("{}: switched off, {why}", self.place);
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("station").init_controller(true).start().await?;
    println!("the station is open");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    Ok(())
}
