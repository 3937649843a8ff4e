//! What a stream's fan-out knows: what waits for each receiver, who may be sent how much, and what the producer is to be told.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use daffi_core::wire::{
    Malformed, NodeId,
    batch::{Batch, Carries, Header},
    credit::Credit,
    failure::Failure,
    item_stream::{Answer, ReceiverEnd, StreamRequest},
    limits::{self, BATCH, FRAGMENT, MAX_HEAD, MAX_PAYLOAD, MAX_TARGETS, TELL_DROPPED},
    pace::Pace,
    queue::Queue,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a receiver grants from the start.
pub(super) const WINDOW: Credit = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };

/// The state of one stream.
pub(super) struct Fanout {
    state: Mutex<State>,
    /// The producer has something to be told.
    news: Notify,
    began: Instant,
}

struct State {
    /// Those who are there, in the order in which they came. Few, so that a look at each costs little beside a batch.
    receivers: Vec<Receiver>,
    came: Key,
    /// What came from the producer.
    received: Credit,
    /// What the producer was granted.
    granted: Credit,
    /// Ends that the producer has not been told of yet.
    ended: Vec<ReceiverEnd>,
    /// Items went that the producer has not been told of yet.
    dropped: bool,
    /// The stream takes in newcomers and lasts as long as its source: nothing is to come of one whose end is here.
    live: bool,
    /// The batch whose last item is the last that a receiver can begin with, for newcomers.
    latest: Option<Batch>,
    takes_fragments: bool,
    /// How many bytes came of a batch whose last fragment has not come.
    fragments: usize,
    /// How many bytes an item may have.
    item_size: usize,
    has_ended: bool,
}

/// Stands for a receiver: never used again for another.
pub(super) type Key = u64;

struct Receiver {
    key: Key,
    node: NodeId,
    queue: Queue,
    /// Nothing for one that has to have all items: that one holds the producer back instead.
    pace: Option<Pace>,
    filled: Arc<Notify>,
    /// What came from the producer and is not for this one: it was before its time.
    before: Credit,
    sent: Credit,
    granted: Credit,
    progress_at: Instant,
    dropped_told: u64,
    over: Arc<Over>,
}

/// Whether a receiver has left the stream.
#[derive(Debug, Default)]
pub(super) struct Over {
    pub(super) token: CancellationToken,
    stalled: AtomicBool,
}

impl Over {
    /// Whether it was taken off the stream because it finished nothing.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }
}

/// What a receiver's task needs to know of it.
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) filled: Arc<Notify>,
    pub(super) over: Arc<Over>,
}

/// What comes after what waits for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// More items, or the end.
    More,
    /// Nothing: the stream has ended.
    End,
    /// Nothing: the receiver has left the stream.
    Over,
}

impl Receiver {
    /// How many items its callback is through with, as far as it has told.
    const fn finished(&self) -> u64 {
        self.granted.items.saturating_sub(WINDOW.items)
    }

    /// Whether there is something for it to do.
    fn is_busy(&self) -> bool {
        // An item that comes in fragments is none until the last of them.
        let finished = self.granted.bytes.saturating_sub(WINDOW.bytes);
        self.sent.items > self.finished() || self.sent.bytes > finished || !self.queue.is_empty()
    }

    /// How many items may be sent to it.
    fn room(&self) -> u64 {
        if self.sent.is_below(self.granted) { self.pace.as_ref().map_or(u64::MAX, Pace::room) } else { 0 }
    }

    fn end(&self) -> ReceiverEnd {
        ReceiverEnd {
            node: self.node,
            delivered: self.finished(),
            first: self.queue.first(),
            dropped: self.queue.dropped(),
            value: None,
            failure: None,
        }
    }
}

impl Fanout {
    pub(super) fn new(request: &StreamRequest, item_size: u64) -> Self {
        let state = State {
            receivers: Vec::with_capacity(request.targets.len()),
            came: 0,
            received: Credit::default(),
            granted: WINDOW,
            ended: Vec::new(),
            dropped: false,
            live: request.live,
            latest: None,
            takes_fragments: request.takes_fragments(),
            fragments: 0,
            item_size: usize::try_from(item_size).unwrap_or(MAX_PAYLOAD),
            has_ended: false,
        };
        Self { state: Mutex::new(state), news: Notify::new(), began: Instant::now() }
    }

