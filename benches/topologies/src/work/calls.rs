//! Small calls through the controller and back: how long one takes, and how many go at a time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use clap::Args;
use daffi::{callback, callbacks};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::Work;
use crate::{
    Result,
    report::{CpuSeconds, Figures, rounded},
    topology::Topology,
};

pub(super) const LENGTH: usize = 16;

/// Enough for connections and allocators to have come to their pace.
const WARM_UP: u32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many calls to make
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many to have under way at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
}

#[callback]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

mod stub {
    #[daffi::fetcher]
    pub(super) async fn echo(bytes: &[u8]) -> Vec<u8>;
}

#[derive(Debug)]
pub(crate) struct Calls;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    count: u32,
    in_flight: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    seconds: f64,
    p50_us: f64,
    p99_us: f64,
    /// Whether each answer was what had been sent.
    right: bool,
}

impl Work for Calls {
    const NAME: &'static str = "calls";
    type Order = Order;
    type Outcome = Outcome;

    fn offer(builder: daffi::Builder) -> daffi::Builder {
        builder.callbacks(callbacks![echo])
    }

    async fn send(Order { count, in_flight }: Order) -> Result<Outcome> {
        let left = Arc::new(AtomicI64::new(count.into()));
        let mut callers = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..in_flight {
            callers.spawn(call_until_none_is_left(left.clone()));
        }
        let (mut times, mut right) = (Vec::new(), true);
        while let Some(called) = callers.join_next().await {
            let called = called??;
            times.extend(called.times);
            right &= called.right;
        }
        let seconds = begun.elapsed().as_secs_f64();
        times.sort_unstable();
        Ok(Outcome { seconds, p50_us: percentile(&times, 50), p99_us: percentile(&times, 99), right })
    }
}

struct Called {
    times: Vec<Duration>,
    right: bool,
}

async fn call_until_none_is_left(left: Arc<AtomicI64>) -> Result<Called> {
    let mut called = Called { times: Vec::new(), right: true };
    loop {
        let number = left.fetch_sub(1, Relaxed);
        if number <= 0 {
            return Ok(called);
        }
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let begun = Instant::now();
        let echoed = stub::echo(&bytes).await?;
        called.times.push(begun.elapsed());
        called.right &= echoed == bytes;
    }
}

/// In microseconds; of sorted times.
pub(super) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).map_or(0.0, |time| rounded(time.as_secs_f64() * 1e6, 1))
}

#[derive(Debug, Serialize)]
pub(crate) struct CallsFigures {
    work: &'static str,
    system: &'static str,
    receivers: u32,
    in_flight: u32,
    calls: u32,
    calls_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    right: bool,
    cpu_s: CpuSeconds,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<CallsFigures>> {
    const RECEIVERS: u32 = 1;
    let &Options { count, in_flight } = options;
    let mut topology = Topology::<Calls>::start(RECEIVERS).await?;
    topology.run(&Order { count: WARM_UP, in_flight }).await?;
    let mut figures = Vec::new();
    for _ in 0..runs {
        let (Outcome { seconds, p50_us, p99_us, right }, cpu_s) = topology.run(&Order { count, in_flight }).await?;
        figures.push(CallsFigures {
            work: Calls::NAME,
            system: "daffi",
            receivers: RECEIVERS,
            in_flight,
            calls: count,
            calls_per_s: rounded(f64::from(count) / seconds, 0),
            p50_us,
            p99_us,
            right,
            cpu_s,
        });
    }
    topology.finish().await?;
    Ok(figures)
}

impl Figures for CallsFigures {
    fn rate(&self) -> f64 {
        self.calls_per_s
    }

    fn is_right(&self) -> bool {
        self.right
    }
}

impl fmt::Display for CallsFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, calls, calls_per_s, p50_us, p99_us, cpu_s, .. } = self;
        let right = if self.right { "" } else { ", NOT ALL RIGHT" };
        write!(
            f,
            "calls: {calls}, {in_flight} at a time: {calls_per_s:.0} calls/s, p50 {p50_us} µs, p99 {p99_us} µs{right}; {cpu_s}"
        )
    }
}
