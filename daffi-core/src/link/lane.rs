//! The call lane: frames of many calls on one long-lived stream, and a stream of its own for a frame that is too large.
//!
//! Senders append to a shared buffer, the writer takes all that has gathered and writes it at once: while it writes, the
//! next lot gathers. So pressure makes large writes, and an idle lane sends a frame the moment it comes, or one turn of the
//! scheduler later if others are likely to follow it.

mod receive;
mod together;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

pub use self::{
    receive::{Intake, receive_frames},
    write::LaneWriter,
};
use crate::{
    transport::assist,
    wire::{
        StreamKind,
        frame::{self, Head},
        limits,
    },
};

/// Sends frames over one connection, from any thread, without waiting. Clones share the lane.
#[derive(Debug, Clone)]
pub struct FrameSender {
    lane: Arc<Lane>,
    large: mpsc::UnboundedSender<Large>,
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
        (Self { lane: lane.clone(), large: sender }, LaneWriter::new(lane, receiver))
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
        vec::Drain,
    };

    use tokio::{runtime::Builder, sync::oneshot};

    use super::*;
    use crate::{
        transport::{Connection, Identity, JoinToken, quic},
        wire::frame::Frame,
    };

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
            let connection =
                Connection::Quic(listener.accept().await.unwrap().establish(limits::SILENCE).await.unwrap());
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
