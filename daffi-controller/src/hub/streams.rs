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
    /// The stream goes on without its producer, to its end.
    given_up: bool,
}

/// What became of a further way of a stream.
#[derive(Debug)]
pub(crate) enum Handed {
    /// The stream has it.
    Taken,
    /// The stream does not wait for its producer any more.
    TooLate(Hop),
    /// There is no such stream here.
    Unknown(Hop),
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
            streams.insert(key.clone(), Entry { instance, hops: sender, given_up: false });
        }
        drop(streams);
        Hops { streams: self.clone(), key, hops }
    }

    /// Hands a further way to the stream that it belongs to.
    pub(crate) fn hand_over(&self, key: &Key, hop: Hop) -> Handed {
        match self.lock().get(key).filter(|entry| entry.instance == hop.link.instance) {
            Some(entry) if entry.given_up => Handed::TooLate(hop),
            Some(entry) => match entry.hops.send(hop) {
                Ok(()) => Handed::Taken,
                // It has ended just now.
                Err(unsent) => Handed::Unknown(unsent.0),
            },
            None => Handed::Unknown(hop),
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

    /// Waits for no further way: those who come are told. Unless one has come by now.
    pub(crate) fn give_up(&mut self) -> Option<Hop> {
        let key = self.key.as_ref()?;
        let mut streams = self.streams.lock();
        if let Ok(hop) = self.hops.try_recv() {
            return Some(hop);
        }
        // The other end of a channel is in its entry; if that is gone, the one of this name is another's.
        if self.hops.sender_strong_count() > 0
            && let Some(entry) = streams.get_mut(key)
        {
            entry.given_up = true;
        }
        None
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

#[cfg(test)]
mod tests {
    use daffi_core::{
        link::{FrameSender, Throttle},
        transport::{Connection, memory::Network},
    };

    use super::*;

    /// A way of a stream from a node of this instance.
    async fn hop(network: &Network, instance: u64) -> Hop {
        let mut listener = network.listen("controller");
        let near = Connection::Memory(network.connect("producer", "controller").unwrap());
        let far = Connection::Memory(listener.accept().await.unwrap());
        let (send, source) = near.open_bi().await.unwrap();
        let (frames, _lane) = FrameSender::new();
        let (link, _messages) = NodeLink::new(far, frames, Throttle::default(), "producer", instance);
        let producer = Producer { node: 1, name: "producer".into() };
        Hop { producer, link, resumed: None, send, source, first: Bytes::new() }
    }

    #[tokio::test]
    async fn a_stream_that_gave_its_producer_up_says_so() {
        let (network, streams, key) = (Network::new(), Streams::default(), ("producer".to_owned(), 5));
        let mut hops = streams.expect(Some(key.clone()), 7);
        assert!(matches!(streams.hand_over(&key, hop(&network, 7).await), Handed::Taken));
        assert!(hops.next().await.is_some());
        // One that comes at the last moment is not given up.
        assert!(matches!(streams.hand_over(&key, hop(&network, 7).await), Handed::Taken));
        assert!(hops.give_up().is_some());
        assert!(hops.give_up().is_none());
        assert!(matches!(streams.hand_over(&key, hop(&network, 7).await), Handed::TooLate(_)));
        assert!(matches!(streams.hand_over(&key, hop(&network, 8).await), Handed::Unknown(_)), "another process");
        drop(hops);
        assert!(matches!(streams.hand_over(&key, hop(&network, 7).await), Handed::Unknown(_)));
    }

    #[tokio::test]
    async fn giving_up_is_nothing_to_another_of_the_name() {
        let (network, streams, key) = (Network::new(), Streams::default(), ("producer".to_owned(), 5));
        let mut old = streams.expect(Some(key.clone()), 7);
        streams.end_of_others("producer", 8);
        let _new = streams.expect(Some(key.clone()), 8);
        assert!(old.give_up().is_none());
        drop(old);
        assert!(matches!(streams.hand_over(&key, hop(&network, 8).await), Handed::Taken));
    }
}
