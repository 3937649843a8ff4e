//! Chooses between two bakeries in each way that there is, and tries again where there is no room. It runs the controller.
//!
//! ```text
//! cargo run --example balance_worker -- --name alpha
//! cargo run --example balance_worker -- --name beta
//! cargo run --example balance_caller
//! ```

use clap::Parser;
use daffi::{CallError, Event, Retry, fetcher};

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn bakery() -> String;

#[fetcher(BG)]
async fn bake(loaf: u32) -> u32;

#[fetcher]
async fn done(loaves: u32);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("customer").init_controller(true).start().await?;
    for name in ["alpha", "beta"] {
        g.wait_process(name).await?;
    }
    println!("in turn:    {}, {}, {}, {}", bakery().await?, bakery().await?, bakery().await?, bakery().await?);
    println!("by name:    {}", bakery().to("beta").await?);
    for customer in ["anna", "boris", "clara"] {
        let (first, second) = (bakery().sticky(customer).await?, bakery().sticky(customer).await?);
        println!("for {customer:7} {first}, and again {second}");
    }

    // The oven of alpha has room for one.
    let loaves = [bake(1).to("alpha").start().await?, bake(2).to("alpha").start().await?];
    println!("least busy: {}, {}", bakery().least_busy().await?, bakery().least_busy().await?);
    let mut events = g.events();
    match bake(3).to("alpha").start().await?.await {
        Err(error @ CallError::Full { .. }) => println!("refused:    {error}"),
        other => println!("there was room for loaf {}, after all", other?),
    }

    let third = bake(3).to("alpha").retry(Retry::times(20)).start().await?;
    while let Some(event) = events.next().await {
        if let Event::Retried { callback, attempt, error } = event {
            println!("try {attempt} of {callback}, since {error}");
            break;
        }
    }
    done(3).to("alpha").await?;
    for loaf in loaves {
        println!("baked loaf {}", loaf.await?);
    }
    println!("baked loaf {}", third.await?);
    g.stop().await;
    Ok(())
}
