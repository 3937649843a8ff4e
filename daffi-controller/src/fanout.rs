//! Item streams: from one producer to many receivers, the same bytes to each.
//!
//! The producer's batches are read as they come and appended to a queue for each receiver, so reading never waits for a
//! receiver. What bounds the queues is credit: the producer may send what its slowest lossless receiver has granted, so no
//! queue holds more than a window and a batch.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use daffi_core::{
    link::{LinkError, Reader},
    transport::{CloseCode, Connection, RecvStream, SendStream, StreamLost},
    wire::{
        CallId, Malformed, NodeId, StreamKind,
        batch::{Batch, Cutter},
        credit::Credit,
        failure::Failure,
        item_stream::{Answer, ReceiverEnd, StreamEnd, StreamOffer, StreamRequest},
        limits::{self, MAX_TARGETS},
        message,
    },
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::hub::{Hub, NodeLink};

/// Accepts a node's item streams until its connection is gone. Each runs in a task of its own, which outlives the connection:
/// the receivers are told that the producer is gone, after what came from it.
pub(crate) async fn accept(connection: &Connection, node: NodeId, hub: &Arc<Hub>) -> LinkError {
    loop {
        let (send, receive) = match connection.accept_bi().await {
            Ok(streams) => streams,
            Err(lost) => return lost.into(),
        };
        let (connection, hub) = (connection.clone(), hub.clone());
        tokio::spawn(async move {
            if let Err(LinkError::Malformed(malformed)) = run(node, &hub, send, receive).await {
                tracing::warn!(node, %malformed, "a stream makes no sense");
                connection.close(CloseCode::Malformed, malformed.0);
            }
        });
    }
}

/// One stream from its header to the last receiver's answer.
async fn run(producer: NodeId, hub: &Hub, send: SendStream, receive: RecvStream) -> Result<(), LinkError> {
    let mut reader = Reader::new(receive);
    let request: StreamRequest = reader.item_stream_header().await?;
    if request.targets.len() > MAX_TARGETS {
        return Err(Malformed("too many targets").into());
    }
    if request.answers.is_some() && request.targets.len() != 1 {
        return Err(Malformed("an answer to several nodes").into());
    }
    let _counted = hub.stream_begins();
    let (source, first) = reader.into_parts();
    let fanout = Arc::new(Fanout::new(&request.targets));
    let mut receivers = JoinSet::new();
    for (index, node) in request.targets.iter().enumerate() {
        match way_to(*node, hub, producer, &request) {
            Ok((link, answers)) => {
                let (callback, stall_millis, trace) = (request.callback, request.stall_millis, request.trace);
                let offer = StreamOffer { callback, producer, stall_millis, trace, answers };
                receivers.spawn(serve_receiver(fanout.clone(), index, link, offer));
            }
            Err(failure) => fanout.fail(index, failure),
        }
    }
    // Whoever takes the results of a call may pause as long as it pleases.
    let stall = request.answers.is_none().then(|| Duration::from_millis(request.stall_millis.max(1)));
    tokio::select! {
        // Whoever has answered has ended; the tasks of stalled receivers are dropped with the set.
        answered = answer_producer(&fanout, send) => match answered {
            // Dropping the receivers' tasks tells them.
            Err(StreamLost::Stopped) => Ok(()),
            answered => Ok(answered?),
        },
        error = take_in(&fanout, source, first) => match error {
            // The producer lost interest: dropping the receivers' tasks resets their streams.
            LinkError::Lost(StreamLost::Reset) => Ok(()),
            error => Err(error),
        },
        never = evict_stalled(&fanout, stall) => match never {},
    }
}

/// The way to a receiver, and the number of its call if that is what the stream answers.
fn way_to(
    node: NodeId,
    hub: &Hub,
    producer: NodeId,
    request: &StreamRequest,
) -> Result<(NodeLink, Option<CallId>), Failure> {
    match request.answers {
        Some(call) => hub.answer_by_stream(producer, call, node).map(|(link, call)| (link, Some(call))),
        None => hub.receiver(node, request.callback).map(|link| (link, None)),
    }
}

/// The state of one stream.
struct Fanout {
    state: Mutex<State>,
    /// The producer has something to be told.
    news: Notify,
}

struct State {
    receivers: Vec<Receiver>,
    /// What came from the producer.
    received: Credit,
    /// What the producer was granted.
    granted: Credit,
    /// Ends that the producer has not been told of yet.
    ended: Vec<ReceiverEnd>,
}

struct Receiver {
    node: NodeId,
    queue: VecDeque<Batch>,
    filled: Arc<Notify>,
    granted: Credit,
    progress_at: Instant,
    /// It has left the stream.
    over: CancellationToken,
}

/// How many pieces are written to a receiver at a time: with large datagrams 4 MiB, with small ones some 80 KiB.
const GROUP: usize = 64;

/// What comes after what waits for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// More items, or the end.
    More,
    /// Nothing: the stream has ended.
    End,
    /// Nothing: the receiver has left the stream.
    Over,
}

/// What a receiver grants from the start.
const WINDOW: Credit = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };

impl Receiver {
    /// How many items its callback is through with, as far as it has told.
    const fn finished(&self) -> u64 {
        self.granted.items - WINDOW.items
    }
}

impl Fanout {
    fn new(targets: &[NodeId]) -> Self {
        let receiver = |node: &NodeId| Receiver {
            node: *node,
            queue: VecDeque::new(),
            filled: Arc::default(),
            granted: WINDOW,
            progress_at: Instant::now(),
            over: CancellationToken::new(),
        };
        let receivers = targets.iter().map(receiver).collect();
        let state = State { receivers, received: Credit::default(), granted: WINDOW, ended: Vec::new() };
        Self { state: Mutex::new(state), news: Notify::new() }
    }

    /// Queues a batch for every receiver that is still there.
    fn push(&self, batch: &Batch) -> Result<(), Malformed> {
        let mut state = self.lock();
        if !batch.header().end && !state.received.is_below(state.granted) {
            return Err(Malformed("a stream that exceeds its credit"));
        }
        state.received = state.received.plus(batch.cost());
        for receiver in state.receivers.iter_mut().filter(|receiver| !receiver.over.is_cancelled()) {
            if receiver.queue.is_empty() {
                receiver.filled.notify_one();
            }
            receiver.queue.push_back(batch.clone());
        }
        Ok(())
    }

    /// Moves what waits for a receiver to `pieces`, and says what comes after it.
    fn take_queue(&self, index: usize, pieces: &mut Vec<Bytes>) -> After {
        let mut state = self.lock();
        let receiver = &mut state.receivers[index];
        if receiver.over.is_cancelled() {
            return After::Over;
        }
        let mut after = After::More;
        for batch in receiver.queue.drain(..) {
            if batch.header().end {
                after = After::End;
            }
            pieces.extend_from_slice(batch.pieces());
        }
        after
    }

    fn grant(&self, index: usize, credit: Credit) -> Result<(), Malformed> {
        let mut state = self.lock();
        let limit = state.received.plus(WINDOW);
        let receiver = &mut state.receivers[index];
        if credit.items > limit.items || credit.bytes > limit.bytes {
            return Err(Malformed("a receiver that finished more than it was sent"));
        }
        receiver.granted = receiver.granted.max(credit);
        receiver.progress_at = Instant::now();
        self.regrant(&mut state);
        Ok(())
    }

    /// Something has reached a receiver.
    fn touch(&self, index: usize) {
        self.lock().receivers[index].progress_at = Instant::now();
    }

    /// Ends a receiver's part with its own answer.
    fn answered(&self, index: usize, end: ReceiverEnd) {
        self.end(index, |receiver| ReceiverEnd { node: receiver.node, ..end });
    }

    /// Ends a receiver's part without an answer of its own.
    fn fail(&self, index: usize, failure: Failure) {
        let end = |receiver: &Receiver| {
            let (node, delivered) = (receiver.node, receiver.finished());
            ReceiverEnd { node, delivered, value: None, failure: Some(failure) }
        };
        self.end(index, end);
    }

    /// Only the first end counts.
    fn end(&self, index: usize, end: impl FnOnce(&Receiver) -> ReceiverEnd) {
        let mut state = self.lock();
        let receiver = &mut state.receivers[index];
        if receiver.over.is_cancelled() {
            return;
        }
        receiver.over.cancel();
        receiver.queue.clear();
        receiver.filled.notify_one();
        let end = end(receiver);
        state.ended.push(end);
        self.news.notify_one();
        self.regrant(&mut state);
    }

