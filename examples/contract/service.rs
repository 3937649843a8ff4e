//! Offers a forecast under a name of its own, and finds that a name cannot be taken twice. It runs the controller, and stays until
//! Ctrl-C.
//!
//! ```text
//! cargo run --example contract_service
//! cargo run --example contract_client
//! ```

use clap::Parser;
use daffi::{callback, callbacks};

#[path = "../common/mod.rs"]
mod common;
mod weather;

/// It has another name in the source, and the same on the wire.
#[callback(name = "weather.forecast")]
fn guess(city: &str, days: u32) -> Vec<i32> {
    vec![city.len() as i32; days as usize]
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("weather").init_controller(true);
    let g = g.callbacks(callbacks![weather::forecast]).start().await?;
    if let Err(error) = g.offer(callbacks![guess]) {
        println!("{error}");
    }
    println!("the forecast is open");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    Ok(())
}
