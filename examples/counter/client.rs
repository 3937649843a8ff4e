//! Counts with the counters of another process, by a client type that is made of a trait.
//!
//! ```text
//! cargo run --example counter_service
//! cargo run --example counter_client
//! ```

use clap::Parser;
use daffi::fetcher;

#[path = "../common/mod.rs"]
mod common;

/// What travels. The trait becomes a type with a method for each of these.
#[fetcher]
trait Counter {
    async fn add(by: i64) -> i64;
    /// The same callback, called in another way.
    #[fetcher(STREAM, name = "add")]
    async fn add_all(by: i64);
    #[fetcher(BG)]
    async fn reach(goal: i64) -> i64;
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Options::parse().place.global().start().await?;
    let [left, right] = ["left", "right"].map(|name| Counter::new().under(name));

    let task = left.reach(50).start().await?;
    println!("left has {}", left.add(20).await?);

    let report = right.add_all(1..=10).await?;
    println!("added {} numbers to right, complete: {}", report.sent, report.is_complete());
    println!("right has {}", right.add(0).await?);

    println!("left has {}", left.add(30).await?);
    println!("left has reached {}", task.await?);

    // Options of a call are options of a method's call too.
    println!("the one without a name has {}", Counter::new().add(0).to("counters").await?);
    g.stop().await;
    Ok(())
}
