//! Item streams: from one producer to many receivers, the same bytes to each.
//!
//! The producer's batches are read as they come and appended to a queue for each receiver, so reading never waits for a
//! receiver. What bounds the queue of one that has to have all items is credit: the producer may send what its slowest such receiver
//! has granted, so no queue holds more than a window and a batch. From any other's queue items go when it is too long, and not more
//! than a few are on their way to it.
//!
//! A stream outlives the connections that it goes over. The controller keeps nothing that it has sent: a receiver that is back says
//! where it stands, and the producer, who has everything that somebody may need, is asked to go on from there; the others let
//! pass what they have.

mod entering;
mod entrance;
mod receiver;
mod room;
mod serve;
mod state;
mod told;

use std::{collections::HashSet, future, sync::Arc, time::Duration};

use bytes::Bytes;
use daffi_core::{
    link::{LinkError, Reader, Throttle},
    transport::{CloseCode, ConnectionLost, Priority, RecvStream, SendStream, StreamLost},
    wire::{
        Malformed, NodeId,
        batch::{Batch, Carries, Cutter},
        failure::Failure,
        item_stream::{Resumed, StreamRequest},
        limits::{MAX_TARGETS, RESUME},
        name,
    },
};
use tokio::sync::{OwnedSemaphorePermit, watch};

pub(crate) use self::room::Rooms;
use self::{entrance::Entrance, room::Room, state::Fanout, told::Told};
use crate::hub::{Handed, Hop, Hops, Hub, Key, NodeLink, Producer};

/// Accepts a node's item streams until its connection is gone. Each runs in a task of its own, which outlives the connection.
pub(crate) async fn accept(producer: &Producer, link: &NodeLink, hub: &Arc<Hub>) -> LinkError {
    let room = hub.rooms.of(link);
    loop {
        let (send, receive) = match link.connection.accept_bi().await {
            Ok(streams) => streams,
            Err(lost) => return lost.into(),
        };
        // Answers: small, and the producer waits for them.
        send.set_priority(Priority::Control);
        let (producer, link, hub, room) = (producer.clone(), link.clone(), hub.clone(), room.clone());
        tokio::spawn(async move {
            match arrive(producer, &link, &hub, send, receive).await {
                Ok(Some((request, hop))) => {
                    // The stream keeps the connection that it goes over, and no other.
                    drop(link);
                    begin(request, hop, &hub, room.as_ref()).await;
                }
                Err(LinkError::Malformed(malformed)) => dismiss(&link, malformed),
                Ok(None) | Err(LinkError::Lost(_)) => {}
            }
        });
    }
}

/// Closes the connection over which a producer said what makes no sense.
fn dismiss(link: &NodeLink, malformed: Malformed) {
    tracing::warn!(node = &*link.name, %malformed, "a stream makes no sense");
    link.connection.close(CloseCode::Malformed, malformed.0);
}

/// Reads what a stream is, and hands it over if it goes on with one that is known; gives it back if it begins here.
async fn arrive(
    producer: Producer,
    link: &NodeLink,
    hub: &Hub,
    send: SendStream,
    receive: RecvStream,
) -> Result<Option<(StreamRequest, Hop)>, LinkError> {
    let mut reader = Reader::new(receive);
    reader.set_throttle(link.throttle.clone());
    let request: StreamRequest = reader.item_stream_header().await?;
    check(&request)?;
    let (source, first) = reader.into_parts();
    let hop = Hop { producer, link: link.clone(), resumed: request.resumed.clone(), send, source, first };
    let Some(key) = key(&request, &hop.producer).filter(|_| request.resumed.is_some()) else {
        return Ok(Some((request, hop)));
    };
    match hub.streams().hand_over(&key, hop) {
        Handed::Taken => Ok(None),
        Handed::TooLate(hop) => {
            room::refuse(hop.send, &request, &Failure::NodeLost).await?;
            Ok(None)
        }
        // It began with a controller that is no more.
        Handed::Unknown(hop) => Ok(Some((request, hop))),
    }
}

/// By what a stream is known that outlives its connection.
fn key(request: &StreamRequest, producer: &Producer) -> Option<Key> {
    request.stream.map(|stream| (producer.name.clone(), stream))
}

