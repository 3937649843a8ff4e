//! The streams that go on when their producer's connection breaks, and how they do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use daffi_core::{
    transport::{RecvStream, SendStream},
    wire::{
        NodeId,
        item_stream::{Resumed, StreamId},
    },
};
use tokio::sync::mpsc;

use super::NodeLink;

/// The node that sends a stream, as it was when it last joined. No connection of it: the stream may outlive that.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) node: NodeId,
    pub(crate) name: String,
}

/// A stream's way from its producer over one connection.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) producer: Producer,
    /// The connection.
    pub(crate) link: NodeLink,
    /// How far it is, if it has begun before.
    pub(crate) resumed: Option<Resumed>,
    pub(crate) send: SendStream,
    pub(crate) source: RecvStream,
    pub(crate) first: Bytes,
}

pub(crate) type Key = (String, StreamId);

/// The streams, by their producer's name and their own id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Debug)]
struct Entry {
    /// Tells the producer from another of its name.
    instance: u64,
    hops: mpsc::UnboundedSender<Hop>,
}

/// Where a stream's further ways arrive; it is known for as long as this lives.
#[derive(Debug)]
pub(crate) struct Hops {
    streams: Streams,
    /// Nothing of a stream that ends with its connection.
    key: Option<Key>,
    hops: mpsc::UnboundedReceiver<Hop>,
}

impl Streams {
    /// Makes a stream known, if it has a key and no other has it.
    pub(crate) fn expect(&self, key: Option<Key>, instance: u64) -> Hops {
        let (sender, hops) = mpsc::unbounded_channel();
        let mut streams = self.lock();
        let key = key.filter(|key| !streams.contains_key(key));
        if let Some(key) = &key {
            streams.insert(key.clone(), Entry { instance, hops: sender });
        }
        drop(streams);
        Hops { streams: self.clone(), key, hops }
    }

    /// Hands a further way to the stream that it belongs to; gives it back if there is none such.
    pub(crate) fn hand_over(&self, key: &Key, hop: Hop) -> Option<Hop> {
        match self.lock().get(key).filter(|entry| entry.instance == hop.link.instance) {
            Some(entry) => entry.hops.send(hop).err().map(|unsent| unsent.0),
            None => Some(hop),
        }
    }

    /// A node has joined: what another of its name has sent does not go on.
    pub(super) fn end_of_others(&self, name: &str, instance: u64) {
        self.lock().retain(|(producer, _), entry| producer != name || entry.instance == instance);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // Single insertions and removals: a panic leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hops {
    /// Whether the stream goes on when its producer's connection breaks.
    pub(crate) const fn last(&self) -> bool {
        self.key.is_some()
    }

    /// The next way; nothing once there can be none. Waits for ever for a stream that ends with its connection. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Hop> {
        if self.last() { self.hops.recv().await } else { std::future::pending().await }
    }
}

impl Drop for Hops {
    fn drop(&mut self) {
        self.hops.close();
        // It may be that of another by now, if the producer's process was started again.
        if let Some(key) = &self.key {
            let mut streams = self.streams.lock();
            if streams.get(key).is_some_and(|entry| entry.hops.is_closed()) {
                streams.remove(key);
            }
        }
    }
}