    /// The producer may send what all receivers allow that are still there.
    fn regrant(&self, state: &mut State) {
        let left =
            state.receivers.iter().filter(|receiver| !receiver.over.is_cancelled()).map(|receiver| receiver.granted);
        if let Some(granted) = left.reduce(Credit::min)
            && granted != state.granted
        {
            state.granted = state.granted.max(granted);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics: counters, queues and lists are changed, no foreign code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the producer's batches and queues them; returns only if the stream cannot go on.
async fn take_in(fanout: &Fanout, mut source: RecvStream, first: Bytes) -> LinkError {
    let (mut cutter, mut chunks) = (Cutter::default(), vec![first]);
    let failed = loop {
        chunks.drain(..).for_each(|chunk| cutter.push(chunk));
        loop {
            match cutter.next_batch() {
                Ok(Some(batch)) => {
                    let end = batch.header().end;
                    if let Err(malformed) = fanout.push(&batch) {
                        return malformed.into();
                    }
                    if end {
                        // The rest is up to the receivers.
                        return std::future::pending().await;
                    }
                }
                Ok(None) => break,
                Err(malformed) => return malformed.into(),
            }
        }
        match source.read(&mut chunks).await {
            Ok(true) => {}
            Ok(false) => return Malformed("a stream without an end").into(),
            Err(lost) => break lost,
        }
    };
    match failed {
        StreamLost::Connection(_) => {
            // What came before the connection broke is whole and still wanted.
            let first = fanout.lock().received.items;
            match fanout.push(&Batch::end(&StreamEnd::ProducerLost, first, 0)) {
                Ok(()) => std::future::pending().await,
                Err(malformed) => malformed.into(),
            }
        }
        lost => lost.into(),
    }
}

/// Tells the producer of grants and ends, until every receiver has ended.
async fn answer_producer(fanout: &Fanout, mut send: SendStream) -> Result<(), StreamLost> {
    let mut told = WINDOW;
    // Receivers go on to the end of what a lost producer has sent.
    let mut reachable = true;
    loop {
        let mut bytes = Vec::new();
        let over = {
            let mut state = fanout.lock();
            if state.granted != told {
                told = state.granted;
                Answer::Grant(told).put(&mut bytes);
            }
            state.ended.drain(..).for_each(|end| Answer::Ended(end).put(&mut bytes));
            state.receivers.iter().all(|receiver| receiver.over.is_cancelled())
        };
        if reachable && !bytes.is_empty() {
            match send.write(&mut [bytes.into()]).await {
                Ok(()) => {}
                Err(StreamLost::Connection(_)) => reachable = false,
                Err(lost) => return Err(lost),
            }
        }
        if over {
            send.finish();
            return send.settled().await;
        }
        tokio::select! {
            () = fanout.news.notified() => {}
            // A producer that wants no answers has lost interest in the stream, though its items may all be here.
            settled = send.settled(), if reachable => match settled {
                Err(StreamLost::Connection(_)) => reachable = false,
                other => return other.and(Err(StreamLost::Stopped)),
            },
        }
    }
}

/// Carries the stream to one receiver and takes its answers.
async fn serve_receiver(fanout: Arc<Fanout>, index: usize, link: NodeLink, offer: StreamOffer) {
    let ended = async {
        let (mut send, receive) = link.connection.open_bi().await?;
        let mut header = vec![StreamKind::Items as u8];
        message::put(&offer, &mut header);
        send.write(&mut [header.into()]).await?;
        tokio::select! {
            end = take_answers(&fanout, index, Reader::new(receive)) => end,
            Err(lost) = write_batches(&fanout, index, send) => Err(lost.into()),
        }
    };
    match ended.await {
        Ok(end) => fanout.answered(index, end),
        Err(LinkError::Malformed(malformed)) => {
            link.connection.close(CloseCode::Malformed, malformed.0);
            fanout.fail(index, Failure::NodeLost);
        }
        Err(LinkError::Lost(_)) => fanout.fail(index, Failure::NodeLost),
    }
}

async fn take_answers(fanout: &Fanout, index: usize, mut reader: Reader) -> Result<ReceiverEnd, LinkError> {
    loop {
        match reader.answer().await? {
            Some(Answer::Grant(credit)) => fanout.grant(index, credit)?,
            Some(Answer::Ended(end)) => return Ok(end),
            None => return Err(Malformed("a receiver that ends without saying how").into()),
        }
    }
}

/// Writes a receiver's queue, until the end of the stream or of the receiver's part.
async fn write_batches(fanout: &Fanout, index: usize, mut send: SendStream) -> Result<(), StreamLost> {
    let (filled, over) = {
        let receiver = &fanout.lock().receivers[index];
        (receiver.filled.clone(), receiver.over.clone())
    };
    let mut pieces = Vec::new();
    loop {
        let after = fanout.take_queue(index, &mut pieces);
        if after == After::Over {
            // Dropped unfinished, the stream is reset: the receiver learns that it is off.
            return Ok(());
        }
        if !pieces.is_empty() {
            // In groups, so that a large item on a slow path counts as progress while it passes.
            for group in pieces.chunks_mut(GROUP) {
                tokio::select! {
                    written = send.write(group) => match written {
                        Ok(()) => fanout.touch(index),
                        // It wants no more, and its answer says why.
                        Err(StreamLost::Stopped) => return Ok(()),
                        Err(lost) => return Err(lost),
                    },
                    () = over.cancelled() => return Ok(()),
                }
            }
            pieces.clear();
        } else if after == After::More {
            filled.notified().await;
        }
        if after == After::End {
            send.finish();
            return Ok(());
        }
    }
}

/// Takes receivers off the stream that finish nothing although items wait for them.
async fn evict_stalled(fanout: &Fanout, stall: Option<Duration>) -> std::convert::Infallible {
    let Some(stall) = stall else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(stall / 4).await;
        let mut state = fanout.lock();
        let received = state.received.items;
        let now = Instant::now();
        let mut stalled = Vec::new();
        for (index, receiver) in
            state.receivers.iter_mut().enumerate().filter(|(_, receiver)| !receiver.over.is_cancelled())
        {
            if receiver.finished() >= received {
                receiver.progress_at = now;
            } else if now - receiver.progress_at >= stall {
                stalled.push((index, receiver.node));
            }
        }
        drop(state);
        for (index, node) in stalled {
            tracing::warn!(node, ?stall, "a receiver finishes nothing: it leaves the stream");
            fanout.fail(index, Failure::Stalled { millis: stall.as_millis() as u64 });
        }
    }
}