/// Begins a stream, and serves it until nothing more can come of it.
async fn begin(request: StreamRequest, hop: Hop, hub: &Arc<Hub>, room: Option<&Room>) {
    // A stream that answers a call belongs to the call.
    let place = match room.filter(|_| request.answers.is_none()).map(Room::enter).transpose() {
        Ok(place) => place,
        // If it does not hear of it, its connection is gone.
        Err(failure) => return drop(room::refuse(hop.send, &request, &failure).await),
    };
    let _counted = hub.stream_begins();
    // From before the receivers are let in: of no change between is nobody told.
    let changes = hub.rule_changes();
    let fanout = Arc::new(Fanout::new(&request, hub.limits.item_size));
    let hops = hub.streams().expect(key(&request, &hop.producer), hop.link.instance);
    let mut entrance = Entrance::new(hub.clone(), fanout.clone(), request, &hop.producer);
    if let Err(malformed) = entrance.open() {
        return dismiss(&hop.link, malformed);
    }
    // Whoever takes the results of a call may pause as long as it pleases.
    let (stall, forbids) = (entrance.stall(), entrance.forbids());
    tokio::select! {
        () = serve(&mut entrance, place, hop, hops) => {}
        never = evict_stalled(&fanout, stall) => match never {},
        never = evict_forbidden(&fanout, changes, forbids) => match never {},
    }
}

fn check(request: &StreamRequest) -> Result<(), Malformed> {
    if request.targets.len() > MAX_TARGETS {
        return Err(Malformed("too many targets"));
    }
    let targets: HashSet<_> = request.targets.iter().collect();
    if targets.len() < request.targets.len() {
        return Err(Malformed("a target that is named twice"));
    }
    if request.answers.is_some() && (request.targets.len() != 1 || request.live || request.stream.is_some()) {
        return Err(Malformed("an answer to several nodes, or one that outlives its call"));
    }
    let Some(Resumed { receivers, named, from, .. }) = &request.resumed else { return Ok(()) };
    from.position.check()?;
    if request.stream.is_none() || !request.targets.is_empty() || receivers.len() > MAX_TARGETS {
        return Err(Malformed("a stream that goes on where it cannot"));
    }
    if !receivers.is_sorted_by(|one, next| one.receiver < next.receiver)
        || receivers.last().is_some_and(|last| last.receiver >= *named)
    {
        return Err(Malformed("receivers that are not numbered one by one"));
    }
    if receivers.iter().any(|awaited| name::check(&awaited.node).is_err()) {
        return Err(Malformed("a receiver whose node has no name"));
    }
    Ok(())
}

/// Why a stream left the producer's connection.
enum Left {
    /// Nothing more can come of it, and the producer knows.
    Over,
    /// The connection is gone.
    Broken(ConnectionLost),
    /// It goes on there.
    Moved(Box<Hop>),
}

/// Serves a stream until nothing more can come of it, over one connection after the other.
async fn serve(entrance: &mut Entrance, mut place: Option<OwnedSemaphorePermit>, mut hop: Hop, mut hops: Hops) {
    let fanout = entrance.fanout().clone();
    let patience = entrance.stall().unwrap_or_default().min(RESUME);
    let mut told = Told::default();
    loop {
        let link = hop.link.clone();
        let next = match serve_hop(entrance, &mut place, hop, &mut told, &mut hops).await {
            Ok(Left::Over) | Err(LinkError::Lost(_)) => return,
            Err(LinkError::Malformed(malformed)) => return dismiss(&link, malformed),
            Ok(Left::Moved(next)) => Some(*next),
            Ok(Left::Broken(lost)) if hops.last() && !link.is_gone(&lost) => {
                tracing::debug!(producer = entrance.producer().name, %lost, "a stream waits for its producer");
                tokio::time::timeout(patience, hops.next()).await.ok().flatten()
            }
            Ok(Left::Broken(_)) => None,
        };
        match next.or_else(|| hops.give_up()) {
            Some(next) => hop = next,
            None => break,
        }
    }
    // What came before the connection broke is whole and still wanted.
    fanout.abandon();
    fanout.over().await;
}

