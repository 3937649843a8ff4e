//! The streams that a node takes in, for when they go on over another connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::{link::Reader, node::Inner, transport::SendStream, wire::item_stream::StreamId};

/// The streams, by their producer's name and their own id. The name comes from the controller, so nobody can go on with the stream
/// of another.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<HashMap<Key, mpsc::UnboundedSender<Hop>>>);

pub(super) type Key = (String, StreamId);

/// A stream's way over one connection.
#[derive(Debug)]
pub(super) struct Hop {
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
        match self.lock().get(key) {
            Some(stream) => stream.send(hop).err().map(|unsent| unsent.0),
            None => Some(hop),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, mpsc::UnboundedSender<Hop>>> {
        // Single insertions and removals: a panic leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hops {
    /// Makes a stream known, if it has a key and no other has it.
    pub(super) fn new(node: &Arc<Inner>, key: Option<Key>) -> Self {
        let (sender, hops) = mpsc::unbounded_channel();
        let mut streams = node.arrivals.lock();
        let key = key.filter(|key| !streams.contains_key(key));
        if let Some(key) = &key {
            streams.insert(key.clone(), sender);
        }
        drop(streams);
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
        if let Some(key) = &self.key {
            self.node.arrivals.lock().remove(key);
        }
    }
}
