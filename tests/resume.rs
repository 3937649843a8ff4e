//! Streams that go on when a connection breaks, on a network in memory whose clock stands still while there is something to do.

#[path = "resume/ends.rs"]
mod ends;
#[path = "resume/hops.rs"]
mod hops;
#[path = "resume/lossless.rs"]
mod lossless;
#[path = "resume/lossy.rs"]
mod lossy;
#[path = "resume/meanwhile.rs"]
mod meanwhile;

use std::{sync::Arc, time::Duration};

use daffi::{Event, Events, Node, callback, testing::Network};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What came to a receiver, in the order in which it came.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<watch::Sender<Vec<u64>>>);

impl Seen {
    fn all(&self) -> Vec<u64> {
        self.0.borrow().clone()
    }

    /// Waits until so many have come.
    async fn has(&self, count: usize) {
        self.0.subscribe().wait_for(|seen| seen.len() >= count).await.unwrap();
    }
}

/// An item all of whose bytes are its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Large {
    number: u64,
    #[serde(with = "serde_bytes")]
    item: Vec<u8>,
}

/// A receiver that takes some time for each item.
struct Receiver {
    seen: Seen,
    each: Duration,
}

#[callback]
impl Receiver {
    #[callback]
    async fn take(&self, item: u64) {
        if !self.each.is_zero() {
            tokio::time::sleep(self.each).await;
        }
        self.seen.0.send_modify(|seen| seen.push(item));
    }

    #[callback]
    async fn weigh(&self, item: Large) {
        let Large { number, item } = item;
        if !self.each.is_zero() {
            tokio::time::sleep(self.each).await;
        }
        assert!(item.iter().all(|byte| *byte == number as u8), "item {number} is whole");
        self.seen.0.send_modify(|seen| seen.push(number));
    }
}

mod remote {
    use daffi::fetcher;

    #[fetcher(STREAM)]
    pub async fn take(item: u64);

    #[fetcher(STREAM, name = "take", on_slow = DropOldest(5))]
    pub async fn take_some(item: u64);

    #[fetcher(STREAM)]
    pub async fn weigh(item: super::Large);
}

/// Joins a receiver.
async fn receiver(net: &Network, name: &str, each: Duration) -> (Node, Seen) {
    let seen = Seen::default();
    let node = net.node(name).serve(Receiver { seen: seen.clone(), each }).join().await.unwrap();
    (node, seen)
}

/// Joins a producer that knows of these receivers.
async fn producer(net: &Network, receivers: &[&str]) -> Node {
    let node = net.node("producer").callbacks([]).join().await.unwrap();
    for receiver in receivers {
        node.wait_process(*receiver).await.unwrap();
    }
    node
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("the node lives");
        if wanted(&event) {
            return event;
        }
    }
}
