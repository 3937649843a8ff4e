//! The streams of the in-memory network: a bounded pipe each, in which everything takes the link's time to arrive.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use fastrand::Rng;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    connection::{Gone, lost},
    lock,
    path::{PACKET, Path},
};
use crate::transport::{ConnectionLost, GiveUp, READ_CHUNKS, StreamLost};

/// How much a stream holds between its two ends, like QUIC's stream window.
const STREAM_WINDOW: usize = 1 << 20;

#[derive(Debug)]
struct Pipe {
    path: Path,
    state: Mutex<State>,
    /// The reader waits for chunks or an end, the writer for room or a word of the reader.
    readable: Notify,
    writable: Notify,
}

#[derive(Debug)]
struct State {
    chance: Rng,
    /// What is on its way to the reader, in order, each with its arrival: nothing overtakes what is late.
    sent: VecDeque<(Instant, Sent)>,
    /// How many bytes of the window are taken.
    held: usize,
    finished: bool,
    reset: Word,
    /// What the reader tells the writer: that it wants no more, that it has read to the end.
    stopped: Word,
    drained: Word,
    /// Why the writer has reset it, and why the reader has stopped it.
    why_reset: GiveUp,
    why_stopped: GiveUp,
}

#[derive(Debug)]
enum Sent {
    Chunk(Bytes),
    End,
}

/// Something that one end tells the other, once.
#[derive(Debug, Clone, Copy, Default)]
enum Word {
    #[default]
    Unsaid,
    /// It arrives then, if it does.
    Said(Option<Instant>),
}

/// The two ends of a new stream over a link. Each end fails once the side that holds it is gone.
pub(super) fn ends(path: &Path, chance: Rng, sender: &Gone, receiver: &Gone) -> (SendStream, RecvStream) {
    let state = State {
        chance,
        sent: VecDeque::new(),
        held: 0,
        finished: false,
        reset: Word::Unsaid,
        stopped: Word::Unsaid,
        drained: Word::Unsaid,
        why_reset: GiveUp::Unwanted,
        why_stopped: GiveUp::Unwanted,
    };
    let (readable, writable) = (Notify::new(), Notify::new());
    let pipe = Arc::new(Pipe { path: path.clone(), state: state.into(), readable, writable });
    let send = SendStream { pipe: pipe.clone(), gone: sender.subscribe() };
    (send, RecvStream { pipe, gone: receiver.subscribe() })
}

/// The sending side of a stream.
#[derive(Debug)]
pub struct SendStream {
    pipe: Arc<Pipe>,
    gone: watch::Receiver<Option<ConnectionLost>>,
}

