//! The streams of the in-memory network: a bounded pipe each, whose chunks take the link's delay to arrive.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{Condition, lock, lost, passable};
use crate::transport::{ConnectionLost, READ_CHUNKS, StreamLost};

/// How much a stream holds between its two ends, like QUIC's stream window.
const STREAM_WINDOW: usize = 1 << 20;

#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<PipeState>,
    /// The reader waits for chunks or an end, the writer for room or a stop.
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct PipeState {
    chunks: VecDeque<(Instant, Bytes)>,
    held: usize,
    finished: bool,
    reset: bool,
    stopped: bool,
    drained: bool,
}

/// The two ends of a new stream over a link. Each end fails once the side that holds it is gone.
pub(super) fn ends(
    condition: &watch::Receiver<Condition>,
    sender_gone: &watch::Sender<Option<ConnectionLost>>,
    receiver_gone: &watch::Sender<Option<ConnectionLost>>,
) -> (SendStream, RecvStream) {
    let pipe = Arc::new(Pipe::default());
    let send = SendStream { pipe: pipe.clone(), condition: condition.clone(), gone: sender_gone.subscribe() };
    let receive = RecvStream { pipe, condition: condition.clone(), gone: receiver_gone.subscribe() };
    (send, receive)
}

/// The sending side of a stream.
#[derive(Debug)]
pub struct SendStream {
    pipe: Arc<Pipe>,
    condition: watch::Receiver<Condition>,
    gone: watch::Receiver<Option<ConnectionLost>>,
}

impl SendStream {
    pub(in crate::transport) async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), StreamLost> {
        for chunk in chunks {
            while !chunk.is_empty() {
                let writable = self.pipe.writable.notified();
                {
                    let mut state = lock(&self.pipe.state);
                    if let Some(lost) = &*self.gone.borrow() {
                        return Err(lost.clone().into());
                    }
                    if state.stopped {
                        return Err(StreamLost::Stopped);
                    }
                    let room = STREAM_WINDOW.saturating_sub(state.held).min(chunk.len());
                    if room > 0 {
                        let arrival = Instant::now() + self.condition.borrow().delay;
                        state.held += room;
                        state.chunks.push_back((arrival, chunk.split_to(room)));
                        self.pipe.readable.notify_one();
                        continue;
                    }
                }
                tokio::select! {
                    () = writable => {}
                    lost = lost(&mut self.gone) => return Err(lost.into()),
                }
            }
        }
        Ok(())
    }

    pub(in crate::transport) fn finish(&mut self) {
        lock(&self.pipe.state).finished = true;
        self.pipe.readable.notify_one();
    }

    pub(in crate::transport) fn reset(&mut self) {
        let mut state = lock(&self.pipe.state);
        if !state.finished {
            state.reset = true;
            state.chunks.clear();
            self.pipe.readable.notify_one();
        }
    }

    pub(in crate::transport) async fn settled(&mut self) -> Result<(), StreamLost> {
        loop {
            let writable = self.pipe.writable.notified();
            {
                let state = lock(&self.pipe.state);
                // What was delivered stays delivered, whatever happens to the connection afterwards.
                if state.drained {
                    return Ok(());
                }
                if state.stopped {
                    return Err(StreamLost::Stopped);
                }
                if state.reset {
                    return Err(StreamLost::Reset);
                }
                if let Some(lost) = &*self.gone.borrow() {
                    return Err(lost.clone().into());
                }
            }
            tokio::select! {
                () = writable => {}
                lost = lost(&mut self.gone) => return Err(lost.into()),
            }
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.reset();
    }
}

/// The receiving side of a stream.
#[derive(Debug)]
pub struct RecvStream {
    pipe: Arc<Pipe>,
    condition: watch::Receiver<Condition>,
    gone: watch::Receiver<Option<ConnectionLost>>,
}

impl RecvStream {
    pub(in crate::transport) async fn read(&mut self, into: &mut Vec<Bytes>) -> Result<bool, StreamLost> {
        loop {
            let readable = self.pipe.readable.notified();
            if let Some(lost) = &*self.gone.borrow() {
                return Err(lost.clone().into());
            }
            let arrival = {
                let mut state = lock(&self.pipe.state);
                if state.reset {
                    return Err(StreamLost::Reset);
                }
                let partitioned = self.condition.borrow().partitioned;
                match state.chunks.front() {
                    Some((arrival, _)) if *arrival <= Instant::now() && !partitioned => {
                        let now = Instant::now();
                        for _ in 0..READ_CHUNKS {
                            match state.chunks.pop_front() {
                                Some((arrival, chunk)) if arrival <= now => {
                                    state.held -= chunk.len();
                                    into.push(chunk);
                                }
                                Some(later) => {
                                    state.chunks.push_front(later);
                                    break;
                                }
                                None => break,
                            }
                        }
                        self.pipe.writable.notify_one();
                        return Ok(true);
                    }
                    Some((arrival, _)) => Some(*arrival),
                    None if state.finished && !partitioned => {
                        state.drained = true;
                        self.pipe.writable.notify_one();
                        return Ok(false);
                    }
                    None => None,
                }
            };
            let arrived = async {
                match arrival {
                    Some(arrival) => {
                        tokio::time::sleep_until(arrival).await;
                        passable(&mut self.condition).await;
                    }
                    None if self.condition.borrow().partitioned => passable(&mut self.condition).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = readable => {}
                () = arrived => {}
                lost = lost(&mut self.gone) => return Err(lost.into()),
            }
        }
    }

    pub(in crate::transport) fn stop(&mut self) {
        lock(&self.pipe.state).stopped = true;
        self.pipe.writable.notify_one();
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::memory::{Connection, Network};

    async fn pair(network: &Network) -> (Connection, Connection) {
        let mut listener = network.listen("controller");
        let near = network.connect("node", "controller").unwrap();
        (near, listener.accept().await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_holds_no_more_than_its_window() {
        let network = Network::new();
        let (near, far) = pair(&network).await;
        let mut send = near.open_uni().unwrap();
        let large = Bytes::from(vec![1; STREAM_WINDOW + 1]);
        let full = tokio::time::timeout(Duration::from_secs(1), send.write(&mut [large])).await;
        assert!(full.is_err());
        drop(far);
        assert!(send.write(&mut [Bytes::from_static(b"x")]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_settles_as_delivered_stopped_or_lost() {
        let network = Network::new();
        let (near, far) = pair(&network).await;

        let mut send = near.open_uni().unwrap();
        send.write(&mut [Bytes::from_static(b"x")]).await.unwrap();
        send.finish();
        let mut receive = far.accept_uni().await.unwrap();
        let early = tokio::time::timeout(Duration::from_secs(1), send.settled()).await;
        assert!(early.is_err());
        while receive.read(&mut Vec::new()).await.unwrap() {}
        drop(receive);
        assert_eq!(send.settled().await, Ok(()));

        let mut stopped = near.open_uni().unwrap();
        stopped.finish();
        drop(far.accept_uni().await.unwrap());
        assert_eq!(stopped.settled().await, Err(StreamLost::Stopped));

        let mut reset = near.open_uni().unwrap();
        reset.reset();
        assert_eq!(reset.settled().await, Err(StreamLost::Reset));

        let mut lost = near.open_uni().unwrap();
        lost.finish();
        let _held = far.accept_uni().await.unwrap();
        network.cut("node");
        assert!(matches!(lost.settled().await, Err(StreamLost::Connection(ConnectionLost::Failed(_)))));
        assert_eq!(send.settled().await, Ok(()));
    }
}
