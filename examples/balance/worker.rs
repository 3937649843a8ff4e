//! A bakery with an oven for one loaf: one waits before it, and the next is refused. It ends when the caller is gone.
//!
//! ```text
//! cargo run --example balance_worker -- --name alpha
//! cargo run --example balance_worker -- --name beta
//! cargo run --example balance_caller
//! ```

use clap::Parser;
use daffi::{Context, callback};
use tokio::sync::Semaphore;

#[path = "../common/mod.rs"]
mod common;

/// How many loaves may come out.
static DONE: Semaphore = Semaphore::const_new(0);

/// Which bakery this is.
#[callback]
fn bakery(cx: &Context) -> String {
    cx.node().name().to_owned()
}

/// Bakes a loaf until it is [`done`].
#[callback(limit = 1, queue = 1)]
async fn bake(loaf: u32) -> u32 {
    println!("loaf {loaf} is in the oven");
    if let Ok(done) = DONE.acquire().await {
        done.forget();
    }
    loaf
}

/// Lets so many loaves out.
#[callback]
fn done(loaves: u32) {
    DONE.add_permits(loaves as usize);
}

#[derive(Parser)]
struct Options {
    /// The name of this process
    #[arg(long, default_value = "alpha")]
    name: String,
    #[command(flatten)]
    place: common::Place,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { name, place } = Options::parse();
    println!("{name} opens");
    // The controller is in the caller's process: when it is gone, there is nobody to wait for.
    let g = place.global().process_name(&name).reconnect(false).start().wait()?;
    g.join().wait()?;
    Ok(())
}
