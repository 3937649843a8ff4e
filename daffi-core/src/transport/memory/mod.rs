//! A network within one process, for tests: the same face as QUIC, with delay, broken links and partitions at will.
//!
//! It keeps QUIC's promises and no better ones: streams are ordered and bounded, a closed connection loses what was on its
//! way, and a silent one ends after [`limits::IDLE`]. All waiting goes through tokio's clock, so tests can pause time.

mod pipe;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

pub use self::pipe::{RecvStream, SendStream};
use super::{CloseCode, ConnectionLost};
use crate::wire::limits;

/// A network of one process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    listeners: HashMap<String, mpsc::UnboundedSender<Connection>>,
    /// What a link of this name is like, now and when it is made anew.
    conditions: HashMap<String, watch::Sender<Condition>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Condition {
    delay: Duration,
    partitioned: bool,
    /// How often the link was cut.
    cuts: u64,
}

impl Network {
    /// A network without delay or faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens under a name of its own, such as `"controller"`.
    pub fn listen(&self, name: &str) -> Listener {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.inner).listeners.insert(name.to_owned(), sender);
        Listener { receiver }
    }

    /// Connects over the link called `link` (the connecting node's name, say) to a listener. `None` if nobody listens, or the
    /// link is partitioned.
    pub fn connect(&self, link: &str, listener: &str) -> Option<Connection> {
        let mut inner = lock(&self.inner);
        let condition = inner.conditions.entry(link.to_owned()).or_default().subscribe();
        if condition.borrow().partitioned {
            return None;
        }
        let listener = inner.listeners.get(listener)?;
        let (near, far) = Connection::pair(link, condition);
        listener.send(far).ok()?;
        Some(near)
    }

    /// From now on everything on this link takes so long, one way.
    pub fn delay(&self, link: &str, delay: Duration) {
        self.change(link, |condition| condition.delay = delay);
    }

    /// Breaks the connections of a link at once. New ones can be made.
    pub fn cut(&self, link: &str) {
        self.change(link, |condition| condition.cuts += 1);
    }

    /// Nothing gets through on this link until it is healed; its connections time out after [`limits::IDLE`].
    pub fn partition(&self, link: &str) {
        self.change(link, |condition| condition.partitioned = true);
    }

    /// Ends a partition. What was held up arrives.
    pub fn heal(&self, link: &str) {
        self.change(link, |condition| condition.partitioned = false);
    }

    fn change(&self, link: &str, change: impl FnOnce(&mut Condition)) {
        lock(&self.inner).conditions.entry(link.to_owned()).or_default().send_modify(change);
    }
}

/// The listening side of a [`Network`].
#[derive(Debug)]
pub struct Listener {
    receiver: mpsc::UnboundedReceiver<Connection>,
}

impl Listener {
    /// The next connection; `None` once the listener is closed. Cancel safe.
    pub async fn accept(&mut self) -> Option<Connection> {
        self.receiver.recv().await
    }

    /// Accepts nothing more.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}

/// One side of a connection. Clones share it; when the last is dropped, the other side sees it closed.
#[derive(Debug, Clone)]
pub struct Connection {
    side: Arc<Side>,
}

#[derive(Debug)]
struct Side {
    link: String,
    condition: watch::Receiver<Condition>,
    /// Why this side is gone, once it is.
    gone: watch::Sender<Option<ConnectionLost>>,
    peer_gone: watch::Sender<Option<ConnectionLost>>,
    opened_uni: mpsc::UnboundedSender<RecvStream>,
    opened_bi: mpsc::UnboundedSender<(SendStream, RecvStream)>,
    accepted_uni: tokio::sync::Mutex<mpsc::UnboundedReceiver<RecvStream>>,
    accepted_bi: tokio::sync::Mutex<mpsc::UnboundedReceiver<(SendStream, RecvStream)>>,
}

impl Connection {
    fn pair(link: &str, condition: watch::Receiver<Condition>) -> (Self, Self) {
        let (uni_to_far, far_uni) = mpsc::unbounded_channel();
        let (uni_to_near, near_uni) = mpsc::unbounded_channel();
        let (bi_to_far, far_bi) = mpsc::unbounded_channel();
        let (bi_to_near, near_bi) = mpsc::unbounded_channel();
        let (near_gone, far_gone) = (watch::Sender::new(None), watch::Sender::new(None));
        let cuts = condition.borrow().cuts;
        tokio::spawn(watch_link(condition.clone(), cuts, near_gone.clone(), far_gone.clone()));
        let near = Side {
            link: link.to_owned(),
            condition: condition.clone(),
            gone: near_gone.clone(),
            peer_gone: far_gone.clone(),
            opened_uni: uni_to_far,
            opened_bi: bi_to_far,
            accepted_uni: near_uni.into(),
            accepted_bi: near_bi.into(),
        };
        let far = Side {
            link: link.to_owned(),
            condition,
            gone: far_gone,
            peer_gone: near_gone,
            opened_uni: uni_to_near,
            opened_bi: bi_to_near,
            accepted_uni: far_uni.into(),
            accepted_bi: far_bi.into(),
        };
        (Self { side: Arc::new(near) }, Self { side: Arc::new(far) })
    }

    fn pipe(&self) -> (SendStream, RecvStream) {
        let side = &self.side;
        pipe::ends(&side.condition, &side.gone, &side.peer_gone)
    }

    /// The other direction's pipe: the peer sends, this side receives.
    fn reverse_pipe(&self) -> (SendStream, RecvStream) {
        let side = &self.side;
        pipe::ends(&side.condition, &side.peer_gone, &side.gone)
    }

    pub(super) fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        self.check()?;
        let (send, peer_receives) = self.pipe();
        let (peer_sends, receive) = self.reverse_pipe();
        self.side.opened_bi.send((peer_sends, peer_receives)).map_err(|_| ConnectionLost::ClosedHere)?;
        Ok((send, receive))
    }

