//! The call lane: frames of many calls on one long-lived stream, and a stream of its own for a frame that is too large.
//!
//! Senders append to a shared buffer, the writer takes all that has gathered and writes it at once: while it writes, the
//! next lot gathers. So pressure makes large writes, and an idle lane sends a frame the moment it comes, or one turn of the
//! scheduler later if others are likely to follow it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec::Drain,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, mpsc},
    task::JoinSet,
};

use super::{LinkError, Reader, Throttle, haste::Haste};
use crate::{
    transport::{Assisted, Connection, ConnectionLost, Priority, RecvStream, StreamLost, assist, assists},
    wire::{
        Malformed, StreamKind,
        frame::{self, Decoder, Frame, Head},
        limits, varint,
    },
};

/// How many frames are handed over together at most. A read may bring a hundred thousand tiny ones. A broadcast counts once for each
/// of its targets: so many answers may follow from it.
const TOGETHER: usize = 256;

/// Nodes are told how large a payload may be, and send no larger one.
const TOO_LARGE: Malformed = Malformed("a frame above the limit");

const OTHER_LENGTH: Malformed = Malformed("a large frame of another length than it says");

/// Sends frames over one connection, from any thread, without waiting. Clones share the lane.
#[derive(Debug, Clone)]
pub struct FrameSender {
    lane: Arc<Lane>,
    large: mpsc::UnboundedSender<Large>,
}

/// Writes what a [`FrameSender`] sends; [`LaneWriter::run`] it in a task.
#[derive(Debug)]
pub struct LaneWriter {
    lane: Arc<Lane>,
    large: mpsc::UnboundedReceiver<Large>,
}

/// A frame that has a stream of its own, encoded.
#[derive(Debug)]
struct Large {
    bytes: Vec<u8>,
    /// The length of its payload, as it was counted.
    payload: usize,
}

#[derive(Debug, Default)]
struct Lane {
    state: Mutex<State>,
    filled: Notify,
    /// Everything that was sent has reached the peer's transport.
    flushed: Notify,
    /// What had gathered has been written.
    written: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// How many bytes were taken out of the buffer and are being written.
    writing: usize,
    /// A frame in the buffer is not one of many: nothing is to be waited for.
    alone: bool,
    /// Nothing more is to be sent.
    closing: bool,
    /// The lane has been finished and its end acknowledged.
    finished: bool,
    /// Bytes of large frames that have not been acknowledged.
    large: usize,
}

impl State {
    fn small(&self) -> usize {
        self.buffer.len() + self.writing
    }

    fn backlog(&self) -> usize {
        self.small() + self.large
    }
}

