//! Small items: what an item costs, whatever its size.

use std::fmt;

use clap::{Args, ValueEnum};
use daffi::{callback, callbacks};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::{
    Work,
    sequence::{self, Outcome, Run},
};
use crate::{
    Result,
    report::{CpuSeconds, Figures, rounded},
};

const LENGTH: usize = 64;

/// Enough for connections and allocators to have come to their pace.
const WARM_UP: u64 = 20_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many items to stream
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    items: u64,
    /// How many processes take them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    receivers: u32,
    /// What an item is to the sender
    #[arg(long, value_enum, default_value_t = Item::Vec)]
    item: Item,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Item {
    /// A fresh `Vec<u8>`
    Vec,
    /// An array, which needs no memory of its own
    Array,
}

#[callback]
fn tiny(item: &[u8]) {
    sequence::check(item);
}

mod stub_of_vec {
    #[daffi::fetcher(STREAM)]
    pub(super) async fn tiny(item: Vec<u8>);
}

mod stub_of_array {
    use serde_bytes::ByteArray;

    #[daffi::fetcher(STREAM)]
    pub(super) async fn tiny(item: ByteArray<64>);
}

#[derive(Debug)]
pub(crate) struct Tiny;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    items: u64,
    item: Item,
}

impl Work for Tiny {
    const NAME: &'static str = "tiny";
    type Order = Order;
    type Outcome = Outcome;

    fn offer(builder: daffi::Builder) -> daffi::Builder {
        builder.callbacks(callbacks![tiny])
    }

    async fn send(Order { items, item }: Order) -> Result<Outcome> {
        match item {
            Item::Vec => sequence::send(items, |number| bytes(number).to_vec(), stub_of_vec::tiny).await,
            Item::Array => sequence::send(items, |number| ByteArray::new(bytes(number)), stub_of_array::tiny).await,
        }
    }
}

fn bytes(number: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[derive(Debug, Serialize)]
pub(crate) struct TinyFigures {
    work: &'static str,
    system: &'static str,
    receivers: u32,
    items: u64,
    items_per_s: f64,
    in_order: bool,
    cpu_s: CpuSeconds,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<TinyFigures>> {
    let &Options { items, receivers, item } = options;
    let order = |items| Order { items, item };
    let runs = sequence::measure::<Tiny>(receivers, LENGTH, (WARM_UP, items), runs, order).await?;
    let figures = |Run { seconds, in_order, cpu }| TinyFigures {
        work: Tiny::NAME,
        system: "daffi",
        receivers,
        items,
        items_per_s: rounded(items as f64 / seconds, 0),
        in_order,
        cpu_s: cpu,
    };
    Ok(runs.into_iter().map(figures).collect())
}

impl Figures for TinyFigures {
    fn rate(&self) -> f64 {
        self.items_per_s
    }

    fn is_right(&self) -> bool {
        self.in_order
    }
}

impl fmt::Display for TinyFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receivers, items, items_per_s, cpu_s, .. } = self;
        let order = if self.in_order { "all in order" } else { "NOT ALL IN ORDER" };
        write!(f, "tiny: {items} items to {receivers}: {items_per_s:.0} items/s each, {order}; {cpu_s}")
    }
}
