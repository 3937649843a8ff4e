//! Somebody at the vault. What it may do depends on its name, by the rules of the controller.
//!
//! See `vault_service`.

use clap::Parser;
use daffi::{CallError, fetcher};

#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn balance() -> u32;

#[fetcher]
async fn deposit(coins: u32) -> u32;

#[fetcher]
async fn empty() -> u32;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,

    /// Who it is: clerk-1, director, or anybody
    #[arg(long)]
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { place, name } = Options::parse();
    let g = place.global().process_name(name).start().await?;
    g.wait_function("empty").await?;
    tell("pays in 5", deposit(5).await);
    tell("sees", balance().await);
    tell("takes", empty().await);
    g.stop().await;
    Ok(())
}

fn tell(what: &str, result: Result<u32, CallError>) {
    match result {
        Ok(coins) => println!("{what}: {coins}"),
        // The error says who may not do what, and what is missing.
        Err(error @ CallError::NotAllowed { .. }) => println!("{error}"),
        Err(error) => println!("{what}: {error:?}"),
    }
}
