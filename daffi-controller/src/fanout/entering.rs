//! Who comes to a stream, and who comes back to it.

use std::num::NonZeroU32;

use daffi_core::wire::{
    Malformed, NodeId,
    failure::Failure,
    item_stream::{ReceiverEnd, ReceiverId, Standing},
    limits::MAX_TARGETS,
    position::Position,
};
use tokio::time::Instant;

use super::{
    receiver::{Place, Presence, Receiver},
    state::{Fanout, State},
};

/// How many bytes of answers may wait for a producer that names more receivers.
pub(super) const UNHEARD: usize = 16 << 20;

impl Fanout {
    /// Takes in a receiver, for which so many items may wait; nothing if it is to have all. One that comes late has what it can begin
    /// with waiting for it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are too many, if it is there already, if the producer made that batch wrongly, or if it does not read
    /// what it is told of the others.
    pub(super) fn enter(
        &self,
        number: ReceiverId,
        node: NodeId,
        keep: Option<NonZeroU32>,
        late: bool,
    ) -> Result<Place, Malformed> {
        let mut state = self.lock();
        state.check_unheard()?;
        let mut receiver = Receiver::new(number, keep);
        receiver.node = Some(node);
        if late {
            state.begin_late(&mut receiver)?;
        }
        state.insert(receiver)
    }

    /// Takes in a receiver that has begun elsewhere, and is waited for.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are too many, or if it is there already.
    pub(super) fn expect(&self, number: ReceiverId, keep: Option<NonZeroU32>) -> Result<Place, Malformed> {
        let mut receiver = Receiver::new(number, keep);
        (receiver.before, receiver.presence) = (None, Presence::Away(Instant::now()));
        self.lock().insert(receiver)
    }

    /// Whether a receiver of this number takes part, or has ended and the producer is about to be told.
    pub(super) fn has(&self, number: ReceiverId) -> bool {
        let state = self.lock();
        state.index(number).is_some() || state.ended.iter().any(|end| end.receiver == number)
    }

    /// Whether this node is a receiver now.
    pub(super) fn is_received_by(&self, node: NodeId) -> bool {
        self.lock().receivers.iter().any(|receiver| receiver.node == Some(node))
    }

    /// Notes that there is no way to a node that was to get the stream.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the producer, who is to be told, reads nothing and goes on.
    pub(super) fn refuse(&self, receiver: ReceiverId, failure: Failure) -> Result<(), Malformed> {
        let mut state = self.lock();
        state.check_unheard()?;
        let first = state.at.position.item;
        let failure = Some(failure);
        state.ended.push(ReceiverEnd { receiver, delivered: 0, first, dropped: 0, value: None, failure });
        self.news.notify_one();
        Ok(())
    }

    /// A receiver's connection is gone, and it may come back.
    pub(super) fn away(&self, number: ReceiverId) {
        if let Some(receiver) = self.lock().find(number) {
            receiver.go_away();
        }
    }

    /// A receiver's node is back.
    pub(super) fn meet(&self, number: ReceiverId, node: NodeId) {
        if let Some(receiver) = self.lock().find(number) {
            receiver.node = Some(node);
        }
    }

    /// A receiver is back, and goes on from where it stands.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it cannot stand there.
    pub(super) fn back(&self, number: ReceiverId, standing: &Standing) -> Result<(), Malformed> {
        let mut state = self.lock();
        let Some(index) = state.index(number) else { return Ok(()) };
        let mut receiver = state.receivers.remove(index);
        let returned = match receiver.come_back(standing) {
            // Nothing has come to it: it begins where the stream is now.
            Ok(()) if standing.first.is_none() => state.begin_late(&mut receiver),
            Ok(()) => state.catch_up(&mut receiver),
            Err(malformed) => Err(malformed),
        };
        if state.abandoned {
            receiver.end_where_it_joins();
        }
        state.receivers.insert(index, receiver);
        returned?;
        self.settle(state, Vec::new());
        Ok(())
    }
}

impl State {
    fn insert(&mut self, receiver: Receiver) -> Result<Place, Malformed> {
        if self.receivers.len() >= MAX_TARGETS {
            return Err(Malformed("too many newcomers"));
        }
        let Err(index) = self.receivers.binary_search_by_key(&receiver.number, |other| other.number) else {
            return Err(Malformed("two receivers of one number"));
        };
        let place = Place { number: receiver.number, filled: receiver.filled.clone(), over: receiver.over.clone() };
        self.receivers.insert(index, receiver);
        Ok(place)
    }

    /// Begins where the stream is now, with the last item that can be begun with.
    fn begin_late(&self, receiver: &mut Receiver) -> Result<(), Malformed> {
        receiver.begin_late(self.at);
        // One that is to have all items cannot begin with what others have come after.
        let next = self.at.position;
        let latest = self
            .latest
            .as_ref()
            .filter(|latest| !receiver.is_lossless() || Position::before(latest.header().next()) == next);
        if let Some(latest) = latest {
            let count = latest.header().count;
            receiver.begin_with(latest.cut(count.saturating_sub(1)..count)?);
        }
        if let Some(end) = &self.end {
            receiver.end_late(end);
        }
        Ok(())
    }

    /// Gives one that is back, and need not have all items, the last that it can go on with.
    fn catch_up(&self, receiver: &mut Receiver) -> Result<(), Malformed> {
        if receiver.is_lossless() || receiver.passed.is_behind_end() {
            return Ok(());
        }
        if let Some(latest) = self.latest.as_ref().filter(|latest| latest.header().next() > receiver.passed.item) {
            let count = latest.header().count;
            receiver.go_on_with(latest.cut(count.saturating_sub(1)..count)?);
        }
        if let Some(end) = &self.end {
            receiver.end_with(end);
        }
        Ok(())
    }

    /// Looks whether the producer, who names more receivers, reads what became of others.
    const fn check_unheard(&self) -> Result<(), Malformed> {
        if self.ended.len() >= 2 * MAX_TARGETS || self.unheard >= UNHEARD {
            return Err(Malformed("newcomers, where the ends of others are not read"));
        }
        Ok(())
    }
}