    /// Takes in a receiver, for which so many items may wait; nothing if it is to have all. One that comes late has what it can begin
    /// with waiting for it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are too many, if it is there already, or if the producer made that batch wrongly.
    pub(super) fn enter(&self, node: NodeId, keep: Option<NonZeroU32>, late: bool) -> Result<Place, Malformed> {
        let mut state = self.lock();
        if state.receivers.len() >= MAX_TARGETS || (late && state.receivers.iter().any(|other| other.node == node)) {
            return Err(Malformed("too many newcomers"));
        }
        let mut queue = if late { Queue::of_newcomer(keep) } else { Queue::new(keep) };
        let mut before = state.received;
        // One that is to have all items cannot begin with what others have come after.
        let received = state.received.items;
        if late
            && let Some(latest) =
                state.latest.as_ref().filter(|latest| keep.is_some() || latest.header().next() == received)
        {
            let count = latest.header().count;
            let last = latest.cut(count.saturating_sub(1)..count)?;
            let Credit { items, bytes } = last.cost();
            before = Credit { items: before.items.saturating_sub(items), bytes: before.bytes.saturating_sub(bytes) };
            queue.push(last);
        }
        state.came += 1;
        let receiver = Receiver {
            key: state.came,
            node,
            queue,
            pace: keep.map(|_| Pace::default()),
            filled: Arc::default(),
            before,
            sent: Credit::default(),
            granted: WINDOW,
            progress_at: Instant::now(),
            dropped_told: 0,
            over: Arc::default(),
        };
        let place = Place { key: receiver.key, filled: receiver.filled.clone(), over: receiver.over.clone() };
        state.receivers.push(receiver);
        Ok(place)
    }

    /// Notes that there is no way to a node that was to get the stream.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the producer, who is to be told, reads nothing and goes on.
    pub(super) fn refuse(&self, node: NodeId, failure: Failure) -> Result<(), Malformed> {
        let mut state = self.lock();
        if state.ended.len() >= 2 * MAX_TARGETS {
            return Err(Malformed("too many newcomers"));
        }
        let first = state.received.items;
        state.ended.push(ReceiverEnd { node, delivered: 0, first, dropped: 0, value: None, failure: Some(failure) });
        self.news.notify_one();
        Ok(())
    }

    /// Queues a batch for every receiver that is still there.
    pub(super) fn push(&self, batch: &Batch) -> Result<(), Malformed> {
        let mut state = self.lock();
        let (header, cost) = (batch.header(), batch.cost());
        if header.first != state.received.items {
            return Err(Malformed("a stream whose items are not numbered one by one"));
        }
        if header.is_end() {
            state.has_ended = true;
        } else if !state.received.is_below(state.granted) {
            return Err(Malformed("a stream that exceeds its credit"));
        }
        state.take_fragment(header)?;
        state.received = state.received.plus(cost);
        if state.live && header.carries == Carries::Items {
            state.latest = Some(batch.clone());
        }
        let mut dropped = false;
        for receiver in &mut state.receivers {
            let queue = &mut receiver.queue;
            let (was_empty, had_dropped) = (queue.is_empty(), queue.dropped());
            if !queue.push(batch.clone()) {
                receiver.before = receiver.before.plus(cost);
            } else if was_empty {
                receiver.filled.notify_one();
            }
            dropped |= queue.dropped() > had_dropped;
        }
        // At the end the rest is up to the receivers, and without them there is nobody who would tell the producer.
        if (dropped && !std::mem::replace(&mut state.dropped, true)) || (header.is_end() && state.receivers.is_empty())
        {
            self.news.notify_one();
        }
        self.regrant(&mut state);
        Ok(())
    }

    /// The credit that came from the producer.
    pub(super) fn received(&self) -> Credit {
        self.lock().received
    }

    /// Moves what may be sent to a receiver to `pieces`, and says what comes after it.
    pub(super) fn take_queue(&self, key: Key, pieces: &mut Vec<Bytes>) -> Result<After, Malformed> {
        let mut state = self.lock();
        let Some(receiver) = state.find(key) else { return Ok(After::Over) };
        while let Some(batch) = receiver.queue.pop(receiver.room())? {
            let header = batch.header();
            pieces.extend_from_slice(batch.pieces());
            if header.is_end() {
                return Ok(After::End);
            }
            receiver.sent = receiver.sent.plus(batch.cost());
            if let Some(pace) = &mut receiver.pace {
                pace.send(u64::from(header.count), self.began.elapsed());
            }
        }
        Ok(After::More)
    }

    /// Takes in a receiver's grant, and how long it held the last batch that it has finished, if it tells.
    pub(super) fn grant(&self, key: Key, credit: Credit, held: Option<Duration>) -> Result<(), Malformed> {
        let mut state = self.lock();
        let Some(receiver) = state.find(key) else { return Ok(()) };
        let limit = receiver.sent.plus(WINDOW);
        if credit.items > limit.items || credit.bytes > limit.bytes {
            return Err(Malformed("a receiver that finished more than it was sent"));
        }
        receiver.granted = receiver.granted.max(credit);
        receiver.progress_at = Instant::now();
        let finished = receiver.finished();
        if let Some(pace) = &mut receiver.pace {
            pace.finish(finished, held, self.began.elapsed());
        }
        if !receiver.queue.is_empty() {
            receiver.filled.notify_one();
        }
        if receiver.pace.is_none() {
            self.regrant(&mut state);
        }
        Ok(())
    }

    /// Something has reached a receiver.
    pub(super) fn touch(&self, key: Key) {
        if let Some(receiver) = self.lock().find(key) {
            receiver.progress_at = Instant::now();
        }
    }

