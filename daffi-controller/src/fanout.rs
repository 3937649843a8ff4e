//! Item streams: from one producer to many receivers, the same bytes to each.
//!
//! The producer's batches are read as they come and appended to a queue for each receiver, so reading never waits for a
//! receiver. What bounds the queue of one that has to have all items is credit: the producer may send what its slowest such receiver
//! has granted, so no queue holds more than a window and a batch. From any other's queue items go when it is too long, and not more
//! than a few are on their way to it.

mod state;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use daffi_core::{
    link::{LinkError, Reader, Throttle},
    transport::{CloseCode, Connection, GiveUp, Priority, RecvStream, SendStream, StreamLost},
    wire::{
        CallId, Malformed, NodeId, StreamKind,
        batch::{Batch, Carries, Cutter},
        failure::Failure,
        item_stream::{Answer, ReceiverEnd, StreamEnd, StreamOffer, StreamRequest},
        limits::MAX_TARGETS,
        message,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use self::state::{After, Fanout, Key, Over, Place, Told};
use crate::hub::{Hub, NodeLink};

/// How many pieces, and how many bytes, are written to a receiver at a time: little enough that a slow path shows progress.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 256 << 10;

/// Accepts a node's item streams until its connection is gone. Each runs in a task of its own, which outlives the connection:
/// the receivers are told that the producer is gone, after what came from it.
pub(crate) async fn accept(connection: &Connection, node: NodeId, hub: &Arc<Hub>, throttle: &Throttle) -> LinkError {
    let room = hub.limits.streams_per_node.map(Room::new);
    loop {
        let (send, receive) = match connection.accept_bi().await {
            Ok(streams) => streams,
            Err(lost) => return lost.into(),
        };
        // Answers: small, and the producer waits for them.
        send.set_priority(Priority::Control);
        let (connection, hub, room, throttle) = (connection.clone(), hub.clone(), room.clone(), throttle.clone());
        tokio::spawn(async move {
            let ran = run(node, &hub, room.as_ref(), &throttle, send, receive).await;
            if let Err(LinkError::Malformed(malformed)) = ran {
                tracing::warn!(node, %malformed, "a stream makes no sense");
                connection.close(CloseCode::Malformed, malformed.0);
            }
        });
    }
}

/// One stream from its header to the last receiver's answer.
async fn run(
    producer: NodeId,
    hub: &Hub,
    room: Option<&Room>,
    throttle: &Throttle,
    send: SendStream,
    receive: RecvStream,
) -> Result<(), LinkError> {
    let mut reader = Reader::new(receive);
    reader.set_throttle(throttle.clone());
    let request: StreamRequest = reader.item_stream_header().await?;
    if request.targets.len() > MAX_TARGETS {
        return Err(Malformed("too many targets").into());
    }
    if request.answers.is_some() && (request.targets.len() != 1 || request.live) {
        return Err(Malformed("an answer to several nodes").into());
    }
    // A stream that answers a call belongs to the call.
    let place = match room.filter(|_| request.answers.is_none()).map(Room::enter) {
        Some(Err(failure)) => return refuse(send, &request.targets, &failure).await,
        Some(Ok(place)) => Some(place),
        None => None,
    };
    let _counted = hub.stream_begins();
    let (source, first) = reader.into_parts();
    let fanout = Arc::new(Fanout::new(&request, hub.limits.item_size));
    // Whoever takes the results of a call may pause as long as it pleases.
    let stall = request.answers.is_none().then(|| Duration::from_millis(request.stall_millis.max(1)));
    let mut entrance = Entrance { producer, hub, request, fanout: fanout.clone(), receivers: JoinSet::new() };
    for node in std::mem::take(&mut entrance.request.targets) {
        entrance.let_in(node, false)?;
    }
    tokio::select! {
        // Whoever has answered has ended; the tasks of stalled receivers are dropped with the set.
        answered = answer_producer(&fanout, send, place) => match answered {
            // Dropping the receivers' tasks tells them.
            Err(StreamLost::Stopped) => Ok(()),
            answered => Ok(answered?),
        },
        error = take_in(&mut entrance, source, first, throttle) => match error {
            // The producer lost interest: dropping the receivers' tasks resets their streams.
            LinkError::Lost(StreamLost::Reset) => Ok(()),
            error => Err(error),
        },
        never = evict_stalled(&fanout, stall) => match never {},
    }
}

/// How many streams a node may send at a time.
#[derive(Clone)]
struct Room {
    places: Arc<Semaphore>,
    allowed: u32,
}

impl Room {
    fn new(allowed: u32) -> Self {
        Self { places: Arc::new(Semaphore::new(allowed as usize)), allowed }
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let failure = |_| Failure::Limit { name: "streams_per_node".into(), allowed: self.allowed.into() };
        self.places.clone().try_acquire_owned().map_err(failure)
    }
}

/// Tells the producer that no receiver gets the stream, and why.
async fn refuse(mut send: SendStream, targets: &[NodeId], failure: &Failure) -> Result<(), LinkError> {
    let mut bytes = Vec::new();
    for node in targets {
        let failure = Some(failure.clone());
        Answer::Ended(ReceiverEnd { node: *node, delivered: 0, first: 0, dropped: 0, value: None, failure })
            .put(&mut bytes);
    }
    send.write(&mut [bytes.into()]).await?;
    send.finish();
    Ok(send.settled().await?)
}

/// Where receivers come in.
struct Entrance<'a> {
    producer: NodeId,
    hub: &'a Hub,
    request: StreamRequest,
    fanout: Arc<Fanout>,
    /// Their tasks.
    receivers: JoinSet<()>,
}

impl Entrance<'_> {
    fn let_in(&mut self, node: NodeId, late: bool) -> Result<(), Malformed> {
        // Of a stream that lasts, many may have come and gone.
        while self.receivers.try_join_next().is_some() {}
        let StreamRequest { callback, stall_millis, trace, keep, .. } = self.request;
        let (link, answers, lossless) = match self.way_to(node) {
            Ok(way) => way,
            Err(failure) => {
                return self.fanout.refuse(node, failure);
            }
        };
        let keep = keep.filter(|_| !lossless);
        let paced = keep.is_some();
        let place = self.fanout.enter(node, keep, late)?;
        let offer = StreamOffer { callback, producer: self.producer, stall_millis, trace, answers, paced, late };
        self.receivers.spawn(serve_receiver(self.fanout.clone(), place, link, offer));
        Ok(())
    }

