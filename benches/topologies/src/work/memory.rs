//! A stream that lasts, to many receivers half of which are slow: whether the controller's memory stays what it was.

use std::{
    fmt, iter,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use daffi::{OnSlow, callback, callbacks};
use serde::{Deserialize, Serialize};

use super::Work;
use crate::{
    Result,
    report::{CpuSeconds, Figures, rounded},
    topology::Topology,
};

/// How long a slow receiver takes for an item.
const SLOWLY: Duration = Duration::from_millis(100);

/// How often to look at the controller's memory. What it has after the first tenth of the time it needs.
const LOOK: Duration = Duration::from_millis(500);

const MIB: f64 = (1 << 20) as f64;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long the stream lasts
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=1800))]
    seconds: u64,
    /// How many processes take it; every other one is slow
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    receivers: u32,
    /// How many bytes an item has
    #[arg(long, default_value_t = 172_800)]
    size: u32,
    /// How many items a second there are, if nobody holds them back
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    per_second: u32,
    /// What a receiver costs that is slow
    #[arg(long, value_enum, default_value_t = Policy::Latest)]
    on_slow: Policy,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// Everybody waits for it
    Block,
    /// Up to 32 items wait for it
    Oldest,
    /// The latest item waits for it
    Latest,
}

impl From<Policy> for OnSlow {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Block => Self::Block,
            Policy::Oldest => Self::DropOldest(32),
            Policy::Latest => Self::KeepLatest,
        }
    }
}

/// How long this receiver takes for an item, in milliseconds.
static TAKES: AtomicU64 = AtomicU64::new(0);

#[callback]
fn watch(item: &[u8]) {
    std::hint::black_box(item);
    thread::sleep(Duration::from_millis(TAKES.load(Relaxed)));
}

#[callback]
async fn take_longer(millis: u64) {
    TAKES.store(millis, Relaxed);
}

mod stub {
    #[daffi::fetcher(STREAM)]
    pub(super) async fn watch(item: Vec<u8>);

    #[daffi::fetcher]
    pub(super) async fn take_longer(millis: u64);
}

#[derive(Debug)]
pub(crate) struct Memory;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    seconds: u64,
    size: usize,
    per_second: u32,
    on_slow: Policy,
    slow: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    sent: u64,
    dropped: u64,
    /// Whether every item is accounted for, at every receiver.
    accounted: bool,
}

impl Work for Memory {
    const NAME: &'static str = "memory";
    type Order = Order;
    type Outcome = Outcome;

    fn offer(builder: daffi::Builder) -> daffi::Builder {
        builder.callbacks(callbacks![watch, take_longer])
    }

    async fn send(Order { seconds, size, per_second, on_slow, slow }: Order) -> Result<Outcome> {
        for node in slow {
            stub::take_longer(u64::try_from(SLOWLY.as_millis())?).to(node).await?;
        }
        let (begun, mut due) = (Instant::now(), Instant::now());
        let items = iter::from_fn(move || {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now().max(due + Duration::from_secs(1) / per_second);
            (begun.elapsed() < Duration::from_secs(seconds)).then(|| vec![7; size])
        });
        let report = stub::watch(items).on_slow(on_slow.into()).await?;
        let accounted = report.receivers.iter().all(|receiver| {
            receiver.result.is_ok() && receiver.first + receiver.delivered + receiver.dropped == report.sent
        });
        let dropped = report.receivers.iter().map(|receiver| receiver.dropped).sum();
        Ok(Outcome { sent: report.sent, dropped, accounted })
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct MemoryFigures {
    work: &'static str,
    system: &'static str,
    receivers: u32,
    size: u32,
    on_slow: Policy,
    seconds: u64,
    items: u64,
    dropped: u64,
    accounted: bool,
    /// The controller's memory before the stream, after a tenth of it, at its end, and the most there was.
    before_mib: f64,
    soon_mib: f64,
    end_mib: f64,
    most_mib: f64,
    cpu_s: CpuSeconds,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<MemoryFigures>> {
    let &Options { seconds, receivers, size, per_second, on_slow } = options;
    let mut figures = Vec::new();
    for _ in 0..runs {
        // A fresh controller each time: memory that a process had stays its own.
        let mut topology = Topology::<Memory>::start(receivers).await?;
        let slow = (1..=receivers).step_by(2).map(|number| format!("receiver-{number}")).collect();
        let order = Order { seconds, size: usize::try_from(size)?, per_second, on_slow, slow };
        let (Outcome { sent, dropped, accounted }, cpu_s, seen) = topology.run_watched(&order, LOOK).await?;
        let mib = |bytes: Option<&u64>| bytes.map_or(0.0, |bytes| rounded(*bytes as f64 / MIB, 1));
        figures.push(MemoryFigures {
            work: Memory::NAME,
            system: "daffi",
            receivers,
            size,
            on_slow,
            seconds,
            items: sent,
            dropped,
            accounted,
            before_mib: mib(seen.first()),
            soon_mib: mib(seen.get(seen.len() / 10)),
            end_mib: mib(seen.last()),
            most_mib: mib(seen.iter().max()),
            cpu_s,
        });
        topology.finish().await?;
    }
    Ok(figures)
}

impl Figures for MemoryFigures {
    fn rate(&self) -> f64 {
        self.most_mib
    }

    fn is_right(&self) -> bool {
        self.accounted
    }
}

impl fmt::Display for MemoryFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receivers, seconds, items, dropped, before_mib, soon_mib, end_mib, most_mib, cpu_s, .. } = self;
        let accounted = if self.accounted { "all accounted for" } else { "NOT ALL ACCOUNTED FOR" };
        write!(
            f,
            "memory: {items} items in {seconds} s to {receivers}, {dropped} dropped, {accounted}; the controller had {before_mib} MiB \
             before, {soon_mib} soon, {end_mib} at the end, {most_mib} at most; {cpu_s}"
        )
    }
}
