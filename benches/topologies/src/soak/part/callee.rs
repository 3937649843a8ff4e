//! Answers calls, and notices those that run twice.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use daffi::{callback, callbacks};

use super::{GRACE, Place};
use crate::{Result, process::Parent, soak::talk::Ran};

/// How many calls of a lane it remembers. A lane makes one at a time, so one that comes twice does so soon.
const REMEMBERED: usize = 4_096;

#[derive(Debug, Default)]
struct Lanes {
    /// By the number of the lane: the numbers of its last calls, each at its place.
    last: HashMap<u32, Vec<Option<u64>>>,
    ran: Ran,
}

static LANES: LazyLock<Mutex<Lanes>> = LazyLock::new(Mutex::default);

#[callback]
async fn once(lane: u32, number: u64) -> u64 {
    lanes(|lanes| {
        let last = lanes.last.entry(lane).or_insert_with(|| vec![None; REMEMBERED]);
        let place = &mut last[number as usize % REMEMBERED];
        lanes.ran.ran += 1;
        lanes.ran.repeated += u64::from(*place == Some(number));
        *place = Some(number);
    });
    number
}

#[callback]
async fn again(number: u64) -> u64 {
    number
}

#[callback]
fn numbers(count: u64) -> impl Iterator<Item = u64> {
    0..count
}

fn lanes<T>(look: impl FnOnce(&mut Lanes) -> T) -> T {
    look(&mut LANES.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(super) async fn play(place: Place) -> Result<()> {
    let node = place.builder().callbacks(callbacks![once, again, numbers]).start().await?;
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(()) = parent.order().await? {
        parent.answer(&lanes(|lanes| lanes.ran))?;
    }
    node.stop_within(GRACE).await;
    Ok(())
}
