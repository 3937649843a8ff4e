//! The sending end of one item stream, whoever it is for: a source out, credit and the receivers' answers in.

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    slot::{Slot, Taken},
    source::Feed,
};
use crate::{
    clock::Clock,
    link::{LinkError, Reader},
    node::{Inner, context::Scope, session::Link},
    transport::{RecvStream, SendStream, StreamLost},
    wire::{
        StreamKind,
        batch::Batch,
        credit::{Allowance, Credit},
        item_stream::{Answer, ReceiverEnd, StreamRequest},
        limits, message,
    },
};

/// Opens a stream, runs the source into it through `slot`, and hands every answer to `ended`, until all targets have given one.
/// Dropping it resets the stream and stops the source.
pub(super) async fn carry(
    node: &Inner,
    link: &Link,
    request: &StreamRequest,
    source: Feed,
    scope: Option<Scope>,
    slot: &Slot,
    ended: impl FnMut(ReceiverEnd),
) -> Result<(), LinkError> {
    let mut opening = vec![StreamKind::Items as u8];
    message::put(request, &mut opening);
    let (mut outgoing, answers) = link.connection.open_bi().await?;
    outgoing.write(&mut [opening.into()]).await?;

    // Whatever ends this future stops the source.
    let _closer = Closer(slot);
    source.start(slot.clone(), &node.runtimes.work, scope);
    let credit = CreditGate::default();
    let write = async {
        match write_items(slot, &credit, node.clock, &mut outgoing).await {
            // The receivers stopped it; their answers say why.
            Ok(()) | Err(StreamLost::Stopped) => std::future::pending().await,
            Err(lost) => lost,
        }
    };
    tokio::select! {
        lost = write => Err(lost.into()),
        read = read_answers(answers, &credit, request.targets.len(), ended) => read,
    }
}

/// Stops the source of a stream that is over.
struct Closer<'a>(&'a Slot);

impl Drop for Closer<'_> {
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
