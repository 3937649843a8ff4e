//! What a stream's fan-out knows: what waits for each receiver, who may be sent how much, and what the producer is to be told.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use daffi_core::transport::GiveUp;
use daffi_core::wire::{
    Malformed, NodeId,
    batch::{Batch, Carries, Header},
    credit::Credit,
    failure::Failure,
    item_stream::{Mark, ReceiverEnd, ReceiverId, StreamEnd, StreamRequest},
    limits::{self, BATCH, FRAGMENT, MAX_HEAD},
    position::Position,
};
use tokio::{sync::Notify, time::Instant};

use super::receiver::{LeftBehind, Presence, Receiver};

/// What a receiver grants from the start.
pub(super) const WINDOW: Credit = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };

/// The state of one stream.
pub(super) struct Fanout {
    state: Mutex<State>,
    /// The producer has something to be told.
    pub(super) news: Notify,
    began: Instant,
    /// How many bytes an item may have.
    item_size: u64,
}

pub(super) struct State {
    /// Those who have not ended, by their numbers. Few, so that a look at each costs little beside a batch.
    pub(super) receivers: Vec<Receiver>,
    /// Where the stream is that comes from the producer, and what came before.
    pub(super) at: Mark,
    /// What the producer was granted.
    pub(super) granted: Credit,
    /// Where the producer was asked to go on, until it does; and whether it still has to be told.
    asked: Option<Asked>,
    pub(super) ask_due: bool,
    /// Ends that the producer has not been told of yet.
    pub(super) ended: Vec<ReceiverEnd>,
    /// How many bytes these have that receivers answered with.
    pub(super) unheard: usize,
    /// Items went that the producer has not been told of yet.
    pub(super) dropped: bool,
    /// The stream takes in newcomers and lasts as long as its source: nothing is to come of one whose end is here.
    pub(super) live: bool,
    /// The batch whose last item is the last that a receiver can begin with, for newcomers.
    pub(super) latest: Option<Batch>,
    takes_fragments: bool,
    pub(super) end: Option<Batch>,
    /// The producer is gone for good: nothing more comes, and nothing again.
    pub(super) abandoned: bool,
}

/// What the producer was asked.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Where to go on.
    at: Position,
    /// What it had been granted by then. More may come before it answers: whoever held it back may have ended.
    granted: Credit,
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

impl Fanout {
    pub(super) fn new(request: &StreamRequest, item_size: u64) -> Self {
        let at = request.resumed.as_ref().map(|resumed| resumed.from).unwrap_or_default();
        let state = State {
            receivers: Vec::with_capacity(request.targets.len()),
            at,
            granted: at.credit.plus(WINDOW),
            asked: None,
            ask_due: false,
            ended: Vec::new(),
            unheard: 0,
            dropped: false,
            live: request.live,
            latest: None,
            takes_fragments: request.takes_fragments(),
            end: None,
            abandoned: false,
        };
        Self { state: Mutex::new(state), news: Notify::new(), began: Instant::now(), item_size }
    }

    /// Queues a batch for every receiver that is still there.
    pub(super) fn push(&self, batch: &Batch) -> Result<(), Malformed> {
        let mut state = self.lock();
        let (header, start) = (batch.header(), state.at);
        if header.first != start.position.item || start.position.is_behind_end() {
            return Err(Malformed("a stream whose items are not numbered one by one"));
        }
        if header.is_end() {
            state.end = Some(batch.clone());
        } else if !start.credit.is_below(state.granted) {
            return Err(Malformed("a stream that exceeds its credit"));
        }
        state.check_fragment(header, self.item_size)?;
        state.at = Mark { position: start.position.after(header), credit: start.credit.plus(batch.cost()) };
        let is_newest = state.latest.as_ref().is_none_or(|latest| latest.header().first < header.first);
        if state.live && header.carries == Carries::Items && is_newest {
            state.latest = Some(batch.clone());
        }
        let State { receivers, at, dropped, .. } = &mut *state;
        let (mut behind, mut has_dropped) = (Vec::new(), false);
        for receiver in receivers {
            match receiver.offer(batch, start.position, at.position) {
                Ok(went) => has_dropped |= went,
                Err(LeftBehind) => behind.push(receiver.number),
            }
        }
        // At the end the rest is up to the receivers, and without them there is nobody who would tell the producer.
        if (has_dropped && !std::mem::replace(dropped, true)) || (header.is_end() && state.receivers.is_empty()) {
            self.news.notify_one();
        }
        self.settle(state, behind);
        Ok(())
    }

