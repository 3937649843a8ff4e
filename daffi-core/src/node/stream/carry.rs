//! The sending end of one item stream, whoever it is for: a source out, credit and the receivers' answers in.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::{
    slot::{Slot, Taken},
    source::Feed,
};
use crate::{
    clock::Clock,
    link::{LinkError, Reader},
    node::{Inner, context::Scope, session::Link},
    transport::{Priority, RecvStream, SendStream, StreamLost},
    wire::{
        Malformed, NodeId, StreamKind,
        batch::{Batch, fragments},
        credit::{Allowance, Credit},
        item_stream::{Answer, Newcomers, ReceiverEnd, StreamRequest},
        limits, message,
    },
};

/// What the controller tells of the receivers.
#[derive(Debug)]
pub(super) enum Heard {
    /// So many items went for this one since the stream began.
    Dropped { node: NodeId, items: u64 },
    /// One is through with the stream.
    Ended(ReceiverEnd),
}

/// Where nodes come in during a live stream.
pub(super) struct Door<'a> {
    pub(super) newcomers: mpsc::UnboundedReceiver<Vec<NodeId>>,
    /// Told of those who are in.
    pub(super) entered: &'a (dyn Fn(&[NodeId]) + Sync),
}

/// Opens a stream, runs the source into it through `slot`, and hands to `heard` what is told of the receivers, until all have ended;
/// with a door, until the source has ended too. Dropping it resets the stream and stops the source.
#[allow(clippy::too_many_arguments, reason = "two callers, which differ in the last two")]
pub(super) async fn carry(
    node: &Inner,
    link: &Link,
    request: &StreamRequest,
    source: Feed,
    scope: Option<Scope>,
    slot: &Slot,
    door: Option<Door<'_>>,
    heard: impl FnMut(Heard),
) -> Result<(), LinkError> {
    let mut opening = vec![StreamKind::Items as u8];
    message::put(request, &mut opening);
    let (mut outgoing, answers) = link.connection.open_bi().await?;
    if request.keep.is_some() {
        outgoing.set_priority(Priority::Live);
    }
    outgoing.write(&mut [opening.into()]).await?;

    // Whatever ends this future stops the source.
    let _closer = Closer(slot);
    source.start(slot.clone(), &node.runtimes.work, scope);
    let credit = CreditGate::default();
    let missing = AtomicUsize::new(request.targets.len());
    let in_fragments = request.takes_fragments();
    let clock = node.clock;
    let mut writer = Writer { slot, credit: &credit, missing: &missing, clock, sent: 0, in_fragments, outgoing, door };
    let write = async {
        match writer.run().await {
            // The receivers stopped it; their answers say why.
            Ok(()) | Err(StreamLost::Stopped) => std::future::pending().await,
            Err(lost) => lost,
        }
    };
    tokio::select! {
        lost = write => Err(lost.into()),
        read = read_answers(answers, &credit, &missing, request.live, heard) => read,
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

/// What brings the items to the controller.
struct Writer<'a> {
    slot: &'a Slot,
    credit: &'a CreditGate,
    /// How many receivers have not ended.
    missing: &'a AtomicUsize,
    clock: Clock,
    sent: u64,
    /// Large batches go in fragments.
    in_fragments: bool,
    outgoing: SendStream,
    door: Option<Door<'a>>,
}

impl Writer<'_> {
    /// Writes batches as they gather and credit allows, and then the end. Lets newcomers in between.
    async fn run(&mut self) -> Result<(), StreamLost> {
        let (slot, credit) = (self.slot, self.credit);
        let mut pieces: Vec<Bytes> = Vec::new();
        loop {
            if self.until(credit.open()).await? == Came::Newcomers {
                continue;
            }
            let batches = match slot.take() {
                Taken::Batches(batches) => batches,
                Taken::Nothing => {
                    self.until(slot.filled()).await?;
                    continue;
                }
                Taken::End(end) => {
                    let end = Batch::end(&end, self.sent, self.clock.micros());
                    self.outgoing.write(&mut end.pieces().to_vec()).await?;
                    self.outgoing.finish();
                    return Ok(());
                }
            };
            for batch in batches {
                if self.in_fragments {
                    // Batches that were made here have the bodies that their headers say.
                    for fragment in fragments(batch).into_iter().flatten() {
                        self.put(&fragment, &mut pieces).await?;
                    }
                } else {
                    self.put(&batch, &mut pieces).await?;
                }
            }
            self.outgoing.write(&mut pieces).await?;
            pieces.clear();
        }
    }

    /// Adds a batch to the pieces that are to be written, when there is credit for it.
    async fn put(&mut self, batch: &Batch, pieces: &mut Vec<Bytes>) -> Result<(), StreamLost> {
        let credit = self.credit;
        if !credit.with(|allowance| allowance.may_send()) {
            // Not before what there was credit for is on its way: the next grant depends on it.
            self.outgoing.write(pieces).await?;
            pieces.clear();
            while self.until(credit.open()).await? == Came::Newcomers {}
        }
        credit.with(|allowance| allowance.spend(batch.cost()));
        self.sent += u64::from(batch.header().count);
        pieces.extend_from_slice(batch.pieces());
        Ok(())
    }

    /// Waits for this, or lets in who comes first.
    async fn until(&mut self, future: impl Future<Output = ()>) -> Result<Came, StreamLost> {
        let Some(door) = &mut self.door else {
            future.await;
            return Ok(Came::Awaited);
        };
        let nodes = tokio::select! {
            biased;
            Some(nodes) = door.newcomers.recv() => nodes,
            () = future => return Ok(Came::Awaited),
        };
        self.missing.fetch_add(nodes.len(), Ordering::Relaxed);
        (door.entered)(&nodes);
        let entering = Batch::newcomers(&Newcomers { nodes }, self.sent, self.clock.micros());
        self.outgoing.write(&mut entering.pieces().to_vec()).await?;
        Ok(Came::Newcomers)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Came {
    Awaited,
    Newcomers,
}

/// Takes what the controller tells, until all receivers have ended; of a live stream, until the controller has no more to tell.
async fn read_answers(
    answers: RecvStream,
    credit: &CreditGate,
    missing: &AtomicUsize,
    live: bool,
    mut heard: impl FnMut(Heard),
) -> Result<(), LinkError> {
    let mut reader = Reader::new(answers);
    while live || missing.load(Ordering::Relaxed) > 0 {
        match reader.answer().await? {
            Some(Answer::Grant(grant)) => {
                if credit.with(|allowance| allowance.raise(grant)) {
                    credit.raised.notify_one();
                }
            }
            Some(Answer::Ended(end)) => {
                // The number would wrap around, and nobody could tell any more whether all have ended.
                if missing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_err() {
                    return Err(Malformed("a receiver that ended twice").into());
                }
                heard(Heard::Ended(end));
            }
            Some(Answer::Dropped { node, items }) => heard(Heard::Dropped { node, items }),
            Some(Answer::Pace { .. }) => return Err(Malformed("a pace for the producer").into()),
            None if missing.load(Ordering::Relaxed) == 0 => return Ok(()),
            None => return Err(StreamLost::Reset.into()),
        }
    }
    Ok(())
}
