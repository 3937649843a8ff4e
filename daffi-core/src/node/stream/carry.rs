//! The sending end of one item stream, whoever it is for: a source out, credit and the receivers' answers in.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::{
    slot::Slot,
    source::Feed,
    writer::{Door, Writer},
};
use crate::{
    link::{LinkError, Reader},
    node::{Inner, context::Scope, session::Link},
    transport::{CloseCode, Priority, RecvStream, StreamLost},
    wire::{
        Malformed, StreamKind,
        item_stream::{Answer, Awaited, ReceiverEnd, ReceiverId, Resumed, StreamRequest},
        message,
        outflow::Outflow,
    },
};

/// What the controller tells of the receivers.
#[derive(Debug)]
pub(super) enum Heard {
    /// So many items went for this one since the stream began.
    Dropped { receiver: ReceiverId, items: u64 },
    /// One is through with the stream.
    Ended(ReceiverEnd),
}

/// How a stream goes on whose connection broke.
pub(super) struct Lasting<'a> {
    /// The callback's name.
    pub(super) callback: &'a str,
    /// For how long it waits for another connection.
    pub(super) patience: Duration,
    /// The receivers that have not ended, and how many were named in all; by whether the source has ended.
    pub(super) awaited: &'a (dyn Fn(bool) -> (Vec<Awaited>, ReceiverId) + Sync),
}

/// Opens a stream, runs the source into it through `slot`, and hands to `heard` what is told of the receivers, until all have ended;
/// with a door, until the source has ended too. One that is `lasting` goes on when its connection breaks. Dropping it resets the
/// stream and stops the source.
#[expect(clippy::too_many_arguments, reason = "two callers, which differ in the last three")]
pub(super) async fn carry(
    node: &Inner,
    mut link: Arc<Link>,
    mut request: StreamRequest,
    source: Feed,
    scope: Option<Scope>,
    slot: &Slot,
    lasting: Option<Lasting<'_>>,
    mut door: Option<Door<'_>>,
    mut heard: impl FnMut(Heard),
) -> Result<(), LinkError> {
    // Whatever ends this future stops the source.
    let _closer = Closer(slot);
    let mut source = Some((source, scope));
    let flow = Flow::new(Outflow::new(lasting.is_some()));
    let missing = AtomicUsize::new(request.targets.len());
    let item_size = link.terms.item_size;
    loop {
        let start = || {
            if let Some((source, scope)) = source.take() {
                source.start(slot.clone(), &node.runtimes.work, scope);
            }
        };
        let carried = hop(node, &link, &request, start, slot, &flow, &missing, door.as_mut(), &mut heard).await;
        if let Err(LinkError::Malformed(malformed)) = &carried {
            tracing::error!(%malformed, "the answers to a stream make no sense");
            link.connection.close(CloseCode::Malformed, malformed.0);
        }
        let (Err(LinkError::Lost(StreamLost::Connection(lost))), Some(lasting)) = (&carried, &lasting) else {
            return carried;
        };
        tracing::info!(callback = lasting.callback, %lost, "a stream waits for another connection");
        let next = timeout(lasting.patience, node.next_link(&link)).await;
        let Ok(Some(next)) = next else { return carried };
        if next.terms.item_size < item_size {
            // There may be items that it would break the connection for.
            tracing::warn!(callback = lasting.callback, "a stream ends: this controller takes smaller items only");
            return carried;
        }
        link = next;
        // Who waits at the door is among those who are awaited, and has another number now; after the end nobody is let in.
        while door.as_mut().is_some_and(|door| door.newcomers.try_recv().is_ok()) {}
        let (receivers, named) = (lasting.awaited)(flow.with(|outflow| outflow.end().is_behind_end()));
        missing.store(receivers.len(), Ordering::Relaxed);
        let from = flow.with(Outflow::resume);
        let callback = lasting.callback.to_owned();
        request.targets.clear();
        request.resumed = Some(Resumed { callback, from, receivers, named });
    }
}

/// Carries the stream over one connection.
#[expect(clippy::too_many_arguments, reason = "all that lasts longer than the connection")]
async fn hop(
    node: &Inner,
    link: &Link,
    request: &StreamRequest,
    start: impl FnOnce(),
    slot: &Slot,
    flow: &Flow,
    missing: &AtomicUsize,
    door: Option<&mut Door<'_>>,
    heard: impl FnMut(Heard),
) -> Result<(), LinkError> {
    let mut opening = vec![StreamKind::Items as u8];
    message::put(request, &mut opening);
    let (outgoing, answers) = link.connection.open_bi().await?;
    let mut writer = Writer {
        slot,
        flow,
        missing,
        clock: node.clock,
        in_fragments: request.takes_fragments(),
        outgoing,
        door,
        pieces: Vec::new(),
    };
    if request.keep.is_some() {
        writer.outgoing.set_priority(Priority::Live);
    }
    writer.outgoing.write(&mut [opening.into()]).await?;
    start();
    let carried = {
        let write = async {
            match writer.run().await {
                // The receivers stopped it; their answers say why.
                Err(StreamLost::Stopped) => std::future::pending().await,
                Err(lost) => lost,
                Ok(never) => match never {},
            }
        };
        tokio::select! {
            lost = write => Err(lost.into()),
            read = read_answers(answers, flow, missing, request.live, heard) => read,
        }
    };
    // Dropped unfinished it is reset: the rest is not wanted.
    if carried.is_ok() && writer.is_done() {
        writer.outgoing.finish();
    }
    carried
}

/// Stops the source of a stream that is over.
struct Closer<'a>(&'a Slot);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What goes to the controller, and a way to wait for what the controller says of it.
pub(super) struct Flow {
    outflow: Mutex<Outflow>,
    changed: Notify,
}

impl Flow {
    fn new(outflow: Outflow) -> Self {
        Self { outflow: outflow.into(), changed: Notify::new() }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Outflow) -> T) -> T {
        // Nothing under the lock panics: queues and counters are changed.
        change(&mut self.outflow.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until more may be sent, or something again. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Takes what the controller tells, until all receivers have ended; of a live stream, until the controller has no more to tell.
async fn read_answers(
    answers: RecvStream,
    flow: &Flow,
    missing: &AtomicUsize,
    live: bool,
    mut heard: impl FnMut(Heard),
) -> Result<(), LinkError> {
    let mut reader = Reader::new(answers);
    while live || missing.load(Ordering::Relaxed) > 0 {
        match reader.answer().await? {
            Some(Answer::Grant(grant)) => {
                if flow.with(|outflow| outflow.grant(grant)) {
                    flow.changed.notify_one();
                }
            }
            Some(Answer::Rewind(to)) => {
                flow.with(|outflow| outflow.rewind(to));
                flow.changed.notify_one();
            }
            Some(Answer::Ended(end)) => {
                // The number would wrap around, and nobody could tell any more whether all have ended.
                if missing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_err() {
                    return Err(Malformed("a receiver that ended twice").into());
                }
                heard(Heard::Ended(end));
            }
            Some(Answer::Dropped { receiver, items }) => heard(Heard::Dropped { receiver, items }),
            Some(Answer::Pace { .. } | Answer::Standing(_)) => {
                return Err(Malformed("a receiver's answer for the producer").into());
            }
            None if missing.load(Ordering::Relaxed) == 0 => return Ok(()),
            None => return Err(StreamLost::Reset.into()),
        }
    }
    Ok(())
}
