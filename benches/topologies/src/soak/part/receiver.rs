//! Takes streams, and keeps account of every item.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use daffi::{callback, callbacks};
use tokio::{sync::watch, time::timeout};

use super::{GRACE, Item, Place};
use crate::{
    Result,
    process::Parent,
    soak::talk::{Kind, ReceiverOrder, Seen},
};

/// How long a slow receiver takes for an item of a lossless stream: it keeps up with its source, and with nothing faster.
const STEADY: Duration = Duration::from_millis(1);

/// And for one of a live stream, which is too long.
const LIVE: Duration = Duration::from_millis(30);

static SLOW: AtomicBool = AtomicBool::new(false);
static SEEN: LazyLock<Mutex<HashMap<u64, Seen>>> = LazyLock::new(Mutex::default);
/// How many items of each kind there were.
static COUNTS: LazyLock<watch::Sender<[u64; 3]>> = LazyLock::new(watch::Sender::default);

#[callback]
fn steady(item: Item) {
    take(Kind::Steady, &item, STEADY);
}

#[callback]
fn live(item: Item) {
    take(Kind::Live, &item, LIVE);
}

#[callback]
fn large(item: Item) {
    take(Kind::Large, &item, Duration::ZERO);
}

fn take(kind: Kind, item: &Item, slowly: Duration) {
    if SLOW.load(Relaxed) {
        thread::sleep(slowly);
    }
    seen(|seen| seen.entry(item.stream).or_default().take(item.number));
    COUNTS.send_modify(|counts| counts[kind as usize] += 1);
}

fn seen<T>(look: impl FnOnce(&mut HashMap<u64, Seen>) -> T) -> T {
    look(&mut SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(super) async fn play(place: Place, slow: bool) -> Result<()> {
    SLOW.store(slow, Relaxed);
    let node = place.builder().callbacks(callbacks![steady, live, large]).start().await?;
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(order) = parent.order().await? {
        match order {
            ReceiverOrder::Count(kind) => parent.answer(&COUNTS.borrow()[kind as usize])?,
            ReceiverOrder::Await { kind, beyond, millis } => {
                let mut counts = COUNTS.subscribe();
                let more = counts.wait_for(|counts| counts[kind as usize] > beyond);
                // What there is after that time is the answer, whether or not it is enough.
                drop(timeout(Duration::from_millis(millis), more).await);
                parent.answer(&COUNTS.borrow()[kind as usize])?;
            }
            ReceiverOrder::Take(streams) => {
                let taken = |seen: &mut HashMap<u64, Seen>| -> Vec<Seen> {
                    streams.iter().map(|stream| seen.remove(stream).unwrap_or_default()).collect()
                };
                parent.answer(&seen(taken))?;
            }
        }
    }
    node.stop_within(GRACE).await;
    Ok(())
}
