//! A service on a bad network, without a network: three nodes and a controller in one process, whose packets are late and get
//! lost, on a clock that jumps from one thing to the next. The seconds that this tells of take no time, and the same seed tells
//! the same.
//!
//! ```text
//! cargo run --example rehearsal -- --seed 7
//! ```

use std::{error::Error, time::Duration};

use clap::Parser;
use daffi::{CallError, Context, Event, Events, Node, callback, callbacks, fetcher, testing::Network};

const MS: Duration = Duration::from_millis(1);

#[callback]
async fn greet(cx: &Context, guest: &str) -> String {
    format!("{} greets {guest}", cx.node().name())
}

/// A stub beside its callback has another name: here both are in one program.
#[fetcher(name = "greet")]
async fn greeting(guest: &str) -> String;

#[derive(Parser)]
struct Options {
    /// Decides which packets get lost
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let net = Network::new().seed(Options::parse().seed);
    let _servers = (serve(&net, "east").await?, serve(&net, "west").await?);
    let guest = net.node("guest").callbacks([]).join().await?;
    for name in ["east", "west"] {
        guest.wait_process(name).await?;
    }
    let start = net.now();
    // With the time in milliseconds since then.
    let tell = |what: &str| {
        let passed = net.now().duration_since(start).unwrap_or_default();
        println!("{:5} {what}", passed.as_millis());
    };

    tell("packets take 20 ms, and one of five gets lost");
    net.links().delay(20 * MS);
    net.links().loss(0.2);
    for name in ["Anna", "Boris", "Clara", "Dario"] {
        tell(&greeting(name).on(&guest).await?);
    }

    tell("east is cut off");
    let mut events = guest.events();
    net.link("east").partition();
    match greeting("Emma").to("east").on(&guest).await {
        Err(error @ CallError::NodeLost { .. }) => tell(&error.to_string()),
        other => tell(&other?),
    }
    until(&mut events, |event| matches!(event, Event::NodeLeft { .. })).await;
    tell(&greeting("Emma").on(&guest).await?);

    tell("east is back on the net");
    net.link("east").heal();
    until(&mut events, |event| matches!(event, Event::NodeJoined { .. })).await;
    tell("east has joined again");
    tell(&greeting("Fritz").to("east").on(&guest).await?);
    Ok(())
}

async fn serve(net: &Network, name: &str) -> Result<Node, Box<dyn Error>> {
    Ok(net.node(name).callbacks(callbacks![greet]).join().await?)
}

/// Waits for the first event of a kind.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    while events.next().await.is_some_and(|event| !wanted(&event)) {}
}
