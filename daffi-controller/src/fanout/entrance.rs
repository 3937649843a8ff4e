//! Where receivers come in: those of a stream's beginning, those who come to a live one, and those who have begun elsewhere.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use daffi_core::wire::{
    CallId, CallbackId, Malformed, NodeId,
    batch::Batch,
    failure::{Failure, Right},
    item_stream::{Awaited, Mark, Newcomers, ReceiverEnd, ReceiverId, Resumed, StreamOffer, StreamRequest},
    limits::MAX_TARGETS,
};
use tokio::task::JoinSet;

use super::{
    receiver::Place,
    serve::{Seat, serve},
    state::Fanout,
};
use crate::hub::{Hub, NodeLink, Producer};

/// Where receivers come in.
pub(super) struct Entrance {
    hub: Arc<Hub>,
    fanout: Arc<Fanout>,
    request: StreamRequest,
    /// The callback's name: its number may change with the controller.
    callback: String,
    producer: Producer,
    /// How many receivers the producer has named.
    named: ReceiverId,
    /// Their tasks.
    receivers: JoinSet<()>,
}

/// What there is to know of a receiver's node.
struct Found {
    link: NodeLink,
    /// The callback's number: that of the request is another controller's, if the stream began with one.
    callback: CallbackId,
    /// The number of its call, if that is what the stream answers.
    answers: Option<CallId>,
    lossless: bool,
}

impl Entrance {
    pub(super) fn new(hub: Arc<Hub>, fanout: Arc<Fanout>, request: StreamRequest, producer: &Producer) -> Self {
        let callback = match &request.resumed {
            Some(resumed) => resumed.callback.clone(),
            None => hub.callback_name(request.callback).unwrap_or_default(),
        };
        let producer = producer.clone();
        Self { hub, fanout, request, callback, producer, named: 0, receivers: JoinSet::new() }
    }

    pub(super) const fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }

    pub(super) const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Why the rules do not let a receiver have the stream, if they do not.
    pub(super) fn forbids(&self) -> impl Fn(NodeId) -> Option<Failure> + use<> {
        let (hub, producer, name) = (self.hub.clone(), self.producer.clone(), self.callback.clone());
        let StreamRequest { callback, answers, .. } = self.request;
        move |node| match answers {
            // It belongs to the call of the one who takes it.
            Some(_) => hub.forbids(node, Right::Call, producer.node, callback),
            None => hub.forbids_stream(&producer, node, hub.callback_number(&name)?),
        }
    }

    /// For how long a receiver may finish nothing; for ever, if it takes the results of a call.
    pub(super) fn stall(&self) -> Option<Duration> {
        self.request.answers.is_none().then(|| Duration::from_millis(self.request.stall_millis.max(1)))
    }

    /// Lets in the receivers of the beginning.
    pub(super) fn open(&mut self) -> Result<(), Malformed> {
        let targets = std::mem::take(&mut self.request.targets);
        targets.into_iter().try_for_each(|node| self.let_in_next(node, false))
    }

    /// The producer goes on, and names those who have not ended: those who are not known, though it was not told of their end, have
    /// begun elsewhere.
    pub(super) fn reopen(
        &mut self,
        producer: &Producer,
        resumed: &Resumed,
        ended: &[ReceiverEnd],
    ) -> Result<(), Malformed> {
        self.producer = producer.clone();
        // Whether somebody may have had items that are not there any more.
        let begun = resumed.from != Mark::default();
        for awaited in &resumed.receivers {
            let number = awaited.receiver;
            if self.fanout.has(number) || ended.iter().any(|end| end.receiver == number) {
                continue;
            }
            // Those whom this controller should know were named when the connection broke, and have nothing yet.
            let late = self.named > 0 && number >= self.named;
            self.expect(awaited, late, begun && !late)?;
        }
        self.named = self.named.max(resumed.named);
        Ok(())
    }

    pub(super) fn let_newcomers_in(&mut self, batch: &Batch) -> Result<(), Malformed> {
        if !self.request.live {
            return Err(Malformed("newcomers to a stream that takes none"));
        }
        let Some(Newcomers { nodes, first }) = batch.stream_newcomers()? else { return Ok(()) };
        if nodes.len() > MAX_TARGETS || first != self.named {
            return Err(Malformed("newcomers who are too many, or not numbered one by one"));
        }
        nodes.into_iter().try_for_each(|node| self.let_in_next(node, true))
    }

    fn let_in_next(&mut self, node: NodeId, late: bool) -> Result<(), Malformed> {
        let number = self.named;
        self.named = number.checked_add(1).ok_or(Malformed("too many receivers"))?;
        match self.find(node) {
            // Each of its places would have a queue.
            Ok(_) if late && self.fanout.is_received_by(node) => self.fanout.refuse(number, Failure::NodeLost),
            Ok(found) => {
                let keep = self.keep(found.lossless);
                let place = self.fanout.enter(number, node, keep, late)?;
                let name = found.link.name.to_string();
                self.seat(place, name, Some(found), keep, late, false);
                Ok(())
            }
            Err(failure) => self.fanout.refuse(number, failure),
        }
    }

    /// Waits for a receiver that has begun elsewhere.
    fn expect(&mut self, awaited: &Awaited, late: bool, begun: bool) -> Result<(), Malformed> {
        let keep = self.keep(awaited.lossless);
        let place = self.fanout.expect(awaited.receiver, keep)?;
        self.seat(place, awaited.node.clone(), None, keep, late, begun);
        Ok(())
    }

    fn keep(&self, lossless: bool) -> Option<NonZeroU32> {
        self.request.keep.filter(|_| !lossless)
    }

    fn seat(
        &mut self,
        place: Place,
        node: String,
        found: Option<Found>,
        keep: Option<NonZeroU32>,
        late: bool,
        begun: bool,
    ) {
        // Of a stream that lasts, many may have come and gone.
        while self.receivers.try_join_next().is_some() {}
        let StreamRequest { stall_millis, trace, stream, .. } = self.request;
        let answers = found.as_ref().and_then(|found| found.answers);
        // Of one that is waited for it is known when it is there.
        let callback = found.as_ref().map_or(self.request.callback, |found| found.callback);
        let offer = StreamOffer {
            callback,
            producer: self.producer.node,
            stall_millis,
            trace,
            answers,
            paced: keep.is_some(),
            late,
            name: self.producer.name.clone(),
            stream,
            receiver: place.number,
            resumed: found.is_none(),
            begun,
        };
        let (callback, producer) = (self.callback.clone(), self.producer.clone());
        let seat = Seat { node, callback, producer, link: found.map(|found| found.link), offer };
        self.receivers.spawn(serve(self.fanout.clone(), self.hub.clone(), place, seat));
    }

    /// The way to a receiver, or why there is none.
    fn find(&mut self, node: NodeId) -> Result<Found, Failure> {
        match self.request.answers {
            Some(call) => {
                let (link, call, callback) = self.hub.answer_by_stream(self.producer.node, call, node)?;
                // The rules go by what was called, whatever the producer says that it is.
                self.request.callback = callback;
                Ok(Found { link, callback, answers: Some(call), lossless: true })
            }
            None => {
                let callback = self.hub.callback_number(&self.callback).ok_or(Failure::NoCallback)?;
                let (link, lossless) = self.hub.receiver(&self.producer, node, callback)?;
                Ok(Found { link, callback, answers: None, lossless })
            }
        }
    }
}
