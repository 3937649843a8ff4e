//! The wire's end of a stream that comes in: bytes to batches, credit and an answer back.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::progress::Progress;
use crate::{
    link::LinkError,
    node::event::StreamEnded,
    transport::{GiveUp, RecvStream, SendStream, StreamLost},
    wire::{
        Malformed,
        batch::{Assembler, Batch, Carries, Cutter},
        failure::Failure,
        item_stream::{Answer, ReceiverEnd},
        limits,
    },
};

/// Cuts what comes into batches and queues them. Ends with the stream's end, or with what broke it, or when nobody takes from
/// the queue any more. What a large batch has in the assembler is counted as received.
pub(super) async fn take_in(
    mut source: RecvStream,
    first: Bytes,
    batches: &mpsc::UnboundedSender<Batch>,
    assembler: &mut Assembler,
    progress: &Progress,
) -> Result<(), LinkError> {
    let (mut cutter, mut chunks) = (Cutter::default(), vec![first]);
    loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        while let Some(batch) = cutter.next_batch()? {
            if matches!(batch.header().carries, Carries::Newcomers | Carries::Mark) {
                return Err(Malformed("what is for the controller, told to a receiver").into());
            }
            let end = batch.header().is_end();
            if progress.receive(&batch).is_err() {
                return Err(Malformed("a stream that exceeds its credit").into());
            }
            let cost = batch.cost();
            let Some(batch) = assembler.push(batch)? else {
                progress.assemble(cost);
                continue;
            };
            progress.hand_over();
            // Whoever took them may have ended early: nothing more is wanted.
            if batches.send(batch).is_err() {
                source.stop(GiveUp::Unwanted);
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

/// The way back to the controller: grants, and the end.
pub(super) struct Answers {
    stream: SendStream,
    /// What a write that was dropped has left: without it the next answer would not be understood.
    unwritten: [Bytes; 1],
}

impl Answers {
    pub(super) const fn new(stream: SendStream) -> Self {
        Self { stream, unwritten: [Bytes::new()] }
    }

    /// Cancel safe: what was not written goes before the next answer.
    async fn send(&mut self, answer: &Answer) -> Result<(), StreamLost> {
        let mut bytes = Vec::new();
        answer.put(&mut bytes);
        self.send_bytes(bytes.into()).await
    }

    async fn send_bytes(&mut self, bytes: Bytes) -> Result<(), StreamLost> {
        self.flush().await?;
        self.unwritten = [bytes];
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), StreamLost> {
        // The chunk is advanced as it is written.
        if self.unwritten[0].is_empty() { Ok(()) } else { self.stream.write(&mut self.unwritten).await }
    }
}

/// Tells the controller how far the receiver is: when enough has been finished, and now and then. Ends when the controller wants
/// no more answers, which means that nobody wants the items: it says why. Cancel safe.
pub(super) async fn tell_progress(progress: &Progress, every: Duration, answers: &mut Answers) -> StreamEnded {
    let mut told = progress.granted();
    loop {
        let is_due = tokio::select! {
            due = timeout(every, progress.due()) => due.is_ok(),
            settled = answers.stream.settled() => {
                return settled.map_or_else(|lost| stopped_by(&lost), |()| StreamEnded::Cancelled);
            }
        };
        let answer = if is_due { progress.grant_due() } else { Answer::Grant(progress.grant()) };
        let granted = progress.granted();
        if granted == told {
            continue;
        }
        told = granted;
        if let Err(lost) = answers.send(&answer).await {
            return stopped_by(&lost);
        }
    }
}

/// What it means to the one who takes the items that the stream broke.
pub(super) const fn stopped_by(lost: &StreamLost) -> StreamEnded {
    match lost {
        StreamLost::Connection(_) => StreamEnded::Disconnected,
        StreamLost::Reset | StreamLost::Stopped => StreamEnded::Cancelled,
        StreamLost::Stalled => StreamEnded::Stalled,
        StreamLost::NotAllowed => StreamEnded::NotAllowed,
    }
}

/// Says how far the receiver is with a stream that goes on.
pub(super) async fn answer_standing(answers: &mut Answers, progress: &Progress) -> Result<(), StreamLost> {
    answers.send(&Answer::Standing(progress.standing())).await
}

/// What became of a stream here, as it is answered to a controller that may know neither that nor where it stood. The latter is left out
/// where the stream would be asked for again from there, for one that wants nothing more of it.
pub(super) fn ending(progress: &Progress, end: &ReceiverEnd) -> Bytes {
    let (standing, mut bytes) = (progress.standing(), Vec::new());
    if standing.position.is_behind_end() || progress.is_paced() {
        Answer::Standing(standing).put(&mut bytes);
    }
    Answer::Ended(end.clone()).put(&mut bytes);
    bytes.into()
}

/// What became of a stream here.
pub(super) fn end(delivered: u64, result: Result<Option<Bytes>, Failure>) -> ReceiverEnd {
    let too_large = |size: usize| Failure::TooLarge { size: size as u64, limit: limits::MAX_ANSWER as u64 };
    let (value, failure) = match result {
        Ok(Some(value)) if value.len() > limits::MAX_ANSWER => (None, Some(too_large(value.len()))),
        Ok(value) => (value.map(Vec::from), None),
        Err(Failure::App { error }) if error.len() > limits::MAX_ANSWER => (None, Some(too_large(error.len()))),
        Err(failure) => (None, Some(failure)),
    };
    ReceiverEnd { receiver: 0, delivered, first: 0, dropped: 0, value, failure }
}

/// Says what became of the stream here, and waits until the controller has it.
pub(super) async fn answer_end(answers: &mut Answers, end: &ReceiverEnd) -> Result<(), LinkError> {
    let mut bytes = Vec::new();
    Answer::Ended(end.clone()).put(&mut bytes);
    answer_last(answers, bytes.into()).await
}

/// Answers with these bytes and nothing more, and waits until the controller has them.
pub(super) async fn answer_last(answers: &mut Answers, bytes: Bytes) -> Result<(), LinkError> {
    answers.send_bytes(bytes).await?;
    answers.stream.finish();
    answers.stream.settled().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::item_stream::StreamEnd;

    #[test]
    fn one_that_ended_within_a_lossless_stream_does_not_ask_for_it_again() {
        let says_where = |progress: &Progress| {
            let end = end(0, Ok(None));
            let (mut last, ending) = (Vec::new(), ending(progress, &end));
            Answer::Ended(end).put(&mut last);
            assert!(ending.ends_with(&last));
            ending.len() > last.len()
        };
        let lossless = Progress::new(false, false);
        assert!(!says_where(&lossless));
        lossless.receive(&Batch::end(&StreamEnd::Finished, 0, 0)).unwrap();
        assert!(says_where(&lossless));
        assert!(says_where(&Progress::new(true, false)));
    }
}
