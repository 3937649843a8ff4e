//! A customer: buys, hears why not, gives back, changes a price at every shop, and loses patience.
//!
//! ```text
//! cargo run --example shop_service
//! cargo run --example shop_client
//! ```

use std::time::Duration;

use clap::Parser;
use daffi::{CallError, fetcher};

use self::api::{Article, Receipt, ShopError};

mod api;
#[path = "../common/mod.rs"]
mod common;

#[fetcher]
async fn list() -> Vec<Article>;

#[fetcher]
async fn buy(article: &str, count: u32) -> Result<Receipt, ShopError>;

#[fetcher]
async fn give_back(number: u64) -> Result<(), ShopError>;

#[fetcher(BROADCAST)]
async fn set_price(article: &str, cents: u32) -> Result<u32, ShopError>;

#[fetcher]
async fn take_stock() -> u32;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().start().await?;
    for Article { name, stock, cents } in list().await? {
        println!("{stock} of {name} at {cents} cents");
    }

    let receipt = buy("apple", 3).await?;
    println!("bought {} of {} for {} cents", receipt.count, receipt.article, receipt.cents);

    // The shop's own error comes back as it was, apart from what can go wrong on the way.
    match buy("melon", 5).await {
        Ok(receipt) => println!("bought {} of {}", receipt.count, receipt.article),
        Err(CallError::App(ShopError::TooFew { article, left })) => println!("{article}: the shop has only {left}"),
        Err(error) => return Err(error.into()),
    }

    give_back(receipt.number).await?;
    println!("gave back receipt {}", receipt.number);

    for reply in set_price("apple", 60).await? {
        println!("{} had apples for {} cents before", reply.node, reply.result?);
    }

    match take_stock().timeout(Duration::from_millis(100)).await {
        Err(CallError::Timeout { .. }) => println!("taking stock takes too long"),
        other => println!("{} articles in stock", other?),
    }
    g.stop().await;
    Ok(())
}
