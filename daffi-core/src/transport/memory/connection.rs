//! The connections of the in-memory network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{
    path::Path,
    pipe::{self, RecvStream, SendStream},
};
use crate::transport::{CloseCode, ConnectionLost};

/// Why a side is gone, once it is.
pub(super) type Gone = watch::Sender<Option<ConnectionLost>>;

/// One side of a connection. Clones share it; when the last is dropped, the other side sees it closed.
#[derive(Debug, Clone)]
pub struct Connection {
    side: Arc<Side>,
}

#[derive(Debug)]
struct Side {
    link: String,
    path: Path,
    /// 0 for the side that connected, 1 for the other.
    number: u64,
    gone: Gone,
    peer_gone: Gone,
    /// How many streams this side has opened.
    uni: AtomicU64,
    bi: AtomicU64,
    opened_uni: mpsc::UnboundedSender<RecvStream>,
    opened_bi: mpsc::UnboundedSender<(SendStream, RecvStream)>,
    accepted_uni: tokio::sync::Mutex<mpsc::UnboundedReceiver<RecvStream>>,
    accepted_bi: tokio::sync::Mutex<mpsc::UnboundedReceiver<(SendStream, RecvStream)>>,
}

/// What a row of random numbers is for, so that each has its own.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Uni,
    /// A stream both ways, of which it is what its opener sends.
    There,
    /// The other direction.
    Back,
    Close,
}

impl Connection {
    pub(super) fn pair(link: &str, path: &Path) -> (Self, Self) {
        let (uni_to_far, far_uni) = mpsc::unbounded_channel();
        let (uni_to_near, near_uni) = mpsc::unbounded_channel();
        let (bi_to_far, far_bi) = mpsc::unbounded_channel();
        let (bi_to_near, near_bi) = mpsc::unbounded_channel();
        let (near_gone, far_gone) = (Gone::new(None), Gone::new(None));
        let cuts = path.condition.borrow().cuts;
        tokio::spawn(watch_link(path.clone(), cuts, near_gone.clone(), far_gone.clone()));
        let near = Side {
            link: link.to_owned(),
            path: path.clone(),
            number: 0,
            gone: near_gone.clone(),
            peer_gone: far_gone.clone(),
            uni: AtomicU64::new(0),
            bi: AtomicU64::new(0),
            opened_uni: uni_to_far,
            opened_bi: bi_to_far,
            accepted_uni: near_uni.into(),
            accepted_bi: near_bi.into(),
        };
        let far = Side {
            link: link.to_owned(),
            path: path.clone(),
            number: 1,
            gone: far_gone,
            peer_gone: near_gone,
            uni: AtomicU64::new(0),
            bi: AtomicU64::new(0),
            opened_uni: uni_to_near,
            opened_bi: bi_to_near,
            accepted_uni: far_uni.into(),
            accepted_bi: far_bi.into(),
        };
        (Self { side: Arc::new(near) }, Self { side: Arc::new(far) })
    }

    /// From now on it ends on both sides after so much silence.
    pub(in crate::transport) fn establish(&self, silence: Duration) {
        self.side.path.bear(silence);
    }

