//! Callbacks that look at the call they answer: who made it, how much time is left, whether somebody still waits, and which trace
//! it belongs to. It runs the controller, and stays until Ctrl-C.
//!
//! ```text
//! cargo run --example whoami_service
//! cargo run --example whoami_client
//! ```

use std::{thread, time::Duration};

use clap::Parser;
use daffi::{CallError, Context, callback, fetcher};

#[path = "../common/mod.rs"]
mod common;

/// The context is no argument: a stub does not have it.
#[callback]
async fn whoami(cx: Context, greeting: String) -> String {
    let left = cx.remaining().map_or_else(|| "no limit".into(), |left| format!("{left:.1?} left"));
    println!("{} called {:?}, with {left}", cx.caller(), cx.callback());
    format!("{greeting}, {}", cx.caller())
}

/// Looks everywhere, without end. A sync callback cannot be stopped from outside: this one looks now and then whether somebody
/// still waits for it.
#[callback]
fn search(cx: &Context) -> u32 {
    let mut places = 0;
    while !cx.is_cancelled() {
        places += 1;
        // A call that it makes is cancelled with it.
        if places == 3 && tell("the third place is empty too").wait().is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    println!("nobody waits for the search any more");
    places
}

/// Passes on what it is told. What a callback calls belongs to the same trace, without a word.
#[callback]
async fn pass_on(cx: Context, text: String) -> Result<(), String> {
    println!("{} passes {text:?} on, as part of {}", cx.node().name(), trace(&cx));
    tell(&text).to(cx.caller()).await.map_err(|error: CallError| error.to_string())
}

fn trace(cx: &Context) -> String {
    cx.trace().map_or_else(|| "no trace".into(), |trace| trace.to_string())
}

/// A callback of the client.
#[fetcher]
async fn tell(text: &str);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("porter").init_controller(true).start().await?;
    println!("the porter is there");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    Ok(())
}
