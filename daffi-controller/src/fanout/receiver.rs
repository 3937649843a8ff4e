//! One receiver of a stream: what waits for it, what it may be sent, and where in the stream it is.

use std::{
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use daffi_core::transport::GiveUp;
use daffi_core::wire::{
    Malformed, NodeId,
    batch::Batch,
    credit::Credit,
    item_stream::{Mark, ReceiverEnd, ReceiverId, Standing},
    pace::Pace,
    position::Position,
    queue::Queue,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::state::{After, WINDOW, lost_producer};

pub(super) struct Receiver {
    pub(super) number: ReceiverId,
    /// Its node, the last that is known; nothing of one that has yet to come.
    pub(super) node: Option<NodeId>,
    pub(super) presence: Presence,
    /// Up to here the stream has come by this one: what is before is in its queue, or was, or is not for it.
    pub(super) passed: Position,
    keep: Option<NonZeroU32>,
    queue: Queue,
    /// Nothing for one that has to have all items: that one holds the producer back instead.
    pace: Option<Pace>,
    pub(super) filled: Arc<Notify>,
    /// What came from the producer and is not for this one: it was before its time. Nothing while that is not known.
    pub(super) before: Option<Credit>,
    sent: Credit,
    granted: Credit,
    pub(super) progress_at: Instant,
    pub(super) dropped_told: u64,
    pub(super) over: Arc<Over>,
}

/// Whether a receiver takes part at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// What comes is for it.
    Here,
    /// It is back, and the stream has yet to come to where it stands.
    Joining,
    /// Its connection is gone since then.
    Away(Instant),
}

/// Whether a receiver has left the stream.
#[derive(Debug, Default)]
pub(super) struct Over {
    pub(super) token: CancellationToken,
    why: OnceLock<GiveUp>,
}

impl Over {
    /// Why it was taken off the stream, if it was.
    pub(super) fn why(&self) -> Option<GiveUp> {
        self.why.get().copied()
    }

    /// It is to be taken off the stream. Only the first reason counts.
    pub(super) fn set(&self, why: GiveUp) {
        let _ = self.why.set(why);
    }
}

/// What a receiver's task needs to know of it.
pub(super) struct Place {
    pub(super) number: ReceiverId,
    pub(super) filled: Arc<Notify>,
    pub(super) over: Arc<Over>,
}

/// A receiver cannot have what it has to have: the stream has gone on without it, or never comes to where it says that it stands.
#[derive(Debug)]
pub(super) struct LeftBehind;

impl Receiver {
    /// One that is there from the beginning of the stream, and for which so many items may wait; nothing if it is to have all.
    pub(super) fn new(number: ReceiverId, keep: Option<NonZeroU32>) -> Self {
        Self {
            number,
            node: None,
            presence: Presence::Here,
            passed: Position::default(),
            keep,
            queue: Queue::new(keep),
            pace: keep.map(|_| Pace::default()),
            filled: Arc::default(),
            before: Some(Credit::default()),
            sent: Credit::default(),
            granted: WINDOW,
            progress_at: Instant::now(),
            dropped_told: 0,
            over: Arc::default(),
        }
    }

    /// It begins here.
    pub(super) fn begin_late(&mut self, at: Mark) {
        self.queue = Queue::of_newcomer(self.keep);
        (self.passed, self.before, self.presence) = (at.position, Some(at.credit), Presence::Here);
    }

    /// It begins with this, which has passed already.
    pub(super) fn begin_with(&mut self, batch: Batch) {
        self.before = self.before.map(|before| before.minus(batch.cost()));
        self.put(batch);
    }

    /// It goes on with this, which has passed already.
    pub(super) fn go_on_with(&mut self, batch: Batch) {
        self.passed = self.passed.max(Position::before(batch.header().next()));
        self.put(batch);
    }

    /// Nothing comes after this.
    pub(super) fn end_with(&mut self, end: &Batch) {
        if matches!(self.presence, Presence::Away(_)) || self.passed.is_behind_end() {
            return;
        }
        self.presence = Presence::Here;
        self.passed = self.passed.after(end.header());
        self.put(end.clone());
    }

    /// It has begun where the stream has ended already.
    pub(super) fn end_late(&mut self, end: &Batch) {
        self.passed = self.passed.max(Position::default().after(end.header()));
        self.put(end.clone());
    }

    /// If it waits for the stream to come to where it stands, that is its end: the producer is gone for good.
    pub(super) fn end_where_it_joins(&mut self) {
        if self.presence == Presence::Joining {
            self.end_with(&lost_producer(self.passed));
        }
    }

    /// Takes in what comes in the stream from one place to another, unless it has passed already; whether items went for it.
    pub(super) fn offer(&mut self, batch: &Batch, from: Position, to: Position) -> Result<bool, LeftBehind> {
        if self.presence != Presence::Here || from < self.passed {
            return Ok(false);
        }
        if from > self.passed && self.is_lossless() {
            return Err(LeftBehind);
        }
        self.passed = to;
        let had_dropped = self.queue.dropped();
        if !self.put(batch.clone()) {
            self.before = self.before.map(|before| before.plus(batch.cost()));
        }
        Ok(self.queue.dropped() > had_dropped)
    }

    fn put(&mut self, batch: Batch) -> bool {
        let was_empty = self.queue.is_empty();
        let is_for_it = self.queue.push(batch);
        if is_for_it && was_empty {
            self.filled.notify_one();
        }
        is_for_it
    }

    /// Its connection is gone: what waits for it does so no longer, the producer has it.
    pub(super) fn go_away(&mut self) {
        self.presence = Presence::Away(Instant::now());
        self.queue = Queue::of_returned(self.keep, self.queue.first(), self.queue.first(), self.queue.dropped());
    }

    /// It goes on from where it stands.
    pub(super) fn come_back(&mut self, standing: &Standing) -> Result<(), Malformed> {
        let Standing { first, position, missed, received, granted } = *standing;
        position.check()?;
        if missed > position.item || first.is_some_and(|first| first > position.item) {
            return Err(Malformed("a receiver that missed more than came"));
        }
        if first.is_none() && received != Credit::default() {
            return Err(Malformed("a receiver to which something came before its first item"));
        }
        let most = received.plus(WINDOW);
        if granted.items > most.items || granted.bytes > most.bytes {
            return Err(Malformed("a receiver that finished more than came"));
        }
        (self.sent, self.granted, self.passed) = (received, granted, position);
        self.progress_at = Instant::now();
        self.queue = Queue::of_returned(self.keep, first.unwrap_or(position.item), position.item, missed);
        self.dropped_told = 0;
        let finished = self.finished();
        match &mut self.pace {
            Some(pace) => (*pace, self.presence) = (Pace::of_returned(received.items, finished), Presence::Here),
            None => self.presence = Presence::Joining,
        }
        Ok(())
    }

    /// The stream is at this place: if this is where it joins, it is there.
    pub(super) fn reach(&mut self, at: Mark) -> Result<(), LeftBehind> {
        if self.presence != Presence::Joining {
            return Ok(());
        }
        if self.passed != at.position {
            return if at.position.is_behind_end() && self.passed > at.position { Err(LeftBehind) } else { Ok(()) };
        }
        if self.sent.items > at.credit.items || self.sent.bytes > at.credit.bytes {
            // More came to it than there was.
            return Err(LeftBehind);
        }
        (self.presence, self.before) = (Presence::Here, Some(at.credit.minus(self.sent)));
        Ok(())
    }

    /// Moves what may be sent to `pieces`, and says what comes after it.
    pub(super) fn take_queue(&mut self, pieces: &mut Vec<Bytes>, now: Duration) -> Result<After, Malformed> {
        while let Some(batch) = self.queue.pop(self.room())? {
            let header = batch.header();
            pieces.extend_from_slice(batch.pieces());
            if header.is_end() {
                return Ok(After::End);
            }
            self.sent = self.sent.plus(batch.cost());
            if let Some(pace) = &mut self.pace {
                pace.send(u64::from(header.count), now);
            }
        }
        Ok(After::More)
    }

    /// Takes in a grant, and how long it held the last batch that it has finished, if it tells.
    pub(super) fn grant(&mut self, credit: Credit, held: Option<Duration>, now: Duration) -> Result<(), Malformed> {
        let limit = self.sent.plus(WINDOW);
        if credit.items > limit.items || credit.bytes > limit.bytes {
            return Err(Malformed("a receiver that finished more than it was sent"));
        }
        self.granted = self.granted.max(credit);
        self.progress_at = Instant::now();
        let finished = self.finished();
        if let Some(pace) = &mut self.pace {
            pace.finish(finished, held, now);
        }
        if !self.queue.is_empty() {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Whether it has to have all items.
    pub(super) const fn is_lossless(&self) -> bool {
        self.pace.is_none()
    }

    /// Whether nobody knows what it allows of a stream that is here: it has begun elsewhere, and the stream has not come to where it
    /// stands.
    pub(super) fn is_unknown(&self, at: Position) -> bool {
        self.before.is_none() && !self.is_ahead(at)
    }

    /// What it allows the producer to send; nothing while what comes is before its place.
    pub(super) fn allows(&self, at: Position) -> Option<Credit> {
        let before = self.before.filter(|_| !self.is_ahead(at));
        before.map(|before| before.plus(self.granted))
    }

    /// Whether the stream will come to where it stands by itself.
    fn is_ahead(&self, at: Position) -> bool {
        self.presence == Presence::Joining && at < self.passed
    }

    /// How many items its callback is through with, as far as it has told.
    const fn finished(&self) -> u64 {
        self.granted.items.saturating_sub(WINDOW.items)
    }

    /// Whether it is away for so long.
    pub(super) fn is_lost(&self, now: Instant, patience: Duration) -> bool {
        matches!(self.presence, Presence::Away(since) if now.saturating_duration_since(since) >= patience)
    }

    /// Whether it has had something to do for so long, and has finished nothing.
    pub(super) fn is_stalled(&mut self, now: Instant, stall: Duration) -> bool {
        if self.presence != Presence::Here || !self.is_busy() {
            self.progress_at = now;
        }
        now.saturating_duration_since(self.progress_at) >= stall
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

    /// How many items went for it.
    pub(super) const fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    pub(super) fn end(&self) -> ReceiverEnd {
        ReceiverEnd {
            receiver: self.number,
            delivered: self.finished(),
            first: self.queue.first(),
            dropped: self.queue.dropped(),
            value: None,
            failure: None,
        }
    }
}