    pub(in crate::transport) fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        let side = &self.side;
        side.check()?;
        let count = side.bi.fetch_add(1, Ordering::Relaxed);
        let (send, peer_receives) =
            pipe::ends(&side.path, side.chance(Purpose::There, count), &side.gone, &side.peer_gone);
        let (peer_sends, receive) =
            pipe::ends(&side.path, side.chance(Purpose::Back, count), &side.peer_gone, &side.gone);
        side.opened_bi.send((peer_sends, peer_receives)).map_err(|_| ConnectionLost::ClosedHere)?;
        Ok((send, receive))
    }

    pub(in crate::transport) fn open_uni(&self) -> Result<SendStream, ConnectionLost> {
        let side = &self.side;
        side.check()?;
        let count = side.uni.fetch_add(1, Ordering::Relaxed);
        let (send, peer_receives) =
            pipe::ends(&side.path, side.chance(Purpose::Uni, count), &side.gone, &side.peer_gone);
        side.opened_uni.send(peer_receives).map_err(|_| ConnectionLost::ClosedHere)?;
        Ok(send)
    }

    pub(in crate::transport) async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        let mut accepted = self.side.accepted_bi.lock().await;
        tokio::select! {
            biased;
            lost = self.closed() => Err(lost),
            Some(streams) = accepted.recv() => Ok(streams),
        }
    }

    pub(in crate::transport) async fn accept_uni(&self) -> Result<RecvStream, ConnectionLost> {
        let mut accepted = self.side.accepted_uni.lock().await;
        tokio::select! {
            biased;
            lost = self.closed() => Err(lost),
            Some(stream) = accepted.recv() => Ok(stream),
        }
    }

    pub(in crate::transport) fn close(&self, code: CloseCode, reason: &str) {
        self.side.close(code, reason);
    }

    pub(in crate::transport) async fn closed(&self) -> ConnectionLost {
        lost(&mut self.side.gone.subscribe()).await
    }

    pub(in crate::transport) fn peer(&self) -> &str {
        &self.side.link
    }

    pub(in crate::transport) fn rtt(&self) -> Duration {
        self.side.path.delay() * 2
    }
}

impl Side {
    fn check(&self) -> Result<(), ConnectionLost> {
        self.gone.borrow().clone().map_or(Ok(()), Err)
    }

    fn chance(&self, purpose: Purpose, count: u64) -> fastrand::Rng {
        self.path.chance([self.number, purpose as u64, count])
    }

    fn close(&self, code: CloseCode, reason: &str) {
        if !end(&self.gone, ConnectionLost::ClosedHere) {
            return;
        }
        let Some(arrival) = self.path.send(&mut self.chance(Purpose::Close, 0)) else {
            return;
        };
        let (peer_gone, path) = (self.peer_gone.clone(), self.path.clone());
        let lost = ConnectionLost::closed_by_peer(code, reason.as_bytes());
        // Without a runtime there is nobody left to tell.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                path.arrive(Some(arrival)).await;
                end(&peer_gone, lost);
            });
        } else {
            end(&peer_gone, lost);
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.close(CloseCode::Done, "dropped");
    }
}

/// Waits until a side is gone, and says why. Cancel safe.
pub(super) async fn lost(gone: &mut watch::Receiver<Option<ConnectionLost>>) -> ConnectionLost {
    match gone.wait_for(Option::is_some).await {
        Ok(lost) => lost.clone().unwrap_or(ConnectionLost::ClosedHere),
        Err(_) => ConnectionLost::ClosedHere,
    }
}

/// Ends both sides when the link is cut, or when nothing was heard for too long: it is partitioned, or the far side crashed.
async fn watch_link(path: Path, cuts: u64, near: Gone, far: Gone) {
    let (mut near_gone, mut far_gone) = (near.subscribe(), far.subscribe());
    let both_gone = async {
        lost(&mut near_gone).await;
        lost(&mut far_gone).await;
    };
    let crashed = async {
        path.crashed.cancelled().await;
        end(&far, ConnectionLost::ClosedHere);
        tokio::time::sleep(path.silence()).await;
        ConnectionLost::TimedOut
    };
    tokio::select! {
        why = broken(&path, cuts) => {
            end(&near, why.clone());
            end(&far, why);
        }
        why = crashed => drop(end(&near, why)),
        () = both_gone => {}
    }
}

