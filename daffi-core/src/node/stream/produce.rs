//! The producer's side of a stream.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    OnError, Options,
    carry::{Door, Heard, carry},
    party::Party,
    slot::Slot,
    source::Feed,
};
use crate::{
    node::{Inner, context::Scope, directory::Audience, error::CallError, outgoing::Request},
    wire::{
        NodeId,
        item_stream::{ReceiverEnd, StreamEnd, StreamRequest},
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
    let targets = party.take_in(Audience { callback: id, targets, misfits });
    let stall_millis = u64::try_from(options.stall.as_millis()).unwrap_or(u64::MAX);
    let (keep, live) = (options.on_slow.keep(), options.live());
    let request = StreamRequest { callback: id, targets, stall_millis, trace, answers: None, keep, live };

    let slot = Slot::new(node.clock, link.terms.item_size);
    let mut ends = Vec::new();
    let heard = |heard| match heard {
        Heard::Dropped { node: receiver, items } => party.announce_dropped(receiver, items),
        Heard::Ended(end) => {
            let receiver = party.name_of(end.node);
            if let Some(failure) = &end.failure {
                party.announce_left(&receiver, failure);
                if options.on_error == OnError::StopStream {
                    slot.end(StreamEnd::OtherReceiverFailed);
                    slot.close();
                }
            }
            ends.push((receiver, end));
        }
    };
    let entered = |nodes: &[NodeId]| party.announce_joined(nodes);
    let (sender, newcomers) = mpsc::unbounded_channel();
    let door = live.then_some(Door { newcomers, entered: &entered });
    tokio::select! {
        carried = carry(node, &link, &request, source, scope, &slot, door, heard) => {
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
