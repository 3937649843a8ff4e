//! The producer's side of a stream.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    OnError, Options,
    slot::{Slot, Taken},
    source::Feed,
};
use crate::{
    clock::Clock,
    link::{LinkError, Reader},
    node::{Inner, directory::Audience, error::CallError, event::Event, outgoing::Request},
    transport::{RecvStream, SendStream, StreamLost},
    wire::{
        NodeId, StreamKind,
        batch::Batch,
        credit::{Allowance, Credit},
        item_stream::{Answer, ReceiverEnd, StreamEnd, StreamRequest},
        limits, message,
        trace::TraceContext,
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
    trace: Option<TraceContext>,
    source: Feed,
    options: Options,
    cancelled: CancellationToken,
) -> Result<Produced, CallError> {
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Err(CallError::Cancelled),
        produced = send(&node, request, trace, source, options) => produced,
    }
}

async fn send(
    node: &Inner,
    request: Request,
    trace: Option<TraceContext>,
    source: Feed,
    options: Options,
) -> Result<Produced, CallError> {
    let Request { callback, stub, .. } = request;
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
    let expected = targets.len();
    let targets = targets.iter().map(|target| target.node).collect();
    let stall_millis = u64::try_from(options.stall.as_millis()).unwrap_or(u64::MAX);
    let mut opening = vec![StreamKind::Items as u8];
    message::put(&StreamRequest { callback: id, targets, stall_millis, trace }, &mut opening);

    let (mut outgoing, answers) = link.connection.open_bi().await.map_err(|_| CallError::ControllerLost)?;
    outgoing.write(&mut [opening.into()]).await.map_err(|_| CallError::ControllerLost)?;

    let slot = Slot::new(node.clock);
    // Whatever ends this future stops the source.
    let _closer = Closer(slot.clone());
    source.start(slot.clone(), &node.runtimes.work);
    let credit = CreditGate::default();
    let mut ends = Vec::new();
    let write = async {
        match write_items(&slot, &credit, node.clock, &mut outgoing).await {
            // The receivers stopped it; their answers say why.
            Ok(()) | Err(StreamLost::Stopped) => std::future::pending::<()>().await,
            Err(_) => {}
        }
    };
    let read = read_answers(answers, &credit, expected, |end: ReceiverEnd| {
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
    });
    let whole = tokio::select! {
        () = write => false,
        result = read => result.is_ok(),
    };
    if !whole {
        return Err(CallError::ControllerLost);
    }
    slot.close();
    let sent = slot.count();
    match slot.ended() {
        Some(StreamEnd::SourceFailed { message }) => Err(CallError::SourceFailed { message, sent }),
        _ => Ok(Produced { sent, ends, misfits }),
    }
}

/// Stops the source of a stream that is over.
struct Closer(Slot);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the producer may send, and a way to wait for more.
struct CreditGate {
    allowance: std::sync::Mutex<Allowance>,
    raised: Notify,
}

impl Default for CreditGate {
    fn default() -> Self {
        let mut allowance = Allowance::default();
        allowance.raise(Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES });
        Self { allowance: allowance.into(), raised: Notify::new() }
    }
}

impl CreditGate {
    fn with<T>(&self, change: impl FnOnce(&mut Allowance) -> T) -> T {
        change(&mut self.allowance.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Waits until a batch may be sent. Cancel safe.
    async fn open(&self) {
        while !self.with(|allowance| allowance.may_send()) {
            self.raised.notified().await;
        }
    }
}

/// Writes batches as they gather and credit allows, and then the end.
async fn write_items(
    slot: &Slot,
    credit: &CreditGate,
    clock: Clock,
    outgoing: &mut SendStream,
) -> Result<(), StreamLost> {
    let mut sent = 0;
    let mut pieces: Vec<Bytes> = Vec::new();
    loop {
        credit.open().await;
        let batches = match slot.take() {
            Taken::Batches(batches) => batches,
            Taken::Nothing => {
                slot.filled().await;
                continue;
            }
            Taken::End(end) => {
                let end = Batch::end(&end, sent, clock.micros());
                outgoing.write(&mut end.pieces().to_vec()).await?;
                outgoing.finish();
                return Ok(());
            }
        };
        for batch in batches {
            if !credit.with(|allowance| allowance.may_send()) {
                // Not before what there was credit for is on its way: the next grant depends on it.
                outgoing.write(&mut pieces).await?;
                pieces.clear();
                credit.open().await;
            }
            credit.with(|allowance| allowance.spend(batch.cost()));
            sent += u64::from(batch.header().count);
            pieces.extend_from_slice(batch.pieces());
        }
        outgoing.write(&mut pieces).await?;
        pieces.clear();
    }
}

/// Takes grants and ends, until all receivers have ended.
async fn read_answers(
    answers: RecvStream,
    credit: &CreditGate,
    mut missing: usize,
    mut ended: impl FnMut(ReceiverEnd),
) -> Result<(), LinkError> {
    let mut reader = Reader::new(answers);
    while missing > 0 {
        match reader.answer().await? {
            Some(Answer::Grant(grant)) => {
                if credit.with(|allowance| allowance.raise(grant)) {
                    credit.raised.notify_one();
                }
            }
            Some(Answer::Ended(end)) => {
                missing -= 1;
                ended(end);
            }
            None => return Err(StreamLost::Reset.into()),
        }
    }
    Ok(())
}