    /// Ends a receiver's part with its own answer.
    pub(super) fn answered(&self, key: Key, answer: ReceiverEnd) {
        self.end(key, |end| {
            let ReceiverEnd { delivered, value, failure, .. } = answer;
            ReceiverEnd { delivered, value, failure, ..end }
        });
    }

    /// Ends a receiver's part without an answer of its own.
    pub(super) fn fail(&self, key: Key, failure: Failure) {
        self.end(key, |end| ReceiverEnd { failure: Some(failure), ..end });
    }

    /// Only the first end counts.
    fn end(&self, key: Key, change: impl FnOnce(ReceiverEnd) -> ReceiverEnd) {
        let mut state = self.lock();
        let Ok(index) = state.receivers.binary_search_by_key(&key, |receiver| receiver.key) else { return };
        let receiver = state.receivers.remove(index);
        receiver.over.token.cancel();
        receiver.filled.notify_one();
        state.ended.push(change(receiver.end()));
        self.news.notify_one();
        self.regrant(&mut state);
    }

    /// Takes receivers off the stream that have something to do and have finished nothing for so long; who they are.
    pub(super) fn evict(&self, stall: Duration) -> Vec<NodeId> {
        let now = Instant::now();
        let mut stalled = Vec::new();
        for receiver in &mut self.lock().receivers {
            if !receiver.is_busy() {
                receiver.progress_at = now;
            } else if now - receiver.progress_at >= stall {
                receiver.over.stalled.store(true, Ordering::Relaxed);
                stalled.push((receiver.key, receiver.node));
            }
        }
        let millis = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        stalled.iter().for_each(|(key, _)| self.fail(*key, Failure::Stalled { millis }));
        stalled.into_iter().map(|(_, node)| node).collect()
    }

    /// The producer may send what all receivers allow that have to have all items; if there are none, as much as is new to them.
    fn regrant(&self, state: &mut State) {
        let lossless = state.receivers.iter().filter(|receiver| receiver.pace.is_none());
        let granted = match lossless.map(|receiver| receiver.before.plus(receiver.granted)).reduce(Credit::min) {
            Some(granted) => granted,
            None => {
                let granted = state.received.plus(WINDOW);
                // As a receiver would: once half of it is new.
                let is_new = granted.items.saturating_sub(state.granted.items) >= WINDOW.items / 2
                    || granted.bytes.saturating_sub(state.granted.bytes) >= WINDOW.bytes / 2;
                if is_new { granted } else { state.granted }
            }
        };
        let granted = state.granted.max(granted);
        if granted != state.granted {
            state.granted = granted;
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics: counters, queues and lists are changed, no foreign code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts what came of a batch in fragments: a receiver puts them together, and trusts that this has a limit.
    fn take_fragment(&mut self, header: &Header) -> Result<(), Malformed> {
        if header.is_end() {
            return Ok(());
        }
        let body = header.body as usize;
        let length = self.fragments + body;
        // A batch has less than what closes it, and one item.
        if length > self.item_size + BATCH + MAX_HEAD || (self.takes_fragments && body > 2 * FRAGMENT) {
            return Err(Malformed("a batch above the limit"));
        }
        let is_fragment = header.carries == Carries::Fragment;
        if is_fragment && !self.takes_fragments {
            return Err(Malformed("a fragment where batches may have to go"));
        }
        self.fragments = if is_fragment { length } else { 0 };
        Ok(())
    }

    fn find(&mut self, key: Key) -> Option<&mut Receiver> {
        let index = self.receivers.binary_search_by_key(&key, |receiver| receiver.key).ok()?;
        self.receivers.get_mut(index)
    }
}

/// What the producer was told.
pub(super) struct Told {
    granted: Credit,
    /// When it may be told again of items that went.
    dropped_at: Instant,
}

impl Default for Told {
    fn default() -> Self {
        Self { granted: WINDOW, dropped_at: Instant::now() }
    }
}

impl Told {
    /// Writes to `bytes` what the producer has not been told yet; whether that is all that there ever will be.
    pub(super) fn put_news(&mut self, fanout: &Fanout, bytes: &mut Vec<u8>) -> bool {
        let mut state = fanout.lock();
        if state.granted != self.granted {
            self.granted = state.granted;
            Answer::Grant(self.granted).put(bytes);
        }
        let now = Instant::now();
        if state.dropped && now >= self.dropped_at {
            state.dropped = false;
            self.dropped_at = now + TELL_DROPPED;
            for Receiver { node, queue, dropped_told, .. } in &mut state.receivers {
                if *dropped_told != queue.dropped() {
                    *dropped_told = queue.dropped();
                    Answer::Dropped { node: *node, items: queue.dropped() }.put(bytes);
                }
            }
        }
        state.ended.drain(..).for_each(|end| Answer::Ended(end).put(bytes));
        state.receivers.is_empty() && (state.has_ended || !state.live)
    }

    /// Waits until there is something to tell. Cancel safe.
    pub(super) async fn news(&self, fanout: &Fanout) {
        let is_late = fanout.lock().dropped;
        tokio::select! {
            () = fanout.news.notified() => {}
            () = tokio::time::sleep_until(self.dropped_at), if is_late => {}
        }
    }
}
