//! One tool that calls whatever is there: by name, with arguments as JSON, the result as JSON. With any other example that stays:
//!
//! ```text
//! cargo run --example shop_service
//! cargo run --example call -- --list
//! cargo run --example call -- buy apple 3
//! cargo run --example call -- --broadcast set_price apple 60
//! ```

use std::{error::Error, process::ExitCode, time::Duration};

use clap::Parser;
use daffi::{CallError, Dynamic, Node};
use serde_json::Value;

use self::signals::interrupted;

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/signals.rs"]
mod signals;

/// Calls a callback by its name, and prints its result as JSON.
#[derive(Parser)]
struct Options {
    /// The callback
    #[arg(required_unless_present = "list")]
    callback: Option<String>,
    /// Its arguments, each as JSON: 3, true, '[1, 2]', '{"name": "apple"}'; what is none is a text
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Call the node of this name, instead of the next in turn
    #[arg(long, conflicts_with = "broadcast")]
    to: Option<String>,
    /// Call every node that offers the callback
    #[arg(long)]
    broadcast: bool,
    /// Show who is there and what each offers, and call nothing
    #[arg(long, conflicts_with_all = ["callback", "to", "broadcast"])]
    list: bool,
    /// How long to wait for the result: 500ms, 2s, 1m
    #[arg(long, default_value = "30s")]
    timeout: humantime::Duration,
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("call: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // Whoever types a command does not want to wait for a controller that is not there.
    let g = options.place.clone().global().connect_timeout(Duration::from_secs(3)).start().await?;
    let done = match &options.callback {
        // Interrupted, it drops the call, which stops the callback.
        Some(callback) => tokio::select! {
            done = call(&g, callback, &options) => done,
            signal = interrupted() => Err(format!("stopped by {}", signal?).into()),
        },
        None => {
            list(&g);
            Ok(())
        }
    };
    g.stop().await;
    done
}

fn list(node: &Node) {
    for other in node.nodes() {
        if other.name != node.name() {
            println!("{}", other.name);
            for callback in other.callbacks {
                println!("  {}: {} at {}", callback.name, callback.signature, callback.location);
            }
        }
    }
}

async fn call(node: &Node, callback: &str, options: &Options) -> Result<(), Box<dyn Error>> {
    let arguments = options.arguments.iter().map(|text| value(text));
    let call = node.call(callback).args(arguments).timeout(options.timeout.into());
    if options.broadcast {
        let replies = call.broadcast().await?;
        for reply in &replies {
            match &reply.result {
                Ok(result) => println!("{}: {}", reply.node, json(result)),
                Err(error) => println!("{}: {error}", reply.node),
            }
        }
        let failed = replies.iter().filter(|reply| reply.result.is_err()).count();
        return if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} nodes failed", replies.len()).into()) };
    }
    let call = match &options.to {
        Some(name) => call.to(name),
        None => call,
    };
    match call.await {
        Ok(result) => println!("{}", json(&result)),
        // The program's own words, as a result would be.
        Err(CallError::App(error)) => return Err(format!("it says no: {}", json(&error)).into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The value of an argument.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// A result as JSON, or as it prints if JSON cannot say it.
fn json(result: &Dynamic) -> String {
    result.decode::<Value>().map_or_else(|_| result.to_string(), |value| value.to_string())
}
