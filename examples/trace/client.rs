//! Buys something, as part of a span of its own: the call is a span too, child of that one, and goes on in the other process.
//!
//! ```text
//! cargo run --features opentelemetry --example trace_service
//! cargo run --features opentelemetry --example trace_client
//! ```

use clap::Parser;
use daffi::fetcher;
use tracing::Instrument;

#[path = "../common/mod.rs"]
mod common;
mod spans;

#[fetcher]
async fn buy(article: &str) -> String;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = spans::record("customer");
    let g = Options::parse().place.global().process_name("customer").start().await?;
    g.wait_process("shop").await?;
    let bought = async { buy("pot").await }.instrument(tracing::info_span!("errand")).await?;
    println!("bought {bought}");
    g.stop().await;
    provider.shutdown()?;
    Ok(())
}