    /// The way to a receiver, the number of its call if that is what the stream answers, and whether it has to have all items.
    fn way_to(&self, node: NodeId) -> Result<(NodeLink, Option<CallId>, bool), Failure> {
        match self.request.answers {
            Some(call) => {
                self.hub.answer_by_stream(self.producer, call, node).map(|(link, call)| (link, Some(call), true))
            }
            None => self.hub.receiver(node, self.request.callback).map(|(link, lossless)| (link, None, lossless)),
        }
    }
}

/// Reads the producer's batches and queues them, and lets in who comes; returns only if the stream cannot go on.
async fn take_in(entrance: &mut Entrance<'_>, mut source: RecvStream, first: Bytes, throttle: &Throttle) -> LinkError {
    let (mut cutter, mut chunks) = (Cutter::up_to(entrance.hub.limits.item_size), vec![first]);
    let failed = loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        loop {
            let taken = match cutter.next_batch() {
                Ok(Some(batch)) if batch.header().carries == Carries::Newcomers => let_newcomers_in(entrance, &batch),
                Ok(Some(batch)) => {
                    let end = batch.header().is_end();
                    let pushed = entrance.fanout.push(&batch);
                    if end && pushed.is_ok() {
                        // The rest is up to the receivers.
                        return std::future::pending().await;
                    }
                    pushed
                }
                Ok(None) => break,
                Err(malformed) => Err(malformed),
            };
            if let Err(malformed) = taken {
                return malformed.into();
            }
        }
        match source.read(&mut chunks).await {
            Ok(true) => throttle.pay(chunks.iter().map(Bytes::len).sum()).await,
            Ok(false) => return Malformed("a stream without an end").into(),
            Err(lost) => break lost,
        }
    };
    match failed {
        StreamLost::Connection(_) => {
            // What came before the connection broke is whole and still wanted.
            let first = entrance.fanout.received().items;
            match entrance.fanout.push(&Batch::end(&StreamEnd::ProducerLost, first, 0)) {
                Ok(()) => std::future::pending().await,
                Err(malformed) => malformed.into(),
            }
        }
        lost => lost.into(),
    }
}

fn let_newcomers_in(entrance: &mut Entrance<'_>, batch: &Batch) -> Result<(), Malformed> {
    if !entrance.request.live {
        return Err(Malformed("newcomers to a stream that takes none"));
    }
    let nodes = batch.stream_newcomers()?.map(|newcomers| newcomers.nodes).unwrap_or_default();
    if nodes.len() > MAX_TARGETS {
        return Err(Malformed("too many newcomers"));
    }
    nodes.into_iter().try_for_each(|node| entrance.let_in(node, true))
}

/// Tells the producer of grants, of items that went, and of ends, until every receiver has ended; of a live stream, until its source
/// has ended too.
async fn answer_producer(
    fanout: &Fanout,
    mut send: SendStream,
    mut place: Option<OwnedSemaphorePermit>,
) -> Result<(), StreamLost> {
    let mut told = Told::default();
    // Receivers go on to the end of what a lost producer has sent.
    let mut reachable = true;
    loop {
        let mut bytes = Vec::new();
        let over = told.put_news(fanout, &mut bytes);
        if over {
            // The producer may begin another as soon as it is told.
            drop(place.take());
        }
        if reachable && !bytes.is_empty() {
            match send.write(&mut [bytes.into()]).await {
                Ok(()) => {}
                Err(StreamLost::Connection(_)) => reachable = false,
                Err(lost) => return Err(lost),
            }
        }
        if over {
            send.finish();
            return send.settled().await;
        }
        tokio::select! {
            () = told.news(fanout) => {}
            // A producer that wants no answers has lost interest in the stream, though its items may all be here.
            settled = send.settled(), if reachable => match settled {
                Err(StreamLost::Connection(_)) => reachable = false,
                other => return other.and(Err(StreamLost::Stopped)),
            },
        }
    }
}

