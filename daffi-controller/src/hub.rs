//! What the sessions of all nodes share: the directory, the router, the streams, and a way to each node.

mod streams;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
    vec::Drain,
};

use daffi_core::{
    link::FrameSender,
    transport::{CloseCode, Connection, ConnectionLost},
    wire::{
        CallId, CallbackId, Malformed, NodeId,
        control::{Member, ToNode},
        failure::Failure,
        frame::{Frame, Head},
        limits,
        offer::Offer,
    },
};
use tokio::sync::{Notify, mpsc};

use self::streams::Streams;
pub(crate) use self::streams::{Hop, Hops, Producer};
use crate::{
    directory::{Directory, Refused},
    router::{Nodes, Router},
};

/// How many control messages may wait for a node. One that reads so slowly is let go: it would act on what was long ago.
const CONTROL_BACKLOG: usize = 16 << 10;

/// The controller's state.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Apart from the rest, because every frame looks here.
    nodes: RwLock<HashMap<NodeId, NodeLink>>,
    streams: Streams,
    /// Nothing is under way any more.
    settled: Notify,
    /// A node has joined, or offers more.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    directory: Directory,
    router: Router,
    /// How many item streams are under way.
    streams: usize,
    draining: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.router.under_way() == 0 && self.streams == 0
    }
}

/// The way to a node.
#[derive(Debug, Clone)]
pub(crate) struct NodeLink {
    pub(crate) connection: Connection,
    pub(crate) frames: FrameSender,
    pub(crate) control: mpsc::Sender<ToNode>,
    /// The node has answered a probe.
    pub(crate) alive: Arc<Notify>,
    pub(crate) name: Arc<str>,
    /// Tells the node from another of its name: 0 if it does not say.
    pub(crate) instance: u64,
    /// It does not come back.
    gone: Arc<AtomicBool>,
}

impl NodeLink {
    /// A link, and the control messages to write to it.
    pub(crate) fn new(
        connection: Connection,
        frames: FrameSender,
        name: &str,
        instance: u64,
    ) -> (Self, mpsc::Receiver<ToNode>) {
        let (control, messages) = mpsc::channel(CONTROL_BACKLOG);
        let (alive, gone) = (Arc::default(), Arc::default());
        (Self { connection, frames, control, alive, name: name.into(), instance, gone }, messages)
    }

    /// The node left, or another has its name: it does not come back.
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether a node does not come back whose connection was lost like this.
    pub(crate) fn is_gone(&self, lost: &ConnectionLost) -> bool {
        let closed = matches!(lost, ConnectionLost::ClosedByPeer { code: CloseCode::Done, .. });
        closed || self.gone.load(Ordering::Relaxed)
    }

    /// Whether both lead to the same session of a node.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.alive, &other.alive)
    }

    fn tell(&self, message: ToNode) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.control.try_send(message) {
            self.connection.close(CloseCode::Limit, "control messages are read too slowly");
        }
    }
}

impl Hub {
    /// Takes a node in, welcomes it and tells the others.
    pub(crate) fn join(&self, name: String, offers: Vec<Offer>, link: NodeLink) -> Result<Member, Refused> {
        let mut state = self.lock();
        if state.draining {
            return Err(Refused::Stopping);
        }
        let member = state.directory.join(name, offers)?;
        self.streams.end_of_others(&member.name, link.instance);
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for other in nodes.values() {
            other.tell(ToNode::Joined { member: member.clone() });
        }
        link.tell(ToNode::Welcome { node: member.id, members: state.directory.members() });
        nodes.insert(member.id, link);
        self.arrived.notify_waiters();
        Ok(member)
    }

    /// Takes a node out and tells the others.
    pub(crate) fn leave(&self, node: NodeId, reason: &str) {
        let mut state = self.lock();
        let State { directory, router, draining, .. } = &mut *state;
        directory.leave(node);
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        router.lose(node, &Reach { hub: self, directory, draining: *draining });
        self.tell_all(&ToNode::Left { node, reason: reason.to_owned() });
        self.tell_settled(&state);
    }