/// Waits until the link has been cut more often than this, or is partitioned for too long.
async fn broken(path: &Path, cuts: u64) -> ConnectionLost {
    let mut condition = path.condition.clone();
    loop {
        let now = *condition.borrow_and_update();
        if now.cuts != cuts {
            return ConnectionLost::Failed("the link was cut".into());
        }
        let silent = async {
            match now.partitioned {
                Some(since) => tokio::time::sleep_until(since + path.silence()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = condition.changed() => {}
            () = silent => return ConnectionLost::TimedOut,
        }
    }
}

/// Whether it was the first end of this side.
fn end(gone: &Gone, why: ConnectionLost) -> bool {
    gone.send_if_modified(|gone| {
        let first = gone.is_none();
        gone.get_or_insert(why);
        first
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        transport::{
            StreamLost,
            memory::{Listener, Network},
        },
        wire::limits,
    };

    async fn pair(network: &Network) -> (Connection, Connection, Listener) {
        let mut listener = network.listen("controller");
        let near = network.connect("node", "controller").unwrap();
        let far = listener.accept().await.unwrap();
        (near, far, listener)
    }

    async fn read_all(stream: &mut RecvStream) -> Result<Vec<u8>, StreamLost> {
        let mut chunks = Vec::new();
        while stream.read(&mut chunks).await? {}
        Ok(chunks.concat())
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_takes_its_time_both_ways() {
        let network = Network::new();
        let (near, far, _listener) = pair(&network).await;
        network.link("node").delay(Duration::from_millis(30));
        let start = Instant::now();
        let (mut send, mut receive) = near.open_bi().unwrap();
        send.write(&mut [Bytes::from_static(b"ping")]).await.unwrap();
        send.finish();
        let (mut answer, mut question) = far.accept_bi().await.unwrap();
        assert_eq!(read_all(&mut question).await.unwrap(), b"ping");
        answer.write(&mut [Bytes::from_static(b"pong")]).await.unwrap();
        answer.finish();
        assert_eq!(read_all(&mut receive).await.unwrap(), b"pong");
        assert_eq!(start.elapsed().as_millis(), 60);
        drop(near);
        assert!(matches!(far.closed().await, ConnectionLost::ClosedByPeer { code: CloseCode::Done, .. }));
        assert_eq!(start.elapsed().as_millis(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_holds_up_and_then_times_out() {
        let network = Network::new();
        let (near, far, _listener) = pair(&network).await;
        let mut send = near.open_uni().unwrap();
        send.write(&mut [Bytes::from_static(b"late")]).await.unwrap();
        send.finish();
        network.link("node").partition();
        let mut receive = far.accept_uni().await.unwrap();
        let early = tokio::time::timeout(Duration::from_secs(1), receive.read(&mut Vec::new())).await;
        assert!(early.is_err());
        network.link("node").heal();
        assert_eq!(read_all(&mut receive).await.unwrap(), b"late");
        network.link("node").partition();
        let start = Instant::now();
        assert_eq!(near.closed().await, ConnectionLost::TimedOut);
        assert_eq!(far.closed().await, ConnectionLost::TimedOut);
        assert_eq!(start.elapsed(), limits::SILENCE);
        assert!(network.connect("node", "controller").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_lets_no_farewell_through() {
        let network = Network::new();
        let (near, far, _listener) = pair(&network).await;
        network.link("node").partition();
        near.close(CloseCode::Done, "done");
        assert_eq!(near.closed().await, ConnectionLost::ClosedHere);
        assert_eq!(far.closed().await, ConnectionLost::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_link_fails_both_sides_and_can_be_used_again() {
        let network = Network::new();
        let (near, far, _listener) = pair(&network).await;
        network.link("node").cut();
        assert!(matches!(near.closed().await, ConnectionLost::Failed(_)));
        assert!(matches!(far.closed().await, ConnectionLost::Failed(_)));
        assert!(network.connect("node", "controller").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crashed_side_is_gone_at_once_and_missed_after_a_while() {
        let network = Network::new();
        let (near, far, listener) = pair(&network).await;
        network.link("node").delay(Duration::from_millis(30));
        let (mut send, mut late) = (far.open_uni().unwrap(), far.open_uni().unwrap());
        send.write(&mut [Bytes::from_static(b"last words")]).await.unwrap();
        network.crash("controller");
        late.write(&mut [Bytes::from_static(b"too late")]).await.unwrap();
        let start = Instant::now();
        assert_eq!(far.closed().await, ConnectionLost::ClosedHere);
        drop((send, far, listener));

        let (mut receive, mut chunks) = (near.accept_uni().await.unwrap(), Vec::new());
        assert_eq!(receive.read(&mut chunks).await, Ok(true));
        assert_eq!(chunks.concat(), b"last words");
        let silence = receive.read(&mut chunks).await;
        assert_eq!(silence, Err(StreamLost::Connection(ConnectionLost::TimedOut)));
        assert_eq!(chunks.len(), 1);
        assert_eq!(start.elapsed(), limits::SILENCE);
    }
}
