//! What the sessions of all nodes share: the directory, the router, and a way to each node.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
    vec::Drain,
};

use daffi_core::{
    link::{FrameSender, Throttle},
    transport::{CloseCode, Connection},
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

use crate::{
    directory::{Directory, Refused},
    limits::Limits,
    router::{Nodes, Router},
};

/// How many control messages may wait for a node. One that reads so slowly is let go: it would act on what was long ago.
const CONTROL_BACKLOG: usize = 16 << 10;

/// The controller's state.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) limits: Arc<Limits>,
    state: Mutex<State>,
    /// Apart from the rest, because every frame looks here.
    nodes: RwLock<HashMap<NodeId, NodeLink>>,
    /// Nothing is under way any more.
    settled: Notify,
}

#[derive(Debug)]
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
    /// How fast it may send.
    pub(crate) throttle: Throttle,
}

impl NodeLink {
    /// A link, and the control messages to write to it.
    pub(crate) fn new(
        connection: Connection,
        frames: FrameSender,
        throttle: Throttle,
    ) -> (Self, mpsc::Receiver<ToNode>) {
        let (control, messages) = mpsc::channel(CONTROL_BACKLOG);
        (Self { connection, frames, control, alive: Arc::default(), throttle }, messages)
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
    /// One with nobody in it.
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        let directory = Directory::new(limits.nodes, limits.callbacks_per_node);
        let router = Router::new(limits.calls_per_node);
        let state = Mutex::new(State { directory, router, streams: 0, draining: false });
        Self { limits, state, nodes: RwLock::default(), settled: Notify::new() }
    }

    /// Takes a node in, welcomes it and tells the others.
    pub(crate) fn join(&self, name: String, offers: Vec<Offer>, link: NodeLink) -> Result<Member, Refused> {
        let mut state = self.lock();
        if state.draining {
            return Err(Refused::Stopping);
        }
        let member = state.directory.join(name, offers)?;
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for other in nodes.values() {
            other.tell(ToNode::Joined { member: member.clone() });
        }
        link.tell(ToNode::Welcome { node: member.id, members: state.directory.members(), terms: self.limits.terms() });
        nodes.insert(member.id, link);
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
