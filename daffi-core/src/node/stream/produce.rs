//! The producer's side of a stream.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    OnError, Options,
    carry::{Heard, Lasting, carry},
    party::{Party, count},
    slot::Slot,
    source::Feed,
    writer::Door,
};
use crate::{
    node::{Inner, context::Scope, directory::Audience, error::CallError, outgoing::Request},
    wire::{
        item_stream::{Newcomers, ReceiverEnd, StreamEnd, StreamRequest},
        limits, varint,
    },
};

/// What became of a stream, not yet decoded: that is for the caller's thread.
#[derive(Debug)]
pub(super) struct Produced {
    pub(super) sent: u64,
    /// Each receiver's name and answer.
    pub(super) ends: Vec<(String, ReceiverEnd)>,
    /// Those whose callback the stub does not fit.
    pub(super) misfits: Vec<(String, CallError)>,
}

/// Sends a stream from its source to all receivers; ends with the last receiver's answer. Cancelling the token, or dropping
/// this, resets the stream.
pub(super) async fn run(
    node: Arc<Inner>,
    request: Request,
    scope: Option<Scope>,
    source: Feed,
    options: Options,
    cancelled: CancellationToken,
) -> Result<Produced, CallError> {
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Err(CallError::Cancelled),
        produced = send(&node, request, scope, source, options) => produced,
    }
}

async fn send(
    node: &Inner,
    request: Request,
    scope: Option<Scope>,
    source: Feed,
    options: Options,
) -> Result<Produced, CallError> {
    let Request { callback, stub, trace, .. } = request;
    if let Some(patience) = options.wait {
        // Whether or not somebody came: the look-up says so.
        let offered = node.directory.subscribe();
        let _ =
            tokio::time::timeout(patience, { offered }.wait_for(|directory| directory.has_callback(&callback))).await;
    }
    let link = node.link()?;
    // Before the receivers are picked, so that nobody comes in between.
    let mut directory = node.directory.subscribe();
    let Audience { callback: id, targets, misfits } = directory.borrow_and_update().all(&callback, stub)?;
    if targets.is_empty()
        && let Some((_, error)) = misfits.first()
    {
        return Err(error.clone());
    }
    let party = Party { node, callback: &callback, stub, members: Mutex::default() };
    let Newcomers { nodes: targets, .. } = party.take_in(Audience { callback: id, targets, misfits });
    party.enter(count(&targets));
    let stall_millis = u64::try_from(options.stall.as_millis()).unwrap_or(u64::MAX);
    let (keep, live) = (options.on_slow.keep(), options.live());
    let stream = node.reconnect.then(|| fastrand::u64(..=varint::MAX));
    let request =
        StreamRequest { callback: id, targets, stall_millis, trace, answers: None, keep, live, stream, resumed: None };

    let slot = Slot::new(node.clock, link.terms.item_size);
    let mut ends = Vec::new();
    let (sender, newcomers) = mpsc::unbounded_channel();
    let heard = |heard| match heard {
        Heard::Dropped { receiver, items } => party.announce_dropped(receiver, items),
        Heard::Ended(end) => {
            let (receiver, back) = party.end(end.receiver);
            if let Some(failure) = &end.failure {
                party.announce_left(&receiver, failure);
                if options.on_error == OnError::StopStream {
                    slot.end(StreamEnd::OtherReceiverFailed);
                    slot.close();
                }
            }
            ends.push((receiver, end));
            // The other side lives as long as the stream.
            let _ = back.map(|newcomers| sender.send(newcomers));
        }
    };
    let entered = |newcomers: &Newcomers| {
        party.enter(newcomers.first.saturating_add(count(&newcomers.nodes)));
        party.announce_joined(newcomers);
    };
    let door = live.then_some(Door { newcomers, entered: &entered });
    let awaited = |has_ended| party.awaited(has_ended);
    let patience = options.stall.min(limits::RESUME);
    let lasting = stream.map(|_| Lasting { callback: &callback, patience, awaited: &awaited });
    tokio::select! {
        carried = carry(node, link, request, source, scope, &slot, lasting, door, heard) => {
            carried.map_err(|_| CallError::ControllerLost)?;
        }
        never = party.watch(directory, &sender), if live => match never {},
    }
    let sent = slot.count();
    match slot.ended() {
        Some(StreamEnd::SourceFailed { message }) => Err(CallError::SourceFailed { message, sent }),
        _ => Ok(Produced { sent, ends, misfits: party.into_misfits() }),
    }
}
