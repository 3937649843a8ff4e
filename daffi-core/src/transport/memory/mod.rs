//! A network within one process, for tests: the same face as QUIC, with delay, loss, broken links and partitions at will.
//!
//! It keeps QUIC's promises and no better ones: streams are ordered and bounded, a closed connection loses what was on its
//! way, and a silent one ends when the listening side bears no more of it. Whatever one side tells the other takes its
//! way over the link, the end of a stream and the refusal of one included. Only room in a stream's window is given back at once.
//!
//! All waiting goes through tokio's clock, so tests can pause time; chance is a row of numbers that a seed determines.
//!
//! [`links`](Links) is what a test does to the network, `path` what becomes of a packet, `connection` and `pipe` are the
//! connections and their streams.

mod connection;
mod links;
mod path;
mod pipe;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::path::{Condition, Path, mix};
pub use self::{
    connection::Connection,
    links::Links,
    pipe::{RecvStream, SendStream},
};
use crate::clock::Clock;

/// A network of one process. Clones share it.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    seed: u64,
    listeners: HashMap<String, Listening>,
    /// In an order, so that what is done to all is done in the same one in each run.
    links: BTreeMap<String, Link>,
    /// What a link is like that nothing was said of.
    fresh: Condition,
}

/// What a network knows of a listener.
#[derive(Debug)]
struct Listening {
    incoming: mpsc::UnboundedSender<Connection>,
    crashed: CancellationToken,
}

/// What a network knows of a link.
#[derive(Debug)]
struct Link {
    condition: watch::Sender<Condition>,
    /// How many connections there have been.
    connections: u64,
}

impl Network {
    /// A network without delay or faults. Its time of day begins with the system's and then passes with tokio's clock.
    pub fn new() -> Self {
        Self { inner: Arc::default(), clock: Clock::starting_at(SystemTime::now()) }
    }

    /// The same with another seed than 0 for its chance. It counts for connections made from now on.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        lock(&self.inner).seed = seed;
        self
    }

    /// The same where it is now this time of day, for nodes that join through what is returned.
    #[must_use]
    pub fn starting_at(mut self, time: SystemTime) -> Self {
        self.clock = Clock::starting_at(time);
        self
    }

    /// The time of day on this network.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Listens under a name of its own, such as `"controller"`.
    pub fn listen(&self, name: &str) -> Listener {
        let (incoming, receiver) = mpsc::unbounded_channel();
        let listening = Listening { incoming, crashed: CancellationToken::new() };
        lock(&self.inner).listeners.insert(name.to_owned(), listening);
        Listener { receiver }
    }

    /// What a crash of the process that listens does: its side of every connection is gone at once and says nothing any more. The
    /// other sides hear nothing, so they end after as much silence as the listening side bore. What the process sent before
    /// still arrives. Whoever listens under the name is to be dropped by the caller.
    pub fn crash(&self, listener: &str) {
        if let Some(listening) = lock(&self.inner).listeners.remove(listener) {
            listening.crashed.cancel();
        }
    }

    /// Connects over the link called `link` (the connecting node's name, say) to a listener. `None` if nobody listens, or the
    /// link is partitioned.
    pub fn connect(&self, link: &str, listener: &str) -> Option<Connection> {
        let mut inner = lock(&self.inner);
        let (seed, fresh) = (inner.seed, inner.fresh);
        let known = inner.links.entry(link.to_owned()).or_insert_with(|| Link::new(fresh));
        let condition = known.condition.subscribe();
        if condition.borrow().partitioned.is_some() {
            return None;
        }
        known.connections += 1;
        // A link's chance does not depend on what happens on others, nor on the order in which they were made.
        let seed = mix(seed, link.bytes().map(u64::from).chain([known.connections]));
        let listening = inner.listeners.get(listener)?;
        let (near, far) = Connection::pair(link, &Path::new(condition, listening.crashed.clone(), seed));
        listening.incoming.send(far).ok()?;
        Some(near)
    }

    /// The link of this name, which need not be there yet: what is done to it is done to the one that will be.
    pub fn link(&self, name: impl Into<String>) -> Links {
        Links::one(self.clone(), name.into())
    }

    /// All links, those that will be made included.
    pub fn links(&self) -> Links {
        Links::all(self.clone())
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    fn new(condition: Condition) -> Self {
        Self { condition: watch::Sender::new(condition), connections: 0 }
    }
}

/// The listening side of a [`Network`].
#[derive(Debug)]
pub struct Listener {
    receiver: mpsc::UnboundedReceiver<Connection>,
}

impl Listener {
    /// The next connection; `None` once the listener is closed. Cancel safe.
    pub async fn accept(&mut self) -> Option<Connection> {
        self.receiver.recv().await
    }

    /// Accepts nothing more.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}

/// Locks what no thread leaves half-changed: a panic elsewhere does not make it unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_network_has_a_time_of_day_of_its_own() {
        let network = Network::new().starting_at(SystemTime::UNIX_EPOCH);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(network.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_listen_or_has_crashed_is_not_connected_to() {
        let network = Network::new();
        assert!(network.connect("node", "controller").is_none());
        let listener = network.listen("controller");
        assert!(network.connect("node", "controller").is_some());
        network.crash("controller");
        assert!(network.connect("node", "controller").is_none());
        drop(listener);
        let _again = network.listen("controller");
        assert!(network.connect("node", "controller").is_some());
    }
}