    pub(super) fn open_uni(&self) -> Result<SendStream, ConnectionLost> {
        self.check()?;
        let (send, peer_receives) = self.pipe();
        self.side.opened_uni.send(peer_receives).map_err(|_| ConnectionLost::ClosedHere)?;
        Ok(send)
    }

    pub(super) async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionLost> {
        let mut accepted = self.side.accepted_bi.lock().await;
        tokio::select! {
            biased;
            lost = self.closed() => Err(lost),
            Some(streams) = accepted.recv() => Ok(streams),
        }
    }

    pub(super) async fn accept_uni(&self) -> Result<RecvStream, ConnectionLost> {
        let mut accepted = self.side.accepted_uni.lock().await;
        tokio::select! {
            biased;
            lost = self.closed() => Err(lost),
            Some(stream) = accepted.recv() => Ok(stream),
        }
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        self.side.close(code, reason);
    }

    pub(super) async fn closed(&self) -> ConnectionLost {
        lost(&mut self.side.gone.subscribe()).await
    }

    pub(super) fn peer(&self) -> &str {
        &self.side.link
    }

    pub(super) fn rtt(&self) -> Duration {
        self.side.condition.borrow().delay * 2
    }

    fn check(&self) -> Result<(), ConnectionLost> {
        self.side.gone.borrow().clone().map_or(Ok(()), Err)
    }
}

impl Side {
    fn close(&self, code: CloseCode, reason: &str) {
        if !end(&self.gone, ConnectionLost::ClosedHere) {
            return;
        }
        let (peer_gone, mut condition) = (self.peer_gone.clone(), self.condition.clone());
        let lost = ConnectionLost::ClosedByPeer { code, reason: reason.to_owned() };
        // Without a runtime there is nobody left to tell.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let delay = condition.borrow().delay;
                tokio::time::sleep(delay).await;
                passable(&mut condition).await;
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

/// Ends both sides when the link is cut, or partitioned for too long.
async fn watch_link(
    mut condition: watch::Receiver<Condition>,
    cuts: u64,
    near: watch::Sender<Option<ConnectionLost>>,
    far: watch::Sender<Option<ConnectionLost>>,
) {
    let broken = async {
        loop {
            let now = *condition.borrow_and_update();
            if now.cuts != cuts {
                return ConnectionLost::Failed("the link was cut".into());
            }
            if now.partitioned {
                let healed = condition.wait_for(|condition| !condition.partitioned || condition.cuts != cuts);
                if tokio::time::timeout(limits::IDLE, healed).await.is_err() {
                    return ConnectionLost::TimedOut;
                }
            } else if condition.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let (mut near_gone, mut far_gone) = (near.subscribe(), far.subscribe());
    let both_gone = async {
        lost(&mut near_gone).await;
        lost(&mut far_gone).await;
    };
    tokio::select! {
        why = broken => {
            end(&near, why.clone());
            end(&far, why);
        }
        () = both_gone => {}
    }
}

fn end(gone: &watch::Sender<Option<ConnectionLost>>, why: ConnectionLost) -> bool {
    gone.send_if_modified(|gone| {
        let first = gone.is_none();
        gone.get_or_insert(why);
        first
    })
}

async fn lost(gone: &mut watch::Receiver<Option<ConnectionLost>>) -> ConnectionLost {
    match gone.wait_for(Option::is_some).await {
        Ok(lost) => lost.clone().unwrap_or(ConnectionLost::ClosedHere),
        Err(_) => ConnectionLost::ClosedHere,
    }
}

async fn passable(condition: &mut watch::Receiver<Condition>) {
    if condition.wait_for(|condition| !condition.partitioned).await.is_err() {
        // The network is gone, and nothing arrives any more.
        std::future::pending::<()>().await;
    }
}

/// Locks what no thread leaves half-changed: a panic elsewhere does not make it unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::transport::StreamLost;

    async fn pair(network: &Network) -> (Connection, Connection) {
        let mut listener = network.listen("controller");
        let near = network.connect("node", "controller").unwrap();
        (near, listener.accept().await.unwrap())
    }

    async fn read_all(stream: &mut RecvStream) -> Result<Vec<u8>, StreamLost> {
        let mut chunks = Vec::new();
        while stream.read(&mut chunks).await? {}
        Ok(chunks.concat())
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_takes_its_time_both_ways() {
        let network = Network::new();
        let (near, far) = pair(&network).await;
        network.delay("node", Duration::from_millis(30));
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
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_holds_up_and_then_times_out() {
        let network = Network::new();
        let (near, far) = pair(&network).await;
        let mut send = near.open_uni().unwrap();
        send.write(&mut [Bytes::from_static(b"late")]).await.unwrap();
        send.finish();
        network.partition("node");
        let mut receive = far.accept_uni().await.unwrap();
        let early = tokio::time::timeout(Duration::from_secs(1), receive.read(&mut Vec::new())).await;
        assert!(early.is_err());
        network.heal("node");
        assert_eq!(read_all(&mut receive).await.unwrap(), b"late");
        network.partition("node");
        assert_eq!(near.closed().await, ConnectionLost::TimedOut);
        assert!(network.connect("node", "controller").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_link_fails_both_sides_and_can_be_used_again() {
        let network = Network::new();
        let mut listener = network.listen("controller");
        let near = network.connect("node", "controller").unwrap();
        let far = listener.accept().await.unwrap();
        network.cut("node");
        assert!(matches!(near.closed().await, ConnectionLost::Failed(_)));
        assert!(matches!(far.closed().await, ConnectionLost::Failed(_)));
        assert!(network.connect("node", "controller").is_some());
    }
}
