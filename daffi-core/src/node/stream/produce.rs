//! The producer's side of a stream.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{OnError, Options, carry::carry, slot::Slot, source::Feed};
use crate::{
    node::{Inner, context::Scope, directory::Audience, error::CallError, event::Event, outgoing::Request},
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
    let Audience { callback: id, targets, misfits } = node.directory.borrow().all(&callback, stub)?;
    if targets.is_empty()
        && let Some((_, error)) = misfits.first()
    {
        return Err(error.clone());
    }
    let misfits = misfits.into_iter().map(|(target, error)| (target.name.to_string(), error)).collect();
    let names: HashMap<NodeId, String> = targets.iter().map(|target| (target.node, target.name.to_string())).collect();
    let targets = targets.iter().map(|target| target.node).collect();
    let stall_millis = u64::try_from(options.stall.as_millis()).unwrap_or(u64::MAX);
    let request = StreamRequest { callback: id, targets, stall_millis, trace, answers: None };

    let slot = Slot::new(node.clock);
    let mut ends = Vec::new();
    let ended = |end: ReceiverEnd| {
        let receiver = names.get(&end.node).cloned().unwrap_or_default();
        if let Some(failure) = &end.failure {
            let reason = failure.to_string();
            node.announce(Event::ReceiverLeft { callback: callback.to_string(), node: receiver.clone(), reason });
            if options.on_error == OnError::StopStream {
                slot.end(StreamEnd::OtherReceiverFailed);
                slot.close();
            }
        }
        ends.push((receiver, end));
    };
    carry(node, &link, &request, source, scope, &slot, ended).await.map_err(|_| CallError::ControllerLost)?;
    let sent = slot.count();
    match slot.ended() {
        Some(StreamEnd::SourceFailed { message }) => Err(CallError::SourceFailed { message, sent }),
        _ => Ok(Produced { sent, ends, misfits }),
    }
}