/// Serves the stream over one connection of the producer's.
async fn serve_hop(
    entrance: &mut Entrance,
    place: &mut Option<OwnedSemaphorePermit>,
    hop: Hop,
    told: &mut Told,
    hops: &mut Hops,
) -> Result<Left, LinkError> {
    let fanout = entrance.fanout().clone();
    let Hop { producer, link, resumed, send, source, first } = hop;
    if let Some(resumed) = &resumed {
        let again = told.begin_anew(|number| resumed.misses(number));
        entrance.reopen(&producer, resumed, &again)?;
        fanout.producer_is_back(again);
    }
    tokio::select! {
        // Whoever has answered has ended; the tasks of stalled receivers are dropped with the entrance.
        answered = answer_producer(&fanout, place, told, send) => match answered {
            // Dropping the receivers' tasks tells them.
            Ok(()) | Err(StreamLost::Stopped) => Ok(Left::Over),
            Err(StreamLost::Connection(lost)) => Ok(Left::Broken(lost)),
            Err(lost) => Err(lost.into()),
        },
        error = take_in(entrance, source, first, &link.throttle) => match error {
            // The producer lost interest: dropping the receivers' tasks resets their streams.
            LinkError::Lost(StreamLost::Reset) => Ok(Left::Over),
            LinkError::Lost(StreamLost::Connection(lost)) => Ok(Left::Broken(lost)),
            error => Err(error),
        },
        next = hops.next() => Ok(match next {
            Some(next) => Left::Moved(next.into()),
            // Another process has the producer's name.
            None => Left::Broken(ConnectionLost::TimedOut),
        }),
    }
}

/// Reads the producer's batches and queues them, and lets in who comes; returns only if the stream cannot go on here.
async fn take_in(entrance: &mut Entrance, mut source: RecvStream, first: Bytes, throttle: &Throttle) -> LinkError {
    let (mut cutter, mut chunks) = (Cutter::up_to(entrance.fanout().item_at_once()), vec![first]);
    loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        loop {
            let taken = match cutter.next_batch() {
                Ok(Some(batch)) => take(entrance, &batch),
                Ok(None) => break,
                Err(malformed) => Err(malformed),
            };
            if let Err(malformed) = taken {
                return malformed.into();
            }
        }
        match source.read(&mut chunks).await {
            Ok(true) => throttle.pay(chunks.iter().map(Bytes::len).sum()).await,
            // The rest is up to the receivers.
            Ok(false) if entrance.fanout().at().is_behind_end() => return future::pending().await,
            Ok(false) => return Malformed("a stream without an end").into(),
            Err(lost) => return lost.into(),
        }
    }
}

fn take(entrance: &mut Entrance, batch: &Batch) -> Result<(), Malformed> {
    match batch.header().carries {
        Carries::Newcomers => entrance.let_newcomers_in(batch),
        Carries::Mark => match batch.stream_mark()? {
            Some(mark) => entrance.fanout().go_on(mark),
            None => Ok(()),
        },
        _ => entrance.fanout().push(batch),
    }
}

/// Tells the producer of grants, of items that went, and of ends, until every receiver has ended; of a live stream, until its source
/// has ended too.
async fn answer_producer(
    fanout: &Fanout,
    place: &mut Option<OwnedSemaphorePermit>,
    told: &mut Told,
    mut send: SendStream,
) -> Result<(), StreamLost> {
    loop {
        let mut bytes = Vec::new();
        let over = told.put_news(fanout, &mut bytes);
        if over {
            // The producer may begin another as soon as it is told.
            drop(place.take());
        }
        if !bytes.is_empty() {
            send.write(&mut [bytes.into()]).await?;
        }
        if over {
            send.finish();
            return send.settled().await;
        }
        tokio::select! {
            () = told.news(fanout) => {}
            // A producer that wants no answers has lost interest in the stream, though its items may all be here.
            settled = send.settled() => return settled.and(Err(StreamLost::Stopped)),
        }
    }
}

/// Takes receivers off the stream that finish nothing although items wait for them.
async fn evict_stalled(fanout: &Fanout, stall: Option<Duration>) -> std::convert::Infallible {
    let Some(stall) = stall else {
        return future::pending().await;
    };
    // Those who are away are not waited for longer than that, however long others may take.
    let every = stall.min(RESUME) / 4;
    loop {
        tokio::time::sleep(every).await;
        for receiver in fanout.evict(stall) {
            tracing::warn!(
                receiver,
                ?stall,
                "a receiver finishes nothing, or does not come back: it leaves the stream"
            );
        }
    }
}

/// Takes receivers off the stream whenever the rules change and allow it no more.
async fn evict_forbidden(
    fanout: &Fanout,
    mut changes: watch::Receiver<u64>,
    forbids: impl Fn(NodeId) -> Option<Failure>,
) -> std::convert::Infallible {
    while changes.changed().await.is_ok() {
        fanout.judge(&forbids);
    }
    // Without anybody who could change them, they stay as they are.
    future::pending().await
}
