//! The wire's end of a stream that comes in: bytes to batches, credit and an answer back.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::progress::Progress;
use crate::{
    link::LinkError,
    node::event::StreamEnded,
    transport::{RecvStream, SendStream, StreamLost},
    wire::{
        Malformed,
        batch::{Batch, Cutter},
        failure::Failure,
        item_stream::{Answer, ReceiverEnd},
    },
};

/// The largest value or failure that is passed on, in bytes; it travels in a message that has a limit.
const MAX_ANSWER: usize = 256 << 10;

/// Cuts what comes into batches and queues them. Ends with the stream's end, or with what broke it, or when nobody takes from
/// the queue any more.
pub(super) async fn take_in(
    mut source: RecvStream,
    first: Bytes,
    batches: &mpsc::UnboundedSender<Batch>,
    progress: &Progress,
) -> Result<(), LinkError> {
    let (mut cutter, mut chunks) = (Cutter::default(), vec![first]);
    loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        while let Some(batch) = cutter.next_batch()? {
            let end = batch.header().end;
            if !end && progress.receive(batch.cost()).is_err() {
                return Err(Malformed("a stream that exceeds its credit").into());
            }
            // Whoever took them may have ended early: nothing more is wanted.
            if batches.send(batch).is_err() {
                source.stop();
                return Ok(());
            }
            if end {
                return Ok(());
            }
        }
        if !source.read(&mut chunks).await? {
            return Err(Malformed("a stream without an end").into());
        }
    }
}

/// Tells the controller how far the receiver is: when enough has been finished, and now and then. Ends when the controller wants
/// no more answers, which means that nobody wants the items: it says why.
pub(super) async fn tell_progress(progress: &Progress, every: Duration, send: &mut SendStream) -> StreamEnded {
    let mut told = progress.granted();
    loop {
        tokio::select! {
            _ = timeout(every, progress.due()) => {}
            settled = send.settled() => return settled.map_or_else(|lost| stopped_by(&lost), |()| StreamEnded::Cancelled),
        }
        let granted = progress.grant();
        if granted == told {
            continue;
        }
        told = granted;
        let mut bytes = Vec::new();
        Answer::Grant(granted).put(&mut bytes);
        if let Err(lost) = send.write(&mut [bytes.into()]).await {
            return stopped_by(&lost);
        }
    }
}

/// What it means to the one who takes the items that the stream broke.
pub(super) const fn stopped_by(lost: &StreamLost) -> StreamEnded {
    match lost {
        StreamLost::Connection(_) => StreamEnded::Disconnected,
        StreamLost::Reset | StreamLost::Stopped => StreamEnded::Cancelled,
    }
}

/// Says what became of the stream here, and waits until the controller has it.
pub(super) async fn answer_end(
    send: &mut SendStream,
    delivered: u64,
    result: Result<Option<Bytes>, Failure>,
) -> Result<(), LinkError> {
    let too_large = |size: usize| Failure::TooLarge { size: size as u64, limit: MAX_ANSWER as u64 };
    let (value, failure) = match result {
        Ok(Some(value)) if value.len() > MAX_ANSWER => (None, Some(too_large(value.len()))),
        Ok(value) => (value.map(Vec::from), None),
        Err(Failure::App { error }) if error.len() > MAX_ANSWER => (None, Some(too_large(error.len()))),
        Err(failure) => (None, Some(failure)),
    };
    let mut bytes = Vec::new();
    Answer::Ended(ReceiverEnd { node: 0, delivered, value, failure }).put(&mut bytes);
    send.write(&mut [bytes.into()]).await?;
    send.finish();
    send.settled().await?;
    Ok(())
}
