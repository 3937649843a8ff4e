//! What brings a stream's items to the controller, over one connection.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    carry::Flow,
    slot::{Slot, Taken},
};
use crate::{
    clock::Clock,
    transport::{SendStream, StreamLost},
    wire::{
        batch::{Batch, fragments},
        item_stream::Newcomers,
        outflow::Next,
    },
};

/// Where nodes come in during a live stream.
pub(super) struct Door<'a> {
    pub(super) newcomers: mpsc::UnboundedReceiver<Newcomers>,
    /// Told of those who are in.
    pub(super) entered: &'a (dyn Fn(&Newcomers) + Sync),
}

/// Writes batches as they gather and credit allows, and then the end. Lets newcomers in between.
pub(super) struct Writer<'a, 'b> {
    pub(super) slot: &'a Slot,
    pub(super) flow: &'a Flow,
    /// How many receivers have not ended.
    pub(super) missing: &'a AtomicUsize,
    pub(super) clock: Clock,
    /// Large batches go in fragments.
    pub(super) in_fragments: bool,
    pub(super) outgoing: SendStream,
    pub(super) door: Option<&'a mut Door<'b>>,
    /// What is about to be written.
    pub(super) pieces: Vec<Bytes>,
}

impl Writer<'_, '_> {
    /// Goes on behind the end: something may have to be sent again.
    pub(super) async fn run(&mut self) -> Result<Infallible, StreamLost> {
        loop {
            let waits = self.gather();
            if !self.pieces.is_empty() {
                self.outgoing.write(&mut self.pieces).await?;
                self.pieces.clear();
                continue;
            }
            let (slot, flow) = (self.slot, self.flow);
            if waits {
                self.until(flow.changed()).await?;
                continue;
            }
            match slot.take() {
                Taken::Batches(batches) => self.put(batches),
                Taken::End(end) => flow.with(|outflow| {
                    let end = Batch::end(&end, outflow.end().item, self.clock.micros());
                    outflow.push(end);
                }),
                Taken::Nothing => {
                    self.until(async {
                        tokio::select! {
                            () = slot.filled() => {}
                            () = flow.changed() => {}
                        }
                    })
                    .await?;
                }
            }
        }
    }

    /// Whether all was written, the end included.
    pub(super) fn is_done(&self) -> bool {
        self.pieces.is_empty() && self.flow.with(|outflow| outflow.is_sent())
    }

    /// Gathers what may go now; whether nothing more is to be taken in for the moment.
    fn gather(&mut self) -> bool {
        let Self { flow, pieces, clock, .. } = self;
        flow.with(|outflow| {
            loop {
                match outflow.next() {
                    Next::Batch(batch) => pieces.extend_from_slice(batch.pieces()),
                    Next::Mark(mark) => pieces.extend_from_slice(Batch::mark(&mark, clock.micros()).pieces()),
                    Next::NoCredit | Next::Lost => return true,
                    Next::Nothing => return !outflow.may_send() || outflow.end().is_behind_end(),
                }
            }
        })
    }

    fn put(&self, batches: Vec<Batch>) {
        self.flow.with(|outflow| {
            for batch in batches {
                if self.in_fragments {
                    // Batches that were made here have the bodies that their headers say.
                    fragments(batch).into_iter().flatten().for_each(|fragment| outflow.push(fragment));
                } else {
                    outflow.push(batch);
                }
            }
        });
    }

    /// Waits for this, or lets in who comes first.
    async fn until(&mut self, future: impl Future<Output = ()>) -> Result<(), StreamLost> {
        let has_ended = self.flow.with(|outflow| outflow.end().is_behind_end());
        let Some(door) = self.door.as_mut().filter(|_| !has_ended) else {
            future.await;
            return Ok(());
        };
        let newcomers = tokio::select! {
            biased;
            Some(newcomers) = door.newcomers.recv() => newcomers,
            () = future => return Ok(()),
        };
        (door.entered)(&newcomers);
        self.missing.fetch_add(newcomers.nodes.len(), Ordering::Relaxed);
        let at = self.flow.with(|outflow| outflow.end().item);
        let entering = Batch::newcomers(&newcomers, at, self.clock.micros());
        self.outgoing.write(&mut entering.pieces().to_vec()).await
    }
}
