//! Calls one callback by four stubs: one that the compiler has compared with it, one with another name, one that cannot work,
//! and one that may.
//!
//! ```text
//! cargo run --example contract_service
//! cargo run --example contract_client
//! ```

use clap::Parser;
use daffi::{CallError, fetcher};

#[path = "../common/mod.rs"]
mod common;
mod weather;

/// `of` has the compiler compare it with the callback: another type here, or one argument more, is an error in this line.
#[fetcher(name = "weather.forecast", of = weather::forecast)]
async fn forecast(city: &str, days: u32) -> Vec<i32>;

/// A stub for a program that does not know the callback's source.
#[fetcher(name = "weather.forecast")]
async fn outlook(city: String, days: u32) -> Vec<i32>;

/// The callback has got a second argument since this was written.
#[fetcher(name = "weather.forecast")]
async fn tomorrow(city: &str) -> Vec<i32>;

type Days = u32;

/// Attributes see words and no types, so this may be the same or not.
#[fetcher(name = "weather.forecast")]
async fn in_other_words(city: &str, days: Days) -> Vec<i32>;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Warnings are events of the crate tracing: a program that wants to see them has a subscriber.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
    // The shared module has callbacks, which this program calls and does not offer.
    let g = Options::parse().place.global().process_name("traveller").callbacks([]).start().await?;

    println!("Oslo: {:?}", forecast("Oslo", 3).await?);
    println!("Rome: {:?}", outlook("Rome".into(), 2).await?);
    match tomorrow("Bern").await {
        Err(CallError::Mismatch { why, stub: Some(stub), callback }) => {
            println!("Bern was not asked for: {why}");
            println!("  stub     {stub}");
            println!("  callback {callback}");
        }
        other => println!("Bern: {:?}, against all odds", other?),
    }
    println!("Kyiv: {:?}", in_other_words("Kyiv", 1).await?);
    g.stop().await;
    Ok(())
}
