//! A shop with stock and orders. It runs the controller, and stays until Ctrl-C.
//!
//! ```text
//! cargo run --example shop_service
//! cargo run --example shop_client
//! ```

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clap::Parser;
use daffi::callback;

use self::api::{Article, Receipt, ShopError};

mod api;
#[path = "../common/mod.rs"]
mod common;

/// What the callbacks share.
struct Shop {
    shelf: Vec<Article>,
    orders: BTreeMap<u64, Receipt>,
    last_number: u64,
}

static SHOP: LazyLock<Mutex<Shop>> = LazyLock::new(|| {
    let article = |name: &str, stock, cents| Article { name: name.into(), stock, cents };
    let shelf = vec![article("apple", 10, 50), article("melon", 2, 300)];
    Mutex::new(Shop { shelf, orders: BTreeMap::new(), last_number: 0 })
});

fn shop() -> MutexGuard<'static, Shop> {
    SHOP.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    fn article(&mut self, name: &str) -> Result<&mut Article, ShopError> {
        let found = self.shelf.iter_mut().find(|article| article.name == name);
        found.ok_or_else(|| ShopError::NoArticle { article: name.into() })
    }
}

#[callback]
fn list() -> Vec<Article> {
    shop().shelf.clone()
}

#[callback]
fn buy(article: &str, count: u32) -> Result<Receipt, ShopError> {
    let mut shop = shop();
    let found = shop.article(article)?;
    let Some(left) = found.stock.checked_sub(count) else {
        return Err(ShopError::TooFew { article: article.into(), left: found.stock });
    };
    found.stock = left;
    let cents = found.cents * count;
    shop.last_number += 1;
    let receipt = Receipt { number: shop.last_number, article: article.into(), count, cents };
    shop.orders.insert(receipt.number, receipt.clone());
    println!("sold {count} of {article}");
    Ok(receipt)
}

#[callback]
fn give_back(number: u64) -> Result<(), ShopError> {
    let mut shop = shop();
    let receipt = shop.orders.remove(&number).ok_or(ShopError::NoReceipt { number })?;
    shop.article(&receipt.article)?.stock += receipt.count;
    println!("took back {} of {}", receipt.count, receipt.article);
    Ok(())
}

/// Returns the old price.
#[callback]
fn set_price(article: &str, cents: u32) -> Result<u32, ShopError> {
    println!("{article} costs {cents} cents now");
    Ok(std::mem::replace(&mut shop().article(article)?.cents, cents))
}

/// Counts everything, which takes a minute. It is stopped when the caller waits no longer.
#[callback]
async fn take_stock() -> u32 {
    tokio::time::sleep(Duration::from_secs(60)).await;
    shop().shelf.iter().map(|article| article.stock).sum()
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().process_name("shop").init_controller(true).start().await?;
    println!("the shop is open");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    println!("the shop is closed");
    Ok(())
}