    /// Takes in further callbacks of a node and tells everybody, the node itself included.
    pub(crate) fn offer(&self, node: NodeId, offers: Vec<Offer>) -> Result<(), Refused> {
        let mut state = self.lock();
        let offers = state.directory.offer(node, offers)?;
        // Under the lock, so that everybody hears of joins, offers and departures in one order.
        self.tell_all(&ToNode::Offered { node, offers });
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Takes the frames that came from a node together.
    pub(crate) fn handle(&self, from: NodeId, mut frames: Drain<'_, Frame>) -> Result<(), Malformed> {
        let mut state = self.lock();
        let State { directory, router, draining, .. } = &mut *state;
        let nodes = Reach { hub: self, directory, draining: *draining };
        frames.try_for_each(|frame| router.handle(from, frame, &nodes))?;
        self.tell_settled(&state);
        Ok(())
    }

    /// The way to a node for a stream of this callback, and whether it has to have all items; or why there is none.
    pub(crate) fn receiver(&self, node: NodeId, callback: CallbackId) -> Result<(NodeLink, bool), Failure> {
        let state = self.lock();
        if state.draining {
            return Err(Failure::Stopping);
        }
        match state.directory.offers(node, callback) {
            Some(true) => {
                let lossless = state.directory.is_lossless(node, callback);
                self.link(node).map(|link| (link, lossless)).ok_or(Failure::NoNode)
            }
            Some(false) => Err(Failure::NoCallback),
            None => Err(Failure::NoNode),
        }
    }

    /// The way to the caller whose call a node answers with a stream, and the number that the caller gave the call; or why there
    /// is no such call: it may just have been cancelled.
    pub(crate) fn answer_by_stream(
        &self,
        callee: NodeId,
        call: CallId,
        caller: NodeId,
    ) -> Result<(NodeLink, CallId), Failure> {
        let call = self.lock().router.answer_by_stream(callee, call, caller).ok_or(Failure::Cancelled)?;
        self.link(caller).map(|link| (link, call)).ok_or(Failure::NoNode)
    }

    /// The streams that outlive their producers' connections.
    pub(crate) const fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The name that a callback's number stands for.
    pub(crate) fn callback_name(&self, callback: CallbackId) -> Option<String> {
        self.lock().directory.callback_name(callback)
    }

    /// Waits until a node of this name offers this callback, over another connection than the `lost` one, of which it need not be
    /// known yet that it is: the way to it, and the callback's number. Cancel safe.
    pub(crate) async fn wait_for(&self, node: &str, callback: &str, lost: Option<&NodeLink>) -> (NodeLink, CallbackId) {
        loop {
            let arrived = self.arrived.notified();
            let offered = self.lock().directory.offered(node, callback);
            if let Some((node, callback)) = offered
                && let Some(link) = self.link(node)
                && lost.is_none_or(|lost| !lost.is_same(&link))
            {
                return (link, callback);
            }
            arrived.await;
        }
    }

    /// The way to the node of this name.
    pub(crate) fn named(&self, name: &str) -> Option<NodeLink> {
        let node = self.lock().directory.named(name)?;
        self.link(node)
    }

    /// Begins no further calls and streams, and tells every node.
    pub(crate) fn drain(&self) {
        self.lock().draining = true;
        self.tell_all(&ToNode::Draining);
    }

    /// Waits until no call or stream is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let settled = self.settled.notified();
            if self.lock().is_idle() {
                return;
            }
            settled.await;
        }
    }

    /// Counts a stream for as long as the guard lives.
    pub(crate) fn stream_begins(&self) -> impl Drop + '_ {
        struct Guard<'a>(&'a Hub);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                let mut state = self.0.lock();
                state.streams -= 1;
                self.0.tell_settled(&state);
            }
        }
        self.lock().streams += 1;
        Guard(self)
    }

    fn tell_settled(&self, state: &State) {
        if state.draining && state.is_idle() {
            self.settled.notify_waiters();
        }
    }

    /// Closes every node's connection, once the last frames have reached the nodes, or `patience` is over.
    pub(crate) async fn close_all(&self, patience: Duration) {
        let links: Vec<_> = self.nodes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let flushed = futures_util::future::join_all(links.iter().map(|link| link.frames.flush()));
        let _ = tokio::time::timeout(patience, flushed).await;
        for link in links {
            link.connection.close(CloseCode::Stopping, "the controller is stopping");
        }
    }

    fn tell_all(&self, message: &ToNode) {
        for link in self.nodes.read().unwrap_or_else(PoisonError::into_inner).values() {
            link.tell(message.clone());
        }
    }

    fn link(&self, node: NodeId) -> Option<NodeLink> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics: tables are changed and messages queued, no foreign code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The nodes as the router sees them.
struct Reach<'a> {
    hub: &'a Hub,
    directory: &'a Directory,
    draining: bool,
}

impl Nodes for Reach<'_> {
    fn refuses(&self, node: NodeId, callback: CallbackId) -> Option<Failure> {
        if self.draining {
            return Some(Failure::Stopping);
        }
        match self.directory.offers(node, callback) {
            None => Some(Failure::NoNode),
            Some(false) => Some(Failure::NoCallback),
            Some(true) => {
                let nodes = self.hub.nodes.read().unwrap_or_else(PoisonError::into_inner);
                match nodes.get(&node) {
                    None => Some(Failure::NoNode),
                    Some(link) if link.frames.backlog() > limits::MAX_LANE_BACKLOG => Some(Failure::Busy),
                    Some(_) => None,
                }
            }
        }
    }

    fn deliver(&self, node: NodeId, head: &Head, payload: &[u8]) {
        if let Some(link) = self.hub.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&node) {
            link.frames.send(head, payload);
        }
    }
}