/// The stream to one receiver. One that is taken off is told why, wherever its task was.
struct Way {
    send: SendStream,
    reader: Reader,
    over: Arc<Over>,
}

impl Drop for Way {
    fn drop(&mut self) {
        if self.over.is_stalled() {
            self.send.reset(GiveUp::Stalled);
            self.reader.stop(GiveUp::Stalled);
        }
    }
}

/// Carries the stream to one receiver and takes its answers.
async fn serve_receiver(fanout: Arc<Fanout>, place: Place, link: NodeLink, offer: StreamOffer) {
    let key = place.key;
    let ended = async {
        let (send, receive) = link.connection.open_bi().await?;
        let mut way = Way { send, reader: Reader::new(receive), over: place.over.clone() };
        way.reader.set_throttle(link.throttle.clone());
        let mut header = vec![StreamKind::Items as u8];
        message::put(&offer, &mut header);
        if offer.paced {
            way.send.set_priority(Priority::Live);
        }
        way.send.write(&mut [header.into()]).await?;
        let Way { send, reader, .. } = &mut way;
        tokio::select! {
            end = take_answers(&fanout, key, reader) => end,
            Err(lost) = write_batches(&fanout, &place, send) => Err(lost),
        }
    };
    let ended = tokio::select! {
        ended = ended => ended,
        () = place.over.token.cancelled() => return,
    };
    match ended {
        Ok(end) => fanout.answered(key, end),
        Err(LinkError::Malformed(malformed)) => {
            link.connection.close(CloseCode::Malformed, malformed.0);
            fanout.fail(key, Failure::NodeLost);
        }
        Err(LinkError::Lost(_)) => fanout.fail(key, Failure::NodeLost),
    }
}

async fn take_answers(fanout: &Fanout, key: Key, reader: &mut Reader) -> Result<ReceiverEnd, LinkError> {
    loop {
        match reader.answer().await? {
            Some(Answer::Grant(credit)) => fanout.grant(key, credit, None)?,
            Some(Answer::Pace { grant, held_micros }) => {
                fanout.grant(key, grant, Some(Duration::from_micros(held_micros)))?;
            }
            Some(Answer::Ended(end)) => return Ok(end),
            Some(Answer::Dropped { .. }) => return Err(Malformed("a receiver that drops items").into()),
            None => return Err(Malformed("a receiver that ends without saying how").into()),
        }
    }
}

/// Writes a receiver's queue, until the end of the stream or of the receiver's part.
async fn write_batches(fanout: &Fanout, place: &Place, send: &mut SendStream) -> Result<(), LinkError> {
    let mut pieces = Vec::new();
    loop {
        let after = match fanout.take_queue(place.key, &mut pieces) {
            Ok(after) => after,
            Err(malformed) => {
                // The producer's fault, as a receiver would find that looks at each item.
                fanout.fail(place.key, Failure::BadArguments { message: malformed.to_string() });
                return Ok(());
            }
        };
        if after == After::Over {
            // Dropped unfinished, the stream is reset: the receiver learns that it is off.
            return Ok(());
        }
        if !pieces.is_empty() {
            // In groups, so that a large item on a slow path counts as progress while it passes.
            let mut rest = pieces.as_mut_slice();
            while !rest.is_empty() {
                let count = group(rest);
                let (first, others) = std::mem::take(&mut rest).split_at_mut(count);
                rest = others;
                match send.write(first).await {
                    Ok(()) => fanout.touch(place.key),
                    // It wants no more, and its answer says why.
                    Err(StreamLost::Stopped) => return Ok(()),
                    Err(lost) => return Err(lost.into()),
                }
            }
            pieces.clear();
        } else if after == After::More {
            place.filled.notified().await;
        }
        if after == After::End {
            send.finish();
            return Ok(());
        }
    }
}

/// How many of the pieces to write first.
fn group(pieces: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = |piece: &&Bytes| {
        let fits = bytes < GROUP_BYTES;
        bytes += piece.len();
        fits
    };
    pieces.iter().take(GROUP).take_while(fits).count()
}

/// Takes receivers off the stream that finish nothing although items wait for them.
async fn evict_stalled(fanout: &Fanout, stall: Option<Duration>) -> std::convert::Infallible {
    let Some(stall) = stall else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(stall / 4).await;
        for node in fanout.evict(stall) {
            tracing::warn!(node, ?stall, "a receiver finishes nothing: it leaves the stream");
        }
    }
}
