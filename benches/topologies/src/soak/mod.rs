//! Everything at once, for as long as you please: streams of all kinds and calls, between processes that are killed and paused
//! meanwhile, and a verdict on what became of every item and call.
//!
//! - `part`: the children's side. `talk` is what they are told and answer.
//! - `system`: the processes, by name.
//! - `faults`: what is done to them.
//! - `ledger`: what the producers' reports say, beside what the receivers saw.
//! - `vitals`: memory, descriptors and CPU time of each process.
//! - `verdict`: what is told at the end.

mod faults;
mod ledger;
mod load;
mod part;
mod system;
mod talk;
mod verdict;
mod vitals;

use std::{process::ExitCode, time::Duration};

use clap::Args;
use fastrand::Rng;

pub(crate) use self::part::Part;
use self::{faults::Fault, load::Load};
use crate::Result;

/// Between two faults: the shortest time and how much longer it may be, in milliseconds.
const CALM: (u64, u64) = (1_000, 2_500);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long it lasts
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// Kill and pause processes meanwhile
    #[arg(long)]
    faults: bool,
    /// What the faults are chosen by; unless told otherwise another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// The verdict as a line of JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs it; success is a verdict without a complaint.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!("soak: {} s, faults {}, seed {seed}", options.seconds, options.faults);
    let mut chance = Rng::with_seed(seed);
    let mut load = Load::start().await?;
    let lasts = Duration::from_secs(options.seconds);
    while let Some(left) = lasts.checked_sub(load.elapsed()) {
        let calm = Duration::from_millis(CALM.0 + chance.u64(..CALM.1));
        load.pass(calm.min(left)).await?;
        if calm < left && options.faults {
            Fault::choose(&mut chance).happen(&mut load).await?;
        }
        load.keep_going().await?;
    }
    let verdict = load.finish(seed).await?;
    eprintln!("{verdict}");
    if options.json {
        println!("{}", serde_json::to_string(&verdict)?);
    }
    Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
