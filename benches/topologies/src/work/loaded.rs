//! Calls beside a stream at full speed, of the same nodes: how much longer a small call takes than alone.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use clap::Args;
use daffi::{callback, callbacks};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::{
    Work,
    calls::{LENGTH, percentile},
};
use crate::{
    Result,
    report::{CpuSeconds, Figures, rounded},
    topology::Topology,
};

/// Enough for connections and allocators to have come to their pace.
const WARM_UP: u32 = 500;

/// How many items have to be on their way before the stream counts as running.
const UNDER_WAY: u64 = 100;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many calls to make alone, and how many beside the stream
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many bytes an item of the stream has
    #[arg(long, default_value_t = 172_800, value_parser = clap::value_parser!(u32).range(1..))]
    size: u32,
}

#[callback]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[callback]
fn bulk(item: &[u8]) {
    std::hint::black_box(item);
}

mod stub {
    #[daffi::fetcher]
    pub(super) async fn echo(bytes: &[u8]) -> Vec<u8>;

    #[daffi::fetcher(STREAM)]
    pub(super) async fn bulk(item: Vec<u8>);
}

#[derive(Debug)]
pub(crate) struct Loaded;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    count: u32,
    size: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    alone: Latency,
    loaded: Latency,
    bytes_per_s: f64,
    right: bool,
}

/// Of one call, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Latency {
    p50_us: f64,
    p99_us: f64,
}

impl Work for Loaded {
    const NAME: &'static str = "loaded";
    type Order = Order;
    type Outcome = Outcome;

    fn offer(builder: daffi::Builder) -> daffi::Builder {
        builder.callbacks(callbacks![echo, bulk])
    }

    async fn send(Order { count, size }: Order) -> Result<Outcome> {
        let (alone, right) = calls(count).await?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let items = {
            let (stop, sent) = (stop.clone(), sent.clone());
            std::iter::from_fn(move || {
                sent.fetch_add(1, Relaxed);
                (!stop.load(Relaxed)).then(|| vec![7; size])
            })
        };
        let stream = tokio::spawn(async { stub::bulk(items).await });
        while sent.load(Relaxed) < UNDER_WAY && !stream.is_finished() {
            yield_now().await;
        }
        let (begun, before) = (Instant::now(), sent.load(Relaxed));
        let (loaded, also_right) = calls(count).await?;
        let items = sent.load(Relaxed) - before;
        let bytes_per_s = items as f64 * size as f64 / begun.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        let complete = stream.await??.is_complete();
        Ok(Outcome { alone, loaded, bytes_per_s, right: right && also_right && complete })
    }
}

/// One call after the other: how long they took, and whether each answer was what had been sent.
async fn calls(count: u32) -> Result<(Latency, bool)> {
    let (mut times, mut right) = (Vec::<Duration>::new(), true);
    for number in 0..count {
        let bytes = [number as u8; LENGTH];
        let begun = Instant::now();
        right &= stub::echo(&bytes).await? == bytes;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok((Latency { p50_us: percentile(&times, 50), p99_us: percentile(&times, 99) }, right))
}

#[derive(Debug, Serialize)]
pub(crate) struct LoadedFigures {
    work: &'static str,
    system: &'static str,
    calls: u32,
    size: u32,
    alone: Latency,
    loaded: Latency,
    /// The p99 beside the stream, in p99s alone.
    ratio: f64,
    mib_per_s: f64,
    right: bool,
    cpu_s: CpuSeconds,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<LoadedFigures>> {
    const RECEIVERS: u32 = 1;
    let &Options { count, size } = options;
    let order = |count| -> Result<Order> { Ok(Order { count, size: usize::try_from(size)? }) };
    let mut topology = Topology::<Loaded>::start(RECEIVERS).await?;
    topology.run(&order(WARM_UP)?).await?;
    let mut figures = Vec::new();
    for _ in 0..runs {
        let (Outcome { alone, loaded, bytes_per_s, right }, cpu_s) = topology.run(&order(count)?).await?;
        figures.push(LoadedFigures {
            work: Loaded::NAME,
            system: "daffi",
            calls: count,
            size,
            alone,
            loaded,
            ratio: rounded(loaded.p99_us / alone.p99_us, 2),
            mib_per_s: rounded(bytes_per_s / f64::from(1 << 20), 1),
            right,
            cpu_s,
        });
    }
    topology.finish().await?;
    Ok(figures)
}

impl Figures for LoadedFigures {
    fn rate(&self) -> f64 {
        self.ratio
    }

    fn is_right(&self) -> bool {
        self.right
    }
}

impl fmt::Display for LoadedFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, loaded, ratio, mib_per_s, calls, cpu_s, .. } = self;
        let right = if self.right { "" } else { ", NOT ALL RIGHT" };
        write!(
            f,
            "loaded: {calls} calls alone: p50 {} µs, p99 {} µs; beside {mib_per_s:.1} MiB/s: p50 {} µs, p99 {} µs, {ratio} of the \
             p99 alone{right}; {cpu_s}",
            alone.p50_us, alone.p99_us, loaded.p50_us, loaded.p99_us
        )
    }
}
