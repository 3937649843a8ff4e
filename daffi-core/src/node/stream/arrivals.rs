//! The streams that a node takes in, for when they go on over another connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    link::Reader,
    node::{Inner, session::Link},
    transport::SendStream,
    wire::{
        item_stream::{ReceiverId, StreamId},
        limits::{KEEP_ALIVE, MAX_SILENCE, RESUME},
    },
};

/// For how long a stream is remembered that has ended here. A producer may go on with one that this node gave up, or whose end it has
/// not heard of: after a silence, which begins with its first word that nobody answers, it misses the controller, waits for the next, and
/// that one for this node.
const REMEMBERED_FOR: Duration = KEEP_ALIVE.saturating_add(MAX_SILENCE).saturating_add(RESUME.saturating_mul(2));

/// How many are remembered at most: all that end in that time, up to 2,000 in a second.
const REMEMBERED: usize = 64 << 10;

/// How many bytes of what became of them: enough for all, at 100 to 200 bytes each, unless many have large results.
const ENDINGS: usize = 16 << 20;

/// The streams, by their producer's name and their own id. The name comes from the controller, so nobody can go on with the stream
/// of another.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    streams: HashMap<Key, mpsc::UnboundedSender<Hop>>,
    ended: Ended,
}

/// Those that have ended, the last ones.
#[derive(Debug, Default)]
struct Ended {
    /// When, and what is answered to who asks again.
    streams: HashMap<Key, (Instant, Option<Bytes>)>,
    /// As they ended.
    order: VecDeque<(Instant, Key)>,
    /// How many bytes the answers have.
    bytes: usize,
}

/// The producer's name, its number of the stream, and this receiver's number in it: one that has left a live stream and comes to it
/// again has another.
pub(super) type Key = (String, StreamId, ReceiverId);

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
    /// What is answered when it has ended and somebody asks again.
    ending: Option<Bytes>,
}

impl Arrivals {
    /// Hands a further way to the stream that it belongs to; gives it back if there is none such.
    pub(super) fn hand_over(&self, key: &Key, hop: Hop) -> Option<Hop> {
        match self.lock().streams.get(key) {
            Some(stream) => stream.send(hop).err().map(|unsent| unsent.0),
            None => Some(hop),
        }
    }

    /// Whether this stream has ended here: what came of it is not to come again. And what to answer, if that is known.
    pub(super) fn ended(&self, key: &Key) -> Option<Option<Bytes>> {
        self.lock().ended.streams.get(key).map(|(_, ending)| ending.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Insertions and removals, which do not panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    /// Remembers a stream, and forgets those that nobody asks for any more.
    fn remember(&mut self, key: Key, ending: Option<Bytes>, now: Instant) {
        let ending = ending.filter(|ending| self.bytes + ending.len() <= ENDINGS);
        self.bytes += length(ending.as_ref());
        self.order.push_back((now, key.clone()));
        if let Some((_, before)) = self.streams.insert(key, (now, ending)) {
            self.bytes -= length(before.as_ref());
        }
        let is_over = |(at, _): &(Instant, Key)| now.saturating_duration_since(*at) > REMEMBERED_FOR;
        while self.order.len() > REMEMBERED || self.order.front().is_some_and(is_over) {
            let Some((at, key)) = self.order.pop_front() else { break };
            // It may have ended again since.
            if self.streams.get(&key).is_some_and(|(last, _)| *last == at)
                && let Some((_, ending)) = self.streams.remove(&key)
            {
                self.bytes -= length(ending.as_ref());
            }
        }
    }
}

fn length(ending: Option<&Bytes>) -> usize {
    ending.map_or(0, Bytes::len)
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
        Self { node: node.clone(), key, hops, ending: None }
    }

    /// Whether the stream goes on when its connection breaks.
    pub(super) const fn last(&self) -> bool {
        self.key.is_some()
    }

    /// The stream is over, and this is what to answer to who goes on with it all the same.
    pub(super) fn end_with(&mut self, ending: Bytes) {
        self.ending = Some(ending);
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
            known.ended.remember(key, self.ending.take(), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: usize) -> Key {
        ("producer".into(), id as StreamId, 0)
    }

    #[test]
    fn what_ended_is_remembered_for_a_time_and_not_for_a_number() {
        let (mut ended, start) = (Ended::default(), Instant::now());
        for id in 0..10_000 {
            ended.remember(key(id), Some(Bytes::from_static(b"an answer")), start);
        }
        assert_eq!((ended.streams.len(), ended.bytes), (10_000, 90_000));
        ended.remember(key(0), None, start + REMEMBERED_FOR);
        // What ended again counts from then on.
        ended.remember(key(10_000), None, start + REMEMBERED_FOR + Duration::from_millis(1));
        let mut left: Vec<_> = ended.streams.keys().map(|(_, id, _)| *id).collect();
        left.sort_unstable();
        assert_eq!((left, ended.order.len(), ended.bytes), (vec![0, 10_000], 2, 0));
    }

    #[test]
    fn a_flood_of_ends_is_bounded() {
        let (mut ended, now) = (Ended::default(), Instant::now());
        let answer = Bytes::from(vec![0; 1 << 10]);
        for id in 0..REMEMBERED + 100 {
            ended.remember(key(id), Some(answer.clone()), now);
            assert!(ended.bytes <= ENDINGS);
        }
        assert_eq!((ended.streams.len(), ended.order.len()), (REMEMBERED, REMEMBERED));
        // The oldest went first, and left room for the answers of the last.
        assert!(!ended.streams.contains_key(&key(99)));
        assert!(ended.streams[&key(REMEMBERED + 99)].1.is_some());
        assert!(ended.streams[&key(REMEMBERED - 1)].1.is_none());
    }
}
