//! The streams that a node takes in, for when they go on over another connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::mpsc;

use crate::{
    link::Reader,
    node::{Inner, session::Link},
    transport::SendStream,
    wire::item_stream::StreamId,
};

/// How many streams are remembered that have ended here. A producer may go on with one that this node gave up, or whose end it has not
/// heard of, and that within seconds: more do not end in a process in that time, but for the shortest.
const REMEMBERED: usize = 1024;

/// The streams, by their producer's name and their own id. The name comes from the controller, so nobody can go on with the stream
/// of another.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    streams: HashMap<Key, mpsc::UnboundedSender<Hop>>,
    /// Those that have ended, the last ones.
    ended: VecDeque<Key>,
}

pub(super) type Key = (String, StreamId);

/// A stream's way over one connection.
#[derive(Debug)]
pub(super) struct Hop {
    /// The connection. A stream may outlive it by far, and is not to keep it.
    pub(super) link: Weak<Link>,
    pub(super) send: SendStream,
    pub(super) reader: Reader,
}

/// Where a stream's further ways arrive; it is known for as long as this lives.
#[derive(Debug)]
pub(super) struct Hops {
    node: Arc<Inner>,
    /// Nothing of a stream that ends with its connection.
    key: Option<Key>,
    hops: mpsc::UnboundedReceiver<Hop>,
}

impl Arrivals {
    /// Hands a further way to the stream that it belongs to; gives it back if there is none such.
    pub(super) fn hand_over(&self, key: &Key, hop: Hop) -> Option<Hop> {
        match self.lock().streams.get(key) {
            Some(stream) => stream.send(hop).err().map(|unsent| unsent.0),
            None => Some(hop),
        }
    }

    /// Whether this stream has ended here: what came of it is not to come again.
    pub(super) fn has_ended(&self, key: &Key) -> bool {
        self.lock().ended.contains(key)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Single insertions and removals: a panic leaves both whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hops {
    /// Makes a stream known, if it has a key and no other has it.
    pub(super) fn new(node: &Arc<Inner>, key: Option<Key>) -> Self {
        let (sender, hops) = mpsc::unbounded_channel();
        let mut known = node.arrivals.lock();
        let key = key.filter(|key| !known.streams.contains_key(key));
        if let Some(key) = &key {
            known.streams.insert(key.clone(), sender);
        }
        drop(known);
        Self { node: node.clone(), key, hops }
    }

    /// Whether the stream goes on when its connection breaks.
    pub(super) const fn last(&self) -> bool {
        self.key.is_some()
    }

    /// The next way. Waits for ever if there can be none. Cancel safe.
    pub(super) async fn next(&mut self) -> Hop {
        match self.hops.recv().await {
            Some(hop) => hop,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Hops {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut known = self.node.arrivals.lock();
            known.streams.remove(&key);
            known.ended.push_back(key);
            if known.ended.len() > REMEMBERED {
                known.ended.pop_front();
            }
        }
    }
}
