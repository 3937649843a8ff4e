//! The way of a stream to one receiver, over one connection after the other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use daffi_core::{
    link::{LinkError, Reader},
    transport::{CloseCode, Priority, SendStream, StreamLost},
    wire::{
        Malformed, StreamKind,
        failure::Failure,
        item_stream::{Answer, ReceiverEnd, ReceiverId, StreamOffer},
        message,
    },
};

use super::{
    receiver::{Over, Place},
    state::{After, Fanout},
};
use crate::hub::{Hub, NodeLink, Producer};

/// How many pieces, and how many bytes, are written to a receiver at a time: little enough that a slow path shows progress.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 256 << 10;

/// Where a receiver is found.
pub(super) struct Seat {
    /// Its node's name, and the callback's: the numbers may change.
    pub(super) node: String,
    pub(super) callback: String,
    /// Who sends the stream.
    pub(super) producer: Producer,
    /// The way to it; nothing to one that has to come back first.
    pub(super) link: Option<NodeLink>,
    pub(super) offer: StreamOffer,
}

/// Carries the stream to one receiver and takes its answers. If it lasts, over the next connection when one breaks.
pub(super) async fn serve(fanout: Arc<Fanout>, hub: Arc<Hub>, place: Place, mut seat: Seat) {
    let over = place.over.token.clone();
    let served = async {
        let mut broken = None;
        loop {
            let link = match seat.link.take() {
                Some(link) => link,
                None => {
                    // Let go of when there is another.
                    let broken = broken.take();
                    let (node, callback) = hub.wait_for(&seat.node, &seat.callback, broken.as_ref()).await;
                    fanout.meet(place.number, node);
                    (seat.offer.callback, seat.offer.resumed) = (callback, true);
                    match hub.receiver(&seat.producer, node, callback) {
                        Ok((link, _)) => link,
                        Err(failure) => return fanout.fail(place.number, failure),
                    }
                }
            };
            let lost = match hop(&fanout, &place, &link, &mut seat.offer).await {
                Ok(end) => return fanout.answered(place.number, end),
                Err(LinkError::Malformed(malformed)) => {
                    link.connection.close(CloseCode::Malformed, malformed.0);
                    return fanout.fail(place.number, Failure::NodeLost);
                }
                Err(LinkError::Lost(lost)) => lost,
            };
            let is_gone = match &lost {
                StreamLost::Connection(lost) => link.is_gone(lost),
                _ => true,
            };
            if is_gone || seat.offer.stream.is_none() {
                return fanout.fail(place.number, Failure::NodeLost);
            }
            tracing::debug!(node = seat.node, callback = seat.callback, %lost, "a stream waits for a receiver");
            fanout.away(place.number);
            broken = Some(link);
        }
    };
    tokio::select! {
        () = served => {}
        () = over.cancelled() => {}
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
        if let Some(why) = self.over.why() {
            self.send.reset(why);
            self.reader.stop(why);
        }
    }
}

async fn hop(
    fanout: &Fanout,
    place: &Place,
    link: &NodeLink,
    offer: &mut StreamOffer,
) -> Result<ReceiverEnd, LinkError> {
    let (send, receive) = link.connection.open_bi().await?;
    let mut way = Way { send, reader: Reader::new(receive), over: place.over.clone() };
    way.reader.set_throttle(link.throttle.clone());
    let mut header = vec![StreamKind::Items as u8];
    message::put(offer, &mut header);
    if offer.paced {
        way.send.set_priority(Priority::Live);
    }
    way.send.write(&mut [header.into()]).await?;
    let Way { send, reader, .. } = &mut way;
    if offer.resumed {
        match reader.answer().await? {
            Some(Answer::Standing(standing)) => fanout.back(place.number, &standing)?,
            Some(Answer::Ended(end)) => return Ok(end),
            _ => return Err(Malformed("a receiver that does not say where it stands").into()),
        }
    }
    tokio::select! {
        end = take_answers(fanout, place.number, reader, &mut offer.begun) => end,
        Err(lost) = write_batches(fanout, place, send) => Err(lost),
    }
}

async fn take_answers(
    fanout: &Fanout,
    receiver: ReceiverId,
    reader: &mut Reader,
    begun: &mut bool,
) -> Result<ReceiverEnd, LinkError> {
    loop {
        let answer = reader.answer().await?;
        *begun = true;
        match answer {
            Some(Answer::Grant(credit)) => fanout.grant(receiver, credit, None)?,
            Some(Answer::Pace { grant, held_micros }) => {
                fanout.grant(receiver, grant, Some(Duration::from_micros(held_micros)))?;
            }
            Some(Answer::Ended(end)) => return Ok(end),
            Some(Answer::Dropped { .. } | Answer::Rewind(_) | Answer::Standing(_)) => {
                return Err(Malformed("an answer that is not a receiver's").into());
            }
            None => return Err(Malformed("a receiver that ends without saying how").into()),
        }
    }
}

/// Writes a receiver's queue, until the end of the stream or of the receiver's part.
async fn write_batches(fanout: &Fanout, place: &Place, send: &mut SendStream) -> Result<(), LinkError> {
    let mut pieces = Vec::new();
    loop {
        let after = match fanout.take_queue(place.number, &mut pieces) {
            Ok(after) => after,
            Err(malformed) => {
                // The producer's fault, as a receiver would find that looks at each item.
                fanout.fail(place.number, Failure::BadArguments { message: malformed.to_string() });
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
                    Ok(()) => fanout.touch(place.number),
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
