//! Calls without a pause, and keeps account of what becomes of each call.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use daffi::{CallError, Event, Events, Retry, callbacks};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{GRACE, Place};
use crate::{
    Result,
    process::Parent,
    soak::talk::{CallerOrder, Tally},
};

/// How long a call may take; one that is tried again may take longer.
const DEADLINE: Duration = Duration::from_secs(10);
const LONG_DEADLINE: Duration = Duration::from_secs(25);

/// How much later than its deadline a call may end on a machine with few cores and much to do.
const SLACK: Duration = Duration::from_secs(2);

/// How many lanes make calls that must not run twice, and how many those that may.
const LANES: u32 = 3;
const IDEMPOTENT: u32 = 2;

/// Between two calls of a lane, and between two streams of results.
const PAUSE: Duration = Duration::from_millis(2);
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// How many items a stream of results has.
const RESULTS: u64 = 20_000;

mod stub {
    #[daffi::fetcher]
    pub(super) async fn once(lane: u32, number: u64) -> u64;

    #[daffi::fetcher(idempotent)]
    pub(super) async fn again(number: u64) -> u64;

    #[daffi::fetcher]
    pub(super) async fn numbers(count: u64) -> impl Stream<Item = u64>;
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

impl Shared {
    fn count<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes one call, and counts what becomes of it: `expected`, or an error.
    async fn make<F>(&self, call: F, within: Duration, expected: u64) -> bool
    where
        F: Future<Output = std::result::Result<u64, CallError>>,
    {
        self.count(|tally| tally.made += 1);
        match timeout(within + SLACK, call).await {
            Ok(Ok(answer)) => {
                self.count(|tally| {
                    tally.answered += 1;
                    tally.wrong += u64::from(answer != expected);
                });
                return true;
            }
            Ok(Err(error)) => self.count(|tally| *tally.errors.entry(name(&error)).or_default() += 1),
            Err(_) => self.count(|tally| tally.overdue += 1),
        }
        false
    }
}

/// The variant's name, with which the error begins when it is debug-printed.
fn name(error: &CallError) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

pub(super) async fn play(place: Place) -> Result<()> {
    let node = place.builder().callbacks(callbacks![]).start().await?;
    let (left, leaving) = watch::channel(HashMap::new());
    tokio::spawn(note_who_leaves(node.events(), left));
    let shared = Arc::<Shared>::default();
    let mut lanes = JoinSet::new();
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(order) = parent.order().await? {
        match order {
            CallerOrder::Go => {
                node.wait_function("numbers").timeout(DEADLINE).await?;
                (0..LANES).for_each(|lane| drop(lanes.spawn(call_once(shared.clone(), lane))));
                (0..IDEMPOTENT).for_each(|_| drop(lanes.spawn(call_again(shared.clone()))));
                lanes.spawn(take_results(shared.clone()));
                parent.answer(&())?;
            }
            CallerOrder::Tell => parent.answer(&shared.count(|tally| tally.clone()))?,
            CallerOrder::Stop => {
                shared.stop.store(true, Relaxed);
                while lanes.join_next().await.is_some() {}
                parent.answer(&shared.count(|tally| tally.clone()))?;
            }
            CallerOrder::Left(node) => parent.answer(&times(&leaving.borrow(), &node))?,
            CallerOrder::AwaitLeft { node, beyond, millis } => {
                let mut leaving = leaving.clone();
                let again = leaving.wait_for(|left| times(left, &node) > beyond);
                // What there is after that time is the answer, whether or not it is enough.
                drop(timeout(Duration::from_millis(millis), again).await);
                parent.answer(&times(&leaving.borrow(), &node))?;
            }
        }
    }
    node.stop_within(GRACE).await;
    Ok(())
}

fn times(left: &HashMap<String, u64>, node: &str) -> u64 {
    left.get(node).copied().unwrap_or_default()
}

async fn note_who_leaves(mut events: Events, left: watch::Sender<HashMap<String, u64>>) {
    while let Some(event) = events.next().await {
        if let Event::NodeLeft { node, .. } = event {
            left.send_modify(|left| *left.entry(node).or_default() += 1);
        }
    }
}

async fn call_once(shared: Arc<Shared>, lane: u32) {
    for number in 0.. {
        if shared.stop.load(Relaxed) {
            return;
        }
        shared.count(|tally| tally.once_made += 1);
        let answered = shared.make(stub::once(lane, number).timeout(DEADLINE).into_future(), DEADLINE, number).await;
        shared.count(|tally| tally.once_answered += u64::from(answered));
        sleep(PAUSE).await;
    }
}

async fn call_again(shared: Arc<Shared>) {
    for number in 0.. {
        if shared.stop.load(Relaxed) {
            return;
        }
        let retry = Retry::times(1_000).pauses(Duration::from_millis(20), Duration::from_millis(200));
        let call = stub::again(number).retry(retry).timeout(LONG_DEADLINE);
        shared.make(call.into_future(), LONG_DEADLINE, number).await;
        sleep(PAUSE).await;
    }
}

async fn take_results(shared: Arc<Shared>) {
    while !shared.stop.load(Relaxed) {
        let taking = async {
            let mut results = stub::numbers(RESULTS).timeout(DEADLINE).await?;
            let mut count = 0;
            while let Some(number) = results.next().await {
                let number = number?;
                shared.count(|tally| {
                    tally.results += 1;
                    tally.wrong += u64::from(number != count);
                });
                count += 1;
            }
            Ok(count)
        };
        shared.make(taking, DEADLINE, RESULTS).await;
        sleep(LONG_PAUSE).await;
    }
}
