//! Is greeted by name, follows a trace to another node and back, and loses interest in a search.
//!
//! ```text
//! cargo run --example whoami_service
//! cargo run --example whoami_client
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{Context, TraceContext, callback, fetcher};
use tokio::sync::Notify;

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn whoami(greeting: &str) -> String;

#[fetcher]
async fn search() -> u32;

#[fetcher]
async fn pass_on(text: &str) -> Result<(), String>;

static TOLD: Notify = Notify::const_new();

/// What the service has to say.
#[callback]
async fn tell(cx: Context, text: String) {
    match cx.trace() {
        Some(trace) => println!("{} says {text:?}, as part of {trace}", cx.caller()),
        None => println!("{} says {text:?}", cx.caller()),
    }
    TOLD.notify_one();
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("guest").start().await?;
    println!("{}", whoami("Good evening").timeout(Duration::from_secs(60)).await?);

    let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
    pass_on("the bar closes at ten").trace(trace).await?;
    TOLD.notified().await;

    tokio::select! {
        found = search() => println!("found after {} places", found?),
        // The other future is dropped, and with it the call.
        () = TOLD.notified() => println!("that is enough"),
    }
    g.stop().await;
    Ok(())
}
