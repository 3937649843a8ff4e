//! The callee's side of a stream of results: it answers the call with a stream of its own.

use std::sync::Arc;

use super::{
    carry::carry,
    slot::Slot,
    source::{Feed, Source},
};
use crate::{
    node::{
        Inner,
        context::Scope,
        session::Link,
        stub::{EncodeError, Outcome, Reply},
    },
    wire::{
        CallId, NodeId,
        frame::Ask,
        item_stream::{StreamEnd, StreamRequest},
    },
};

/// What a callback returns that returns a stream, for the macros. `encode` writes an item as
/// [`result`](crate::wire::item_stream::result) has it.
pub fn results<T, S, K>(source: S, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>) -> Outcome
where
    S: Source<T, K>,
{
    Ok(Reply::Results(source.into_feed(encode, |_| true)))
}

/// Sends the results to the caller until they end, the caller wants no more of them, or its time is over.
pub(crate) async fn respond(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    call: CallId,
    caller: NodeId,
    ask: Ask,
    results: Feed,
    scope: Scope,
) {
    let Scope { deadline, cancelled, .. } = scope.clone();
    // Nothing the source asks of others is wanted once this is over.
    let _guard = cancelled.clone().drop_guard();
    let (inner, link) = (inner.clone(), link.clone());
    let io = inner.runtimes.io.clone();
    let responding = async move {
        let slot = Slot::new(inner.clock, link.terms.item_size);
        let (callback, targets) = (ask.callback, vec![caller]);
        let (trace, answers) = (ask.trace, Some(call));
        // It ends with the connection, as its call does.
        let (stream, resumed, stall_millis, keep, live) = (None, None, 0, None, false);
        let request = StreamRequest { callback, targets, stall_millis, trace, answers, keep, live, stream, resumed };
        let carried = carry(&inner, link, request, results, Some(scope), &slot, None, None, |_| {});
        let passed = async {
            if let Some(deadline) = deadline {
                tokio::time::sleep_until(deadline).await;
                // What was sent in time arrives, and then the caller is told.
                slot.end(StreamEnd::Deadline);
                slot.close();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            // Before the stream had a number of its own at the controller; or this node has lost its connection.
            () = cancelled.cancelled() => {}
            // However it ended, it is over: a caller that is gone needs no answer.
            _ = carried => {}
            () = passed => {}
        }
    };
    // A callback may run anywhere; connections are served by the I/O thread. The task panics in no case.
    let _ = io.spawn(responding).await;
}
