//! Callbacks that return a stream of results, over real QUIC: what arrives, how it ends, and that nothing goes on that nobody
//! wants.

mod common;

#[path = "results/drains.rs"]
mod drains;
#[path = "results/ends.rs"]
mod ends;
#[path = "results/items.rs"]
mod items;
#[path = "results/limits.rs"]
mod limits;
#[path = "results/losses.rs"]
mod losses;
#[path = "results/many.rs"]
mod many;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daffi::{CallError, Global, Results};
use tokio::sync::watch;

/// For the tests that carry much: long enough for a loaded machine, and no longer than a test that hangs should take.
const MUCH: Duration = Duration::from_secs(120);

/// A controller, a node that makes calls, and one that answers them. The order is the one to be dropped in.
struct Pair {
    caller: Global,
    callee: Global,
    controller: common::Controller,
}

impl Pair {
    async fn of(callbacks: impl IntoIterator<Item = daffi_core::node::Callback>) -> Self {
        let controller = common::Controller::start().await;
        let callee = controller.node("callee", callbacks).await;
        let caller = controller.node("caller", []).await;
        common::meet(&[&caller, &callee]).await;
        Self { caller, callee, controller }
    }
}

/// A source whose progress a test watches: how many items it has given, and whether it still exists.
#[derive(Clone)]
struct Tap {
    given: Arc<AtomicU64>,
    alive: watch::Sender<usize>,
}

impl Tap {
    fn new() -> Self {
        Self { given: Arc::default(), alive: watch::Sender::new(0) }
    }

    /// The numbers from 0 on, without end.
    fn open(&self) -> impl Iterator<Item = u64> + Send + use<> {
        self.alive.send_modify(|alive| *alive += 1);
        let (given, open) = (self.given.clone(), Open(self.alive.clone()));
        (0..).inspect(move |_| {
            let _ = &open;
            given.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Waits until no source of it exists any more.
    async fn is_closed(&self) {
        let mut alive = self.alive.subscribe();
        common::soon(alive.wait_for(|alive| *alive == 0)).await.expect("it lives as long as the program");
    }

    async fn is_open(&self) {
        let mut alive = self.alive.subscribe();
        common::soon(alive.wait_for(|alive| *alive > 0)).await.expect("it lives as long as the program");
    }
}

struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

/// Takes everything that is still to come.
async fn rest<T, E>(results: &mut Results<T, E>) -> Vec<Result<T, CallError<E>>> {
    let mut rest = Vec::new();
    while let Some(item) = within(MUCH, results.next()).await {
        rest.push(item);
    }
    rest
}

/// Fails a test that takes longer than it should, instead of letting it hang.
async fn within<F: IntoFuture>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("it ends in time")
}
