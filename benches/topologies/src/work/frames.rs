//! Large items: what a byte costs.

use std::fmt;

use clap::Args;
use daffi::{callback, callbacks};
use serde::{Deserialize, Serialize};

use super::{
    Work,
    sequence::{self, Outcome, Run},
};
use crate::{
    Result,
    report::{CpuSeconds, Figures, rounded},
};

/// Enough for connections and allocators to have come to their pace.
const WARM_UP: u64 = 200;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many bytes a frame has; unless told otherwise those of 320 x 180 pixels in RGB
    #[arg(long, default_value_t = 172_800, value_parser = clap::value_parser!(u32).range(8..))]
    size: u32,
    /// How many frames to stream
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// How many processes take them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    receivers: u32,
}

#[callback]
fn frames(frame: &[u8]) {
    sequence::check(frame);
}

mod stub {
    #[daffi::fetcher(STREAM)]
    pub(super) async fn frames(frame: Vec<u8>);
}

#[derive(Debug)]
pub(crate) struct Frames;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    count: u64,
    size: usize,
}

impl Work for Frames {
    const NAME: &'static str = "frames";
    type Order = Order;
    type Outcome = Outcome;

    fn offer(builder: daffi::Builder) -> daffi::Builder {
        builder.callbacks(callbacks![frames])
    }

    async fn send(Order { count, size }: Order) -> Result<Outcome> {
        // A copy of this costs what a camera's driver would, and no page of fresh memory.
        let mut template: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let frame = move |number: u64| {
            template[..8].copy_from_slice(&number.to_le_bytes());
            template.clone()
        };
        sequence::send(count, frame, stub::frames).await
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct FramesFigures {
    work: &'static str,
    system: &'static str,
    receivers: u32,
    size: u32,
    items: u64,
    items_per_s: f64,
    mib_per_s: f64,
    in_order: bool,
    cpu_s: CpuSeconds,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<FramesFigures>> {
    let &Options { size, count: items, receivers } = options;
    let length = usize::try_from(size)?;
    let order = |count| Order { count, size: length };
    let runs = sequence::measure::<Frames>(receivers, length, (WARM_UP, items), runs, order).await?;
    let figures = |Run { seconds, in_order, cpu }| {
        let per_second = items as f64 / seconds;
        FramesFigures {
            work: Frames::NAME,
            system: "daffi",
            receivers,
            size,
            items,
            items_per_s: rounded(per_second, 1),
            mib_per_s: rounded(per_second * f64::from(size) / f64::from(1 << 20), 1),
            in_order,
            cpu_s: cpu,
        }
    };
    Ok(runs.into_iter().map(figures).collect())
}

impl Figures for FramesFigures {
    fn rate(&self) -> f64 {
        self.mib_per_s
    }

    fn is_right(&self) -> bool {
        self.in_order
    }
}

impl fmt::Display for FramesFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receivers, size, items, items_per_s, mib_per_s, cpu_s, .. } = self;
        let order = if self.in_order { "all in order" } else { "NOT ALL IN ORDER" };
        write!(
            f,
            "frames: {items} of {size} B to {receivers}: {mib_per_s:.1} MiB/s ({items_per_s:.0} frames/s) each, {order}; {cpu_s}"
        )
    }
}