impl FrameSender {
    /// A sender and its writer.
    pub fn new() -> (Self, LaneWriter) {
        let lane = Arc::new(Lane::default());
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { lane: lane.clone(), large: sender }, LaneWriter { lane, large: receiver })
    }

    /// Sends a frame; the [`backlog`](Self::backlog) with it. Nothing happens once the connection is gone: whoever waits for an answer
    /// learns that elsewhere.
    pub fn send(&self, head: &Head, payload: &[u8]) -> usize {
        self.put(head, payload, false)
    }

    /// Sends a frame like [`send`](Self::send), and does the work for it on this thread if it can, which saves waking the I/O
    /// thread. For a frame that is not one of many: those had better share datagrams.
    pub(crate) fn send_alone(&self, head: &Head, payload: &[u8]) {
        assist(|| {
            self.put(head, payload, true);
        });
    }

    fn put(&self, head: &Head, payload: &[u8], alone: bool) -> usize {
        let mut state = self.lane.lock();
        if state.closing {
            return state.backlog();
        }
        if payload.len() > limits::LANE_FRAME {
            state.large += payload.len();
            let backlog = state.backlog();
            drop(state);
            let mut bytes = Vec::with_capacity(1 + limits::MAX_HEAD.min(64) + payload.len());
            bytes.push(StreamKind::LargeFrame as u8);
            frame::put(head, payload, &mut bytes);
            let _ = self.large.send(Large { bytes, payload: payload.len() });
            return backlog;
        }
        let idle = state.buffer.is_empty();
        frame::put(head, payload, &mut state.buffer);
        state.alone |= alone;
        let backlog = state.backlog();
        drop(state);
        if idle {
            self.lane.filled.notify_one();
        }
        backlog
    }

    /// Sends nothing more, and waits until what was sent has reached the peer. Does not end if the connection is lost.
    pub async fn flush(&self) {
        self.lane.lock().closing = true;
        self.lane.filled.notify_one();
        loop {
            let flushed = self.lane.flushed.notified();
            let done = {
                let state = self.lane.lock();
                state.finished && state.large == 0
            };
            if done {
                return;
            }
            flushed.await;
        }
    }

    /// How many bytes wait to be sent, those of large frames included.
    pub fn backlog(&self) -> usize {
        self.lane.lock().backlog()
    }

    /// Waits until no more than [`limits::MAX_LANE_BACKLOG`] wait to be sent on the lane. Large frames do not count: one alone may be
    /// larger, and nobody gets one who has not called for it. Cancel safe; does not end if the connection is lost.
    async fn room(&self) {
        loop {
            let written = self.lane.written.notified();
            if self.lane.lock().small() <= limits::MAX_LANE_BACKLOG {
                return;
            }
            written.await;
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Appending to a buffer leaves it whole even if the thread panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneWriter {
    /// Writes until the connection is gone.
    pub async fn run(self, connection: Connection) -> StreamLost {
        let Self { lane, large } = self;
        let haste = Arc::new(Haste::new(&connection));
        let writing = write_lane(lane.clone(), connection.clone(), haste.clone());
        let small = async {
            match &connection {
                Connection::Quic(_) => Assisted::new(writing).await,
                // Its delays are timers, which need the runtime that paused the clock.
                Connection::Memory(_) => writing.await,
            }
        };
        tokio::select! {
            Err(lost) = small => lost,
            never = haste.ease() => match never {},
            lost = write_large(&lane, large, &connection) => lost.into(),
        }
    }
}

async fn write_lane(lane: Arc<Lane>, connection: Connection, haste: Arc<Haste>) -> Result<Infallible, StreamLost> {
    let mut stream = connection.open_uni().await?;
    stream.set_priority(Priority::Calls);
    stream.write(&mut [Bytes::from_static(&[StreamKind::CallLane as u8])]).await?;
    loop {
        lane.filled.notified().await;
        // On another thread than the I/O thread it is another runtime, if any, that would turn.
        if !lane.lock().alone && !assists() {
            // What others are about to send goes along: a datagram costs more than a frame.
            tokio::task::yield_now().await;
        }
        let (gathered, closing) = {
            let mut state = lane.lock();
            state.alone = false;
            state.writing = state.buffer.len();
            (std::mem::take(&mut state.buffer), state.closing)
        };
        if !gathered.is_empty() {
            haste.hasten();
            stream.write(&mut [gathered.into()]).await?;
            lane.lock().writing = 0;
            lane.written.notify_waiters();
        }
        if closing {
            stream.finish();
            let _ = stream.settled().await;
            lane.lock().finished = true;
            lane.flushed.notify_waiters();
            std::future::pending::<()>().await;
        }
    }
}

async fn write_large(
    lane: &Arc<Lane>,
    mut frames: mpsc::UnboundedReceiver<Large>,
    connection: &Connection,
) -> ConnectionLost {
    let (mut streams, together) = (JoinSet::new(), Together::default());
    while let Some(Large { bytes, payload }) = frames.recv().await {
        // What has gone out already need not be remembered.
        while streams.try_join_next().is_some() {}
        let (lane, connection, together) = (lane.clone(), connection.clone(), together.clone());
        streams.spawn(async move {
            let _room = together.enter(bytes.len() as u64).await;
            // A lost connection is noticed by all; a peer that refuses a frame has its reasons.
            let _ = send_large(connection, bytes.into()).await;
            lane.lock().large -= payload;
            lane.flushed.notify_waiters();
        });
    }
    connection.closed().await
}

async fn send_large(connection: Connection, bytes: Bytes) -> Result<(), StreamLost> {
    let mut stream = connection.open_uni().await?;
    // QUIC keeps a written chunk until all of it is acknowledged: pieces let memory go as they arrive.
    let mut pieces: Vec<Bytes> = (0..bytes.len())
        .step_by(limits::BATCH)
        .map(|at| bytes.slice(at..bytes.len().min(at + limits::BATCH)))
        .collect();
    drop(bytes);
    stream.write(&mut pieces).await?;
    stream.finish();
    let _ = stream.settled().await;
    Ok(())
}

/// Bounds what large frames have together that are on their way at a time: see [`limits::LARGE_TOGETHER`]. Clones share it.
#[derive(Debug, Clone)]
struct Together(Arc<Semaphore>);

impl Default for Together {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::LARGE_TOGETHER)))
    }
}

impl Together {
    /// Room for a frame of so many bytes, until it is dropped; nothing for one that needs none. They have their turns in the order in
    /// which they came. Cancel safe.
    async fn enter(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        if bytes <= limits::LARGE_ALONE as u64 {
            return None;
        }
        // What says that it is larger is refused elsewhere.
        let room = bytes.min(limits::LARGE_TOGETHER as u64) as u32;
        self.0.acquire_many(room).await.ok()
    }
}

