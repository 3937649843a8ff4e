//! A service whose controller has rules: clerks may look and pay in, and only the director may empty it. It runs the controller, with
//! the rules in rules.toml, and stays until Ctrl-C.
//!
//! ```text
//! cargo run --example vault_service
//! cargo run --example vault_client -- --name clerk-1
//! cargo run --example vault_client -- --name director
//! ```

use std::{path::PathBuf, sync::Mutex};

use clap::Parser;
use daffi::{Context, callback};

#[path = "../common/mod.rs"]
mod common;

#[derive(Default)]
struct Vault {
    coins: Mutex<u32>,
}

#[callback]
impl Vault {
    #[callback]
    async fn balance(&self) -> u32 {
        *self.coins()
    }

    #[callback]
    async fn deposit(&self, coins: u32) -> u32 {
        let mut there = self.coins();
        *there = there.saturating_add(coins);
        *there
    }

    /// Asks nobody who calls: a call that no rule allows does not come here.
    #[callback]
    async fn empty(&self, cx: Context) -> u32 {
        println!("{} empties the vault", cx.caller());
        std::mem::take(&mut self.coins())
    }
}

impl Vault {
    fn coins(&self) -> std::sync::MutexGuard<'_, u32> {
        // Nothing panics while it is held.
        self.coins.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    place: common::Place,

    /// The controller's config file
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/vault/rules.toml"))]
    rules: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { place, rules } = Options::parse();
    let builder = place.global().process_name("vault").init_controller(true).config_file(rules);
    let g = builder.serve(Vault::default()).start().await?;
    println!("the vault is open");
    tokio::signal::ctrl_c().await?;
    g.stop().await;
    Ok(())
}
