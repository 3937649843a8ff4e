//! Streams through a router to one or more receivers.
//!
//! Every run of every system streams a little to warm up, and then what is measured. Each receiver checks every item, and a run
//! in which one came out of order, damaged, or not at all where the system promises that all come, is no run.

mod intake;
mod item;
mod kind;
mod measure;
mod source;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    intake::Intake,
    item::Splitter,
    kind::{Delivery, Kind},
    measure::entries,
    source::Source,
};
use crate::{
    Result,
    clock::monotonic_ns,
    role::{Orders, tell},
};

/// What is streamed to whom: all that every part of a run needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    /// Of an item, in bytes.
    pub(crate) length: u32,
    pub(crate) receivers: u32,
    /// How many items are made in a second, if not as many as are taken.
    pub(crate) fps: Option<u32>,
    /// Whether the first of the receivers is slow.
    pub(crate) slow: bool,
}

/// What a sender is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Order {
    count: u32,
}

/// What it tells when it has nothing more to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Sent {
    /// When it was told to begin, by [`monotonic_ns`].
    begun_ns: u64,
}

impl Scene {
    /// As it stands on a command line.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        Ok(serde_json::from_str(json)?)
    }

    /// The same for whoever is not Rust.
    pub(crate) fn to_json(self) -> Result<String> {
        Ok(serde_json::to_string(&self)?)
    }
}

/// Carries out a sender's orders with `send`, which returns when the system has the last item, or knows that all have arrived.
pub(crate) async fn carry_out(
    scene: &Scene,
    mut orders: Orders,
    mut send: impl AsyncFnMut(Source) -> Result<()>,
) -> Result<()> {
    tell(&())?;
    while let Some(Order { count }) = orders.next().await? {
        let begun_ns = monotonic_ns();
        send(Source::new(scene, count)).await?;
        tell(&Sent { begun_ns })?;
    }
    Ok(())
}

/// The same for those without a runtime.
pub(crate) fn carry_out_blocking(
    scene: &Scene,
    mut orders: Orders,
    mut send: impl FnMut(Source) -> Result<()>,
) -> Result<()> {
    tell(&())?;
    while let Some(Order { count }) = orders.next_blocking()? {
        let begun_ns = monotonic_ns();
        send(Source::new(scene, count))?;
        tell(&Sent { begun_ns })?;
    }
    Ok(())
}
