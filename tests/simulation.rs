//! Fault simulation: whole systems on a network in memory, on which everything happens by a seed, and an oracle that knows what must
//! hold whatever happens.
//!
//! `DAFFI_SIMULATION_SEEDS=100000 cargo test --test simulation` tries that many seeds, `DAFFI_SIMULATION_SEED=7` runs one, which does the
//! same each time, and prints what happened.

#[path = "simulation/calls.rs"]
mod calls;
#[path = "simulation/ledger.rs"]
mod ledger;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/rules.rs"]
mod rules;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/service.rs"]
mod service;
#[path = "simulation/streams.rs"]
mod streams;
#[path = "simulation/world.rs"]
mod world;

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
