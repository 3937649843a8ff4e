//! Many runs, side by side.

use std::{
    cell::Cell,
    env,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::runtime::Builder;
#[cfg(tokio_unstable)]
use tokio::runtime::RngSeed;

use crate::{plan::Plan, world::World};

/// How many seeds are tried unless DAFFI_SIMULATION_SEEDS says otherwise.
const SEEDS: u64 = 2_000;

/// How many of them are run twice, and have to do the same.
#[cfg(tokio_unstable)]
const TWICE: u64 = 25;

/// How many bytes a run may take at once: somewhat more than ever was seen, of 2,000 seeds 2 MB, with the trace.
const ROOM: u64 = 4 << 20;

/// How many more for each stream of large items, each of which may be on its way to four others: 31 MB were seen.
const ROOM_OF_LARGE: u64 = 40 << 20;

/// How many bytes may be left of a run. Mostly it is none at all; some go from one thread to another.
const KEPT: i64 = 2 << 10;

/// What came of a run.
#[derive(Default)]
struct Outcome {
    faults: Vec<String>,
    trace: Vec<String>,
}

impl Outcome {
    /// How much memory it takes.
    fn size(&self) -> usize {
        let of = |lines: &Vec<String>| {
            lines.capacity() * size_of::<String>() + lines.iter().map(String::capacity).sum::<usize>()
        };
        of(&self.faults) + of(&self.trace)
    }
}

#[test]
fn every_promise_holds_whatever_breaks() {
    if let Some(seed) = number("DAFFI_SIMULATION_SEED") {
        return run_again(seed);
    }
    let seeds = number("DAFFI_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let Outcome { faults, trace } = run(seed);
                    if !faults.is_empty() {
                        let (plan, faults, trace) = (Plan::of(seed), faults.join("; "), trace.join("\n"));
                        let again = format!("DAFFI_SIMULATION_SEED={seed} cargo test --test simulation");
                        eprintln!("seed {seed} failed: {faults}; run again with {again}\n{plan}\n{trace}");
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {seeds} seeds failed: {failed:?}", failed.len());
}

// Without the flag in .cargo/config.toml, as when RUSTFLAGS is set, tokio chooses by chance.
#[cfg(tokio_unstable)]
#[test]
fn a_seed_does_the_same_each_time() {
    for seed in 0..TWICE {
        let (first, again) = (run(seed).trace, run(seed).trace);
        let differs = first.iter().zip(&again).find(|(first, again)| first != again);
        assert!(first == again, "seed {seed}: {differs:?}");
    }
}

#[test]
fn a_seed_says_what_happens() {
    let plans: Vec<_> = (0..100).map(|seed| Plan::of(seed).to_string()).collect();
    assert!(plans.iter().zip(0..).all(|(plan, seed)| *plan == Plan::of(seed).to_string()));
    assert!(plans.iter().enumerate().all(|(index, plan)| !plans[..index].contains(plan)), "they differ");
}

/// Runs one seed, and prints what happened.
fn run_again(seed: u64) {
    let Outcome { faults, trace } = run(seed);
    println!("{}\n{}", Plan::of(seed), trace.join("\n"));
    assert!(faults.is_empty(), "seed {seed} failed: {}", faults.join("; "));
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}: it has to be a number")))
}

thread_local! {
    /// Panics within daffi's tasks, which tokio catches.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Runs a seed, and looks whether it gives back what it has taken of memory: everything in it is over by then.
fn run(seed: u64) -> Outcome {
    static FIRST: Once = Once::new();
    // The first run makes what a process makes once.
    FIRST.call_once(|| drop(watch(Plan::of(0))));
    let mut outcome = Outcome::default();
    let room = ROOM + Plan::of(seed).large_streams() * ROOM_OF_LARGE;
    let taken = allocation_counter::measure(|| outcome = watch(Plan::of(seed)));
    let (most, kept) = (taken.bytes_max, taken.bytes_current - outcome.size() as i64);
    if most > room {
        outcome.faults.push(format!("it took {most} bytes at once, and {room} were enough"));
    }
    if kept > KEPT {
        outcome.faults.push(format!("{kept} bytes were not given back"));
    }
    outcome
}

/// Runs a plan, and catches panics.
fn watch(plan: Plan) -> Outcome {
    static COUNTS_PANICS: Once = Once::new();
    COUNTS_PANICS.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    PANICS.set(0);
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut runtime = Builder::new_current_thread();
        // Which of two things it takes first that are ready at the same moment.
        #[cfg(tokio_unstable)]
        runtime.rng_seed(RngSeed::from_bytes(&plan.seed.to_le_bytes()));
        let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new(plan);
            world.run().await;
            (world.ledger.faults(), world.ledger.trace())
        })
    }));
    let (mut faults, trace) = ended.unwrap_or_else(|_| (vec!["it panicked".into()], Vec::new()));
    if PANICS.get() > 0 {
        faults.push("something panicked".into());
    }
    Outcome { faults, trace }
}
