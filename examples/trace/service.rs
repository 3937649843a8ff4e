//! A shop that records what it does: each call that it answers is a span, child of the caller's in the other process, and what it does
//! meanwhile is a child of that. It runs the controller, and stays until Ctrl-C.
//!
//! ```text
//! cargo run --features opentelemetry --example trace_service
//! cargo run --features opentelemetry --example trace_client
//! ```

use clap::Parser;
use daffi::callback;

#[path = "../common/mod.rs"]
mod common;
mod spans;

#[callback]
fn buy(article: &str) -> String {
    // Nothing of this is about daffi: the span of the call is the current one here.
    let _looking = tracing::info_span!("look at the shelf").entered();
    format!("one {article}")
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = spans::record("shop");
    let g = Options::parse().place.global().process_name("shop").init_controller(true).start().await?;
    println!("the shop is open");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    // An exporter that sends spans later sends the rest of them now.
    provider.shutdown()?;
    Ok(())
}