    /// The producer is gone for good: this is the end, wherever it was.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        // Whoever needs something again will not get it.
        state.receivers.iter_mut().for_each(Receiver::end_where_it_joins);
        if state.end.is_none() {
            let end = lost_producer(state.at.position);
            state.receivers.iter_mut().for_each(|receiver| receiver.end_with(&end));
            state.end = Some(end);
        }
        self.news.notify_one();
    }

    /// The stream goes on from here, as the producer was asked.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it was not asked, or goes further back than anybody needs.
    pub(super) fn go_on(&self, mark: Mark) -> Result<(), Malformed> {
        mark.position.check()?;
        let mut state = self.lock();
        let Asked { at: asked, granted } = state.asked.take().ok_or(Malformed("a mark that nobody asked for"))?;
        let most = mark.credit.plus(WINDOW);
        if granted.items > most.items || granted.bytes > most.bytes {
            return Err(Malformed("a mark before what all have finished"));
        }
        state.at = mark;
        // The producer has nothing before the mark: who needs that cannot go on.
        let is_lost = |receiver: &&Receiver| {
            receiver.presence == Presence::Joining && (asked..mark.position).contains(&receiver.passed)
        };
        let behind = state.receivers.iter().filter(is_lost).map(|receiver| receiver.number).collect();
        self.settle(state, behind);
        Ok(())
    }

    /// The producer is back, and misses word of these receivers: it is asked to go on from where its stream was, and told of those
    /// who have ended.
    pub(super) fn producer_is_back(&self, ended: Vec<ReceiverEnd>) {
        let mut state = self.lock();
        let joining = state.joining();
        let at = state.at.position;
        state.set_asked(joining.map_or(at, |joining| joining.min(at)));
        state.ended.extend(ended);
        self.news.notify_one();
    }

    /// How many bytes of an item may come in one batch.
    pub(super) fn item_at_once(&self) -> u64 {
        if self.lock().takes_fragments { self.item_size.min(2 * FRAGMENT as u64) } else { self.item_size }
    }

    /// Where the stream is.
    pub(super) fn at(&self) -> Position {
        self.lock().at.position
    }

    /// Moves what may be sent to a receiver to `pieces`, and says what comes after it.
    pub(super) fn take_queue(&self, number: ReceiverId, pieces: &mut Vec<Bytes>) -> Result<After, Malformed> {
        let now = self.began.elapsed();
        match self.lock().find(number) {
            Some(receiver) => receiver.take_queue(pieces, now),
            None => Ok(After::Over),
        }
    }

    /// Takes in a receiver's grant, and how long it held the last batch that it has finished, if it tells.
    pub(super) fn grant(&self, number: ReceiverId, credit: Credit, held: Option<Duration>) -> Result<(), Malformed> {
        let now = self.began.elapsed();
        let mut state = self.lock();
        let Some(receiver) = state.find(number) else { return Ok(()) };
        receiver.grant(credit, held, now)?;
        if receiver.is_lossless() {
            self.regrant(&mut state);
        }
        Ok(())
    }

    /// Something has reached a receiver.
    pub(super) fn touch(&self, number: ReceiverId) {
        if let Some(receiver) = self.lock().find(number) {
            receiver.progress_at = Instant::now();
        }
    }

    /// Ends a receiver's part with its own answer.
    pub(super) fn answered(&self, number: ReceiverId, answer: ReceiverEnd) {
        self.end(number, |end| {
            let ReceiverEnd { delivered, value, failure, .. } = answer;
            // One that does not know the stream has nothing to say of what came before.
            ReceiverEnd { delivered: end.delivered.max(delivered), value, failure, ..end }
        });
    }

    /// Ends a receiver's part without an answer of its own.
    pub(super) fn fail(&self, number: ReceiverId, failure: Failure) {
        self.end(number, |end| ReceiverEnd { failure: Some(failure), ..end });
    }

    /// Only the first end counts.
    fn end(&self, number: ReceiverId, change: impl FnOnce(ReceiverEnd) -> ReceiverEnd) {
        let mut state = self.lock();
        let Some(index) = state.index(number) else { return };
        let receiver = state.receivers.remove(index);
        receiver.over.token.cancel();
        receiver.filled.notify_one();
        let end = change(receiver.end());
        let error = end.failure.as_ref().map_or(0, |failure| failure.encode().len());
        state.unheard += end.value.as_ref().map_or(0, Vec::len) + error;
        state.ended.push(end);
        self.news.notify_one();
        self.settle(state, Vec::new());
    }

    /// Takes receivers off the stream that have something to do and have finished nothing for so long, or are away for so long; who
    /// they are.
    pub(super) fn evict(&self, stall: Duration) -> Vec<ReceiverId> {
        let now = Instant::now();
        let (mut stalled, mut lost) = (Vec::new(), Vec::new());
        for receiver in &mut self.lock().receivers {
            if receiver.is_lost(now, stall.min(limits::RESUME)) {
                lost.push(receiver.number);
            } else if receiver.is_stalled(now, stall) {
                receiver.over.set(GiveUp::Stalled);
                stalled.push(receiver.number);
            }
        }
        let millis = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        stalled.iter().for_each(|number| self.fail(*number, Failure::Stalled { millis }));
        lost.iter().for_each(|number| self.fail(*number, Failure::NodeLost));
        stalled.append(&mut lost);
        stalled
    }

    /// Takes receivers off the stream for whom `forbids` has a reason.
    pub(super) fn judge(&self, forbids: impl Fn(NodeId) -> Option<Failure>) {
        let known = |receiver: &Receiver| Some((receiver.number, receiver.node?, receiver.over.clone()));
        let receivers: Vec<_> = self.lock().receivers.iter().filter_map(known).collect();
        for (number, node, over) in receivers {
            if let Some(failure) = forbids(node) {
                over.set(GiveUp::NotAllowed);
                self.fail(number, failure);
            }
        }
    }

    /// Waits until nothing more can come of the stream. Cancel safe, if nobody else waits for the news.
    pub(super) async fn over(&self) {
        while !self.lock().is_over() {
            self.news.notified().await;
        }
    }

    /// Where somebody joined, or the stream moved. Those who are left behind are off.
    pub(super) fn settle(&self, mut state: MutexGuard<'_, State>, mut behind: Vec<ReceiverId>) {
        let at = state.at;
        for receiver in &mut state.receivers {
            if receiver.reach(at).is_err() {
                behind.push(receiver.number);
            }
        }
        if state.asked.is_none()
            && let Some(joining) = state.joining().filter(|joining| *joining < state.at.position)
        {
            state.set_asked(joining);
            self.news.notify_one();
        }
        self.regrant(&mut state);
        drop(state);
        behind.into_iter().for_each(|number| self.fail(number, Failure::NodeLost));
    }

    /// The producer may send what all receivers allow that have to have all items; if there are none, as much as is new to them.
    fn regrant(&self, state: &mut State) {
        let lossless = || state.receivers.iter().filter(|receiver| receiver.is_lossless());
        let at = state.at.position;
        if lossless().any(|receiver| receiver.is_unknown(at)) {
            return;
        }
        // What honest receivers grant is never more.
        let most = state.at.credit.plus(WINDOW);
        let granted = match lossless().filter_map(|receiver| receiver.allows(at)).reduce(Credit::min) {
            Some(granted) => granted.min(most),
            None => {
                // As a receiver would: once half of it is new.
                let is_new = most.items.saturating_sub(state.granted.items) >= WINDOW.items / 2
                    || most.bytes.saturating_sub(state.granted.bytes) >= WINDOW.bytes / 2;
                if is_new { most } else { state.granted }
            }
        };
        let granted = state.granted.max(granted);
        if granted != state.granted {
            state.granted = granted;
            self.news.notify_one();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics: counters, queues and lists are changed, no foreign code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a stream whose producer is gone for good, at this place.
pub(super) fn lost_producer(at: Position) -> Batch {
    Batch::end(&StreamEnd::ProducerLost, at.item, 0)
}

impl State {
    /// Whether nothing more can come of the stream.
    pub(super) const fn is_over(&self) -> bool {
        self.receivers.is_empty() && (self.end.is_some() || !self.live)
    }

    /// Where the producer is asked to go on, once.
    pub(super) fn ask(&mut self) -> Option<Position> {
        std::mem::take(&mut self.ask_due).then_some(self.asked).flatten().map(|asked| asked.at)
    }

    const fn set_asked(&mut self, at: Position) {
        self.asked = Some(Asked { at, granted: self.granted });
        self.ask_due = true;
    }

    /// The first place at which somebody joins the stream again.
    fn joining(&self) -> Option<Position> {
        let joining = self.receivers.iter().filter(|receiver| receiver.presence == Presence::Joining);
        joining.map(|receiver| receiver.passed).min()
    }

    /// Counts what came of a batch in fragments: a receiver puts them together, and trusts that this has a limit.
    fn check_fragment(&self, header: &Header, item_size: u64) -> Result<(), Malformed> {
        if header.is_end() {
            return Ok(());
        }
        let body = u64::from(header.body);
        let length = self.at.position.bytes.saturating_add(body);
        // A batch has less than what closes it, and one item.
        let most = item_size.saturating_add((BATCH + MAX_HEAD) as u64);
        if length > most || (self.takes_fragments && body > 2 * FRAGMENT as u64) {
            return Err(Malformed("a batch above the limit"));
        }
        if header.carries == Carries::Fragment && !self.takes_fragments {
            return Err(Malformed("a fragment where batches may have to go"));
        }
        // It takes room of its own in each queue, whatever it weighs.
        if header.carries == Carries::Fragment && body < FRAGMENT as u64 / 2 {
            return Err(Malformed("a fragment of next to nothing"));
        }
        Ok(())
    }

    pub(super) fn find(&mut self, number: ReceiverId) -> Option<&mut Receiver> {
        let index = self.index(number)?;
        self.receivers.get_mut(index)
    }

    pub(super) fn index(&self, number: ReceiverId) -> Option<usize> {
        self.receivers.binary_search_by_key(&number, |receiver| receiver.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use daffi_core::wire::{
        batch::{Builder, Cutter},
        item_stream::Standing,
        varint,
    };

    use super::*;
    use crate::fanout::entering::UNHEARD;

    fn request() -> StreamRequest {
        StreamRequest {
            callback: 1,
            targets: vec![2],
            stall_millis: 1_000,
            trace: None,
            answers: None,
            keep: None,
            live: false,
            stream: Some(5),
            resumed: None,
        }
    }

    /// A stream to one receiver that has to have all.
    fn fanout() -> Fanout {
        let fanout = Fanout::new(&request(), u64::MAX);
        fanout.enter(0, 2, None, false).unwrap();
        fanout
    }

    /// A batch of one small item.
    fn item(number: u64) -> Batch {
        let mut builder = Builder::default();
        builder
            .push(|out| -> Result<(), ()> {
                out.push(7);
                Ok(())
            })
            .unwrap();
        builder.close(number, 0)
    }

    /// A fragment of the first item, as it comes over the wire.
    fn fragment(body: usize) -> Batch {
        let mut bytes = Vec::new();
        [body as u64, 0, 0].iter().for_each(|number| varint::put(*number, &mut bytes));
        bytes.push(Carries::Fragment as u8);
        varint::put(0, &mut bytes);
        bytes.resize(bytes.len() + body, 7);
        let mut cutter = Cutter::default();
        cutter.push(bytes.into());
        cutter.next_batch().unwrap().unwrap()
    }

    fn standing(item: u64, received: Credit) -> Standing {
        let position = Position::before(item);
        Standing { first: Some(0), position, missed: 0, received, granted: received.plus(WINDOW) }
    }

    fn ends(fanout: &Fanout) -> Vec<Option<Failure>> {
        fanout.lock().ended.iter().map(|end| end.failure.clone()).collect()
    }

    #[tokio::test]
    async fn a_receiver_cannot_have_had_more_than_there_was() {
        let fanout = fanout();
        (0..3).for_each(|number| fanout.push(&item(number)).unwrap());
        let came = fanout.lock().at.credit;
        fanout.away(0);
        fanout.back(0, &standing(3, came.plus(Credit { items: 1, bytes: 0 }))).unwrap();
        assert_eq!(ends(&fanout), [Some(Failure::NodeLost)]);
        assert_eq!(fanout.lock().granted, came.plus(WINDOW), "its word is worth nothing to the producer");
    }

    #[tokio::test]
    async fn a_receiver_that_is_where_it_says_goes_on() {
        let fanout = fanout();
        (0..3).for_each(|number| fanout.push(&item(number)).unwrap());
        let came = fanout.lock().at.credit;
        fanout.away(0);
        fanout.back(0, &standing(3, came)).unwrap();
        assert_eq!(ends(&fanout), []);
        assert_eq!(fanout.lock().granted, came.plus(WINDOW));
    }

    #[tokio::test]
    async fn a_receiver_beyond_the_end_is_not_waited_for() {
        let fanout = fanout();
        fanout.push(&item(0)).unwrap();
        fanout.away(0);
        fanout.back(0, &standing(9, Credit::default())).unwrap();
        assert_eq!(ends(&fanout), [], "the stream may come to it");
        fanout.push(&Batch::end(&StreamEnd::Finished, 1, 0)).unwrap();
        assert_eq!(ends(&fanout), [Some(Failure::NodeLost)]);
    }

    #[tokio::test]
    async fn a_producer_may_go_on_where_it_was_asked_though_nobody_needs_that_any_more() {
        let fanout = fanout();
        fanout.enter(1, 3, None, false).unwrap();
        (0..3).for_each(|number| fanout.push(&item(number)).unwrap());
        let (came, first) = (fanout.lock().at.credit, item(0).cost());
        fanout.away(1);
        fanout.back(1, &standing(1, first)).unwrap();
        assert_eq!(fanout.lock().ask(), Some(Position::before(1)));
        // The other has finished all, and the one that held the producer back is through.
        fanout.take_queue(0, &mut Vec::new()).unwrap();
        fanout.grant(0, came.plus(WINDOW), None).unwrap();
        fanout.fail(1, Failure::NodeLost);
        assert_eq!(fanout.lock().granted, came.plus(WINDOW));
        fanout.go_on(Mark { position: Position::before(1), credit: first }).unwrap();
    }

    #[tokio::test]
    async fn a_producer_does_not_go_on_before_that() {
        let fanout = fanout();
        (0..3).for_each(|number| fanout.push(&item(number)).unwrap());
        let came = fanout.lock().at.credit;
        fanout.take_queue(0, &mut Vec::new()).unwrap();
        fanout.grant(0, came.plus(WINDOW), None).unwrap();
        fanout.producer_is_back(Vec::new());
        assert!(fanout.go_on(Mark { position: Position::before(1), credit: item(0).cost() }).is_err());
    }

    #[tokio::test]
    async fn what_a_receiver_says_of_itself_makes_sense() {
        let nothing = Credit::default();
        let before_the_first = Standing { first: None, ..standing(0, WINDOW) };
        let missed = Standing { missed: 4, ..standing(3, nothing) };
        for wrong in [standing(varint::MAX + 1, nothing), before_the_first, missed] {
            let fanout = fanout();
            fanout.away(0);
            assert!(fanout.back(0, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn fragments_weigh_what_they_take() {
        assert!(fanout().push(&fragment(0)).is_err());
        fanout().push(&fragment(FRAGMENT)).unwrap();
    }

    #[tokio::test]
    async fn a_producer_that_hears_nothing_names_nobody() {
        let fanout = fanout();
        let value = Some(vec![0; limits::MAX_ANSWER]);
        let end = |number| ReceiverEnd {
            receiver: number,
            delivered: 0,
            first: 0,
            dropped: 0,
            value: value.clone(),
            failure: None,
        };
        fanout.answered(0, end(0));
        let mut number = 1;
        while fanout.enter(number, 2, None, true).is_ok() {
            fanout.answered(number, end(number));
            number += 1;
        }
        assert_eq!(number as usize, UNHEARD / limits::MAX_ANSWER);
    }
}