/// What a peer may send in frames.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The largest payload of a frame, in bytes; at most [`limits::MAX_PAYLOAD`].
    pub payload: usize,
    /// How fast.
    pub throttle: Throttle,
    /// What answers the peer, if that is not trusted to take its answers: none of its frames is taken while more than
    /// [`limits::MAX_LANE_BACKLOG`] wait there, so that nothing grows for a peer that asks and does not read.
    pub answers: Option<FrameSender>,
}

/// As much as the protocol allows, as fast as it comes, from a peer that is trusted.
impl Default for Intake {
    fn default() -> Self {
        Self { payload: limits::MAX_PAYLOAD, throttle: Throttle::default(), answers: None }
    }
}

impl Intake {
    /// Waits until the peer has taken enough of its answers.
    async fn room(&self) {
        if let Some(answers) = &self.answers {
            answers.room().await;
        }
    }
}

/// Receives the peer's frames, of its lane and the large ones, and hands them to `deliver`, those together that came in one read,
/// until the connection is gone or the peer sends what makes no sense, or more than it may.
pub async fn receive_frames<D>(connection: &Connection, intake: Intake, deliver: D) -> LinkError
where
    D: Fn(Drain<'_, Frame>) -> Result<(), Malformed> + Clone + Send + 'static,
{
    let (mut streams, together) = (JoinSet::new(), Together::default());
    loop {
        tokio::select! {
            accepted = connection.accept_uni() => match accepted {
                Ok(stream) => {
                    streams.spawn(receive_stream(stream, intake.clone(), together.clone(), deliver.clone()));
                }
                Err(lost) => return lost.into(),
            },
            Some(ended) = streams.join_next() => match ended {
                Ok(Ok(())) | Ok(Err(LinkError::Lost(StreamLost::Reset))) => {}
                Ok(Err(error)) => return error,
                // The task neither panics nor is it aborted while this runs.
                Err(_) => return ConnectionLost::ClosedHere.into(),
            },
        }
    }
}

async fn receive_stream<D>(stream: RecvStream, intake: Intake, together: Together, deliver: D) -> Result<(), LinkError>
where
    D: Fn(Drain<'_, Frame>) -> Result<(), Malformed>,
{
    let mut frames = Vec::new();
    let mut reader = Reader::new(stream);
    let [kind] = reader.bytes().await?;
    let (mut stream, first) = reader.into_parts();
    let mut chunks = vec![first];
    match StreamKind::from_byte(kind)? {
        StreamKind::CallLane => {
            let mut decoder = Decoder::default();
            loop {
                let (mut came, mut together) = (0, 0);
                for chunk in chunks.drain(..) {
                    came += chunk.len();
                    decoder.push(&chunk);
                }
                let decoded = loop {
                    match decoder.next_frame() {
                        Ok(Some(frame)) if frame.payload.len() > intake.payload => break Err(TOO_LARGE),
                        Ok(Some(frame)) => {
                            together += frame.head.targets();
                            frames.push(frame);
                            if together >= TOGETHER {
                                deliver(frames.drain(..))?;
                                together = 0;
                                intake.room().await;
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(malformed) => break Err(malformed),
                    }
                };
                if !frames.is_empty() {
                    deliver(frames.drain(..))?;
                    intake.room().await;
                }
                decoded?;
                intake.throttle.pay(came).await;
                if !stream.read(&mut chunks).await? {
                    return Ok(());
                }
            }
        }
        StreamKind::LargeFrame => {
            let (mut body, mut paid, mut room) = (Vec::new(), 0, None);
            loop {
                for chunk in chunks.drain(..) {
                    body.extend_from_slice(&chunk);
                }
                let mut input: &[u8] = &body;
                if let Some(length) = varint::take(&mut input) {
                    if length > (limits::MAX_HEAD + intake.payload) as u64 {
                        return Err(TOO_LARGE.into());
                    }
                    if input.len() as u64 > length {
                        return Err(OTHER_LENGTH.into());
                    }
                    if room.is_none() {
                        room = together.enter(length).await;
                    }
                }
                intake.throttle.pay(body.len() - paid).await;
                paid = body.len();
                if !stream.read(&mut chunks).await? {
                    break;
                }
            }
            let mut input: &[u8] = &body;
            let length = varint::expect(&mut input)?;
            if length != input.len() as u64 {
                return Err(OTHER_LENGTH.into());
            }
            let prefix = body.len() - input.len();
            let frame = Frame::decode(Bytes::from(body).slice(prefix..))?;
            if frame.payload.len() > intake.payload {
                return Err(TOO_LARGE.into());
            }
            intake.room().await;
            frames.push(frame);
            deliver(frames.drain(..))?;
            Ok(())
        }
        StreamKind::Control | StreamKind::Items => Err(Malformed("this kind of stream goes both ways").into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        thread,
        time::Duration,
    };

    use tokio::{runtime::Builder, sync::oneshot};

    use super::*;
    use crate::transport::{Identity, JoinToken, quic};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// How long a frame may take that needs no thread to be woken but the receiver's.
    const SOON: Duration = Duration::from_secs(2);

    /// A runtime on a thread of its own, which ends with the process at the latest.
    fn runtime() -> tokio::runtime::Handle {
        let (made, make) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            made.send(runtime.handle().clone()).unwrap();
            runtime.block_on(std::future::pending::<()>());
        });
        make.recv_timeout(PATIENCE).unwrap()
    }

    /// Two connected ends: what sends frames from the first runtime, and what the second receives.
    async fn connected() -> (tokio::runtime::Handle, FrameSender, mpsc::Receiver<Frame>) {
        let near = runtime();
        let (sender, received) = connected_from(&near).await;
        (near, sender, received)
    }

    async fn connected_from(near: &tokio::runtime::Handle) -> (FrameSender, mpsc::Receiver<Frame>) {
        let far = runtime();
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (bound, bind) = oneshot::channel();
        let (delivered, received) = mpsc::channel();
        far.spawn(async move {
            let mut listener = quic::Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &identity).unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            let connection = Connection::Quic(listener.accept().await.unwrap().establish().await.unwrap());
            connection.admit(0);
            receive_frames(&connection, Intake::default(), move |mut frames: Drain<'_, Frame>| {
                frames.try_for_each(|frame| delivered.send(frame)).unwrap_or_default();
                Ok(())
            })
            .await
        });
        let address = bind.await.unwrap();
        let (sender, writer) = FrameSender::new();
        near.spawn(async move {
            let connector = quic::Connector::new(address).unwrap();
            let connection = connector.connect(address, &token, PATIENCE).await.unwrap();
            writer.run(Connection::Quic(connection)).await
        });
        (sender, received)
    }

    #[tokio::test]
    async fn a_frame_alone_needs_no_other_thread_to_be_sent() {
        let (near, sender, received) = connected().await;
        sender.send(&Head::Cancel { id: 0 }, &[]);
        received.recv_timeout(PATIENCE).unwrap();
        // Something may be left to do for the I/O thread from before, and then this frame goes with it.
        let unaided = (1..10).any(|id| {
            let (blocked, block) = mpsc::channel();
            let (go_on, wait) = mpsc::channel::<()>();
            near.spawn(async move {
                blocked.send(()).unwrap();
                let _ = wait.recv_timeout(PATIENCE);
            });
            block.recv_timeout(PATIENCE).unwrap();
            sender.send_alone(&Head::Cancel { id }, &[]);
            let soon = received.recv_timeout(SOON);
            go_on.send(()).unwrap();
            let frame = soon.clone().unwrap_or_else(|_| received.recv_timeout(PATIENCE).unwrap());
            assert_eq!(frame.head, Head::Cancel { id });
            soon.is_ok()
        });
        assert!(unaided, "every frame waited for the I/O thread");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn frames_alone_of_many_threads_all_arrive_each_threads_in_order() {
        const THREADS: u64 = 4;
        const EACH: u64 = 2_000;
        let (_near, sender, received) = connected().await;
        for number in 0..THREADS {
            let sender = sender.clone();
            thread::spawn(move || {
                for count in 0..EACH {
                    sender.send_alone(&Head::Cancel { id: number << 32 | count }, &[]);
                }
            });
        }
        let mut next = [0; THREADS as usize];
        for _ in 0..THREADS * EACH {
            let Head::Cancel { id } = received.recv_timeout(PATIENCE).unwrap().head else { panic!("another frame") };
            let count = &mut next[(id >> 32) as usize];
            assert_eq!(id & u64::from(u32::MAX), *count);
            *count += 1;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn frames_alone_while_the_runtime_shuts_down_neither_panic_nor_hang() {
        // Each time the threads are somewhere else.
        for _ in 0..20 {
            let near = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (sender, received) = connected_from(near.handle()).await;
            let over = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..3)
                .map(|id| {
                    let (sender, over) = (sender.clone(), over.clone());
                    thread::spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            sender.send_alone(&Head::Cancel { id }, &[]);
                        }
                    })
                })
                .collect();
            received.recv_timeout(PATIENCE).unwrap();
            tokio::task::spawn_blocking(move || near.shutdown_timeout(PATIENCE)).await.unwrap();
            sender.send_alone(&Head::Cancel { id: 9 }, &[]);
            over.store(true, Ordering::Relaxed);
            for thread in threads {
                while !thread.is_finished() {
                    thread::yield_now();
                }
                thread.join().expect("whoever sends sees no panic");
            }
        }
    }
}