impl SendStream {
    pub(in crate::transport) async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), StreamLost> {
        let Self { pipe, gone } = self;
        for chunk in chunks {
            while !chunk.is_empty() {
                let writable = pipe.writable.notified();
                let stopped = {
                    let mut state = lock(&pipe.state);
                    if let Some(lost) = &*gone.borrow() {
                        return Err(lost.clone().into());
                    }
                    if state.stopped.is_heard(&pipe.path) {
                        return Err(state.stopped());
                    }
                    let room = STREAM_WINDOW.saturating_sub(state.held).min(chunk.len());
                    if room > 0 {
                        let piece = chunk.split_to(if pipe.path.is_lossy() { room.min(PACKET) } else { room });
                        state.held += piece.len();
                        state.send(&pipe.path, Sent::Chunk(piece));
                        pipe.readable.notify_one();
                        continue;
                    }
                    state.stopped.arrival()
                };
                tokio::select! {
                    () = writable => {}
                    () = pipe.path.arrive(stopped) => {}
                    lost = lost(gone) => return Err(lost.into()),
                }
            }
        }
        Ok(())
    }

    pub(in crate::transport) fn finish(&mut self) {
        let mut state = lock(&self.pipe.state);
        if !state.finished && !state.reset.is_said() {
            state.finished = true;
            state.send(&self.pipe.path, Sent::End);
            self.pipe.readable.notify_one();
        }
    }

    pub(in crate::transport) fn reset(&mut self, why: GiveUp) {
        let mut state = lock(&self.pipe.state);
        // Nothing but the farewell goes over a connection that was closed, so nothing overtakes it.
        if !state.finished && !state.reset.is_said() && self.gone.borrow().is_none() {
            state.why_reset = why;
            state.reset = state.say(&self.pipe.path);
            self.pipe.readable.notify_one();
        }
    }

    pub(in crate::transport) async fn settled(&mut self) -> Result<(), StreamLost> {
        let Self { pipe, gone } = self;
        loop {
            let writable = pipe.writable.notified();
            let (drained, stopped) = {
                let state = lock(&pipe.state);
                // What was delivered stays delivered, whatever happens to the connection afterwards.
                if state.drained.is_heard(&pipe.path) {
                    return Ok(());
                }
                // Before what the other side may say: once the connection is gone, that is not heard any more.
                if let Some(lost) = &*gone.borrow() {
                    return Err(lost.clone().into());
                }
                if state.stopped.is_heard(&pipe.path) {
                    return Err(state.stopped());
                }
                if state.reset.is_said() {
                    return Err(StreamLost::Reset);
                }
                (state.drained.arrival(), state.stopped.arrival())
            };
            tokio::select! {
                () = writable => {}
                () = pipe.path.arrive(drained) => {}
                () = pipe.path.arrive(stopped) => {}
                lost = lost(gone) => return Err(lost.into()),
            }
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.reset(GiveUp::Unwanted);
    }
}

/// The receiving side of a stream.
#[derive(Debug)]
pub struct RecvStream {
    pipe: Arc<Pipe>,
    gone: watch::Receiver<Option<ConnectionLost>>,
}

impl RecvStream {
    pub(in crate::transport) async fn read(&mut self, into: &mut Vec<Bytes>) -> Result<bool, StreamLost> {
        let Self { pipe, gone } = self;
        loop {
            let readable = pipe.readable.notified();
            let (next, reset) = {
                let mut state = lock(&pipe.state);
                if let Some(lost) = &*gone.borrow() {
                    return Err(lost.clone().into());
                }
                if state.reset.is_heard(&pipe.path) {
                    return Err(GiveUp::lost(state.why_reset as u64, StreamLost::Reset));
                }
                if state.take(&pipe.path, into) {
                    pipe.writable.notify_one();
                    return Ok(true);
                }
                match state.sent.front() {
                    Some((arrival, Sent::End)) if pipe.path.has(*arrival) => {
                        if !state.drained.is_said() {
                            state.drained = state.say(&pipe.path);
                            pipe.writable.notify_one();
                        }
                        return Ok(false);
                    }
                    next => (next.map(|(arrival, _)| *arrival), state.reset.arrival()),
                }
            };
            tokio::select! {
                () = readable => {}
                () = pipe.path.arrive(next) => {}
                () = pipe.path.arrive(reset) => {}
                lost = lost(gone) => return Err(lost.into()),
            }
        }
    }

    pub(in crate::transport) fn stop(&mut self, why: GiveUp) {
        let mut state = lock(&self.pipe.state);
        // Of what has been read to the end there is nothing to refuse.
        if !state.stopped.is_said() && !state.drained.is_said() && self.gone.borrow().is_none() {
            state.why_stopped = why;
            state.stopped = state.say(&self.pipe.path);
            self.pipe.writable.notify_one();
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        self.stop(GiveUp::Unwanted);
    }
}

impl State {
    /// What the writer hears of the reader's stop.
    fn stopped(&self) -> StreamLost {
        GiveUp::lost(self.why_stopped as u64, StreamLost::Stopped)
    }

    fn send(&mut self, path: &Path, sent: Sent) {
        if let Some(arrival) = path.send(&mut self.chance) {
            self.sent.push_back((arrival, sent));
        }
    }

    fn say(&mut self, path: &Path) -> Word {
        Word::Said(path.send(&mut self.chance))
    }

    /// Takes the chunks that have arrived, up to [`READ_CHUNKS`]; whether there were any.
    fn take(&mut self, path: &Path, into: &mut Vec<Bytes>) -> bool {
        let before = into.len();
        while into.len() - before < READ_CHUNKS
            && let Some((arrival, Sent::Chunk(_))) = self.sent.front()
            && path.has(*arrival)
            && let Some((_, Sent::Chunk(chunk))) = self.sent.pop_front()
        {
            self.held -= chunk.len();
            into.push(chunk);
        }
        into.len() > before
    }
}

impl Word {
    const fn is_said(self) -> bool {
        matches!(self, Self::Said(_))
    }

    fn is_heard(self, path: &Path) -> bool {
        self.arrival().is_some_and(|arrival| path.has(arrival))
    }

    const fn arrival(self) -> Option<Instant> {
        match self {
            Self::Said(arrival) => arrival,
            Self::Unsaid => None,
        }
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
        reset.reset(GiveUp::Unwanted);
        assert_eq!(reset.settled().await, Err(StreamLost::Reset));

        let mut lost = near.open_uni().unwrap();
        lost.finish();
        let _held = far.accept_uni().await.unwrap();
        network.link("node").cut();
        assert!(matches!(lost.settled().await, Err(StreamLost::Connection(ConnectionLost::Failed(_)))));
        assert_eq!(send.settled().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_a_reset_a_refusal_and_an_acknowledgement_take_the_links_time() {
        let network = Network::new();
        let (near, far) = pair(&network).await;
        network.links().delay(Duration::from_millis(30));
        let start = Instant::now();
        let mut ended = near.open_uni().unwrap();
        ended.finish();
        let mut receive = far.accept_uni().await.unwrap();
        assert_eq!(receive.read(&mut Vec::new()).await, Ok(false));
        assert_eq!(start.elapsed().as_millis(), 30);
        assert_eq!(ended.settled().await, Ok(()));
        assert_eq!(start.elapsed().as_millis(), 60);

        drop(near.open_uni().unwrap());
        let mut receive = far.accept_uni().await.unwrap();
        assert_eq!(receive.read(&mut Vec::new()).await, Err(StreamLost::Reset));
        assert_eq!(start.elapsed().as_millis(), 90);

        let mut refused = near.open_uni().unwrap();
        drop(far.accept_uni().await.unwrap());
        let large = Bytes::from(vec![1; STREAM_WINDOW + 1]);
        assert_eq!(refused.write(&mut [large]).await, Err(StreamLost::Stopped));
        assert_eq!(start.elapsed().as_millis(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_lost_holds_up_its_own_stream_only_and_nothing_is_out_of_order() {
        let network = Network::new().seed(1);
        let (near, far) = pair(&network).await;
        network.links().delay(Duration::from_millis(10)).loss(0.5);
        let sent: Vec<u8> = (0..50 * PACKET).map(|at| (at / PACKET) as u8).collect();
        let mut times = Vec::new();
        for _ in 0..4 {
            let mut send = near.open_uni().unwrap();
            let mut receive = far.accept_uni().await.unwrap();
            let start = Instant::now();
            send.write(&mut [Bytes::from(sent.clone())]).await.unwrap();
            send.finish();
            let (mut chunks, mut arrivals) = (Vec::new(), Vec::new());
            while receive.read(&mut chunks).await.unwrap() {
                arrivals.push(start.elapsed().as_millis());
            }
            assert_eq!(chunks.concat(), sent);
            assert!(chunks.iter().all(|chunk| chunk.len() <= PACKET));
            // 10 ms, and the probe time-outs of the packet that was lost most often so far.
            let known = [10, 56, 148, 332].into_iter().chain((700..).step_by(500).take(20)).collect::<Vec<_>>();
            assert!(arrivals.is_sorted() && arrivals.iter().all(|arrival| known.contains(arrival)), "{arrivals:?}");
            times.push(arrivals);
        }
        times.dedup();
        assert!(times.len() > 1, "each stream has its own chance: {times:?}");
    }
}
