//! What the sessions of all nodes share: the directory, the router, the streams, and a way to each node.

mod control;
mod link;
mod reach;
mod streams;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
    vec::Drain,
};

use daffi_core::{
    transport::CloseCode,
    wire::{
        CallId, CallbackId, Malformed, NodeId,
        control::{Member, ToNode},
        failure::{Failure, Right},
        frame::Frame,
        offer::Offer,
    },
};
use tokio::sync::{Notify, watch};

use self::{control::Encoded, reach::Reach, streams::Streams};
pub(crate) use self::{
    control::Messages,
    link::NodeLink,
    streams::{Handed, Hop, Hops, Key, Producer},
};
use crate::{
    access::Access,
    directory::{self, Directory, Refused},
    fanout::Rooms,
    judge::Judge,
    limits::Limits,
    rates::Rates,
    refusals::Counted,
    router::Router,
};

/// The controller's state.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) limits: Arc<Limits>,
    /// Where the streams of each node have their places.
    pub(crate) rooms: Rooms,
    /// How fast each node may send.
    pub(crate) rates: Rates,
    access: Access,
    state: Mutex<State>,
    /// Apart from the rest, because every frame looks here.
    /// In the order in which they came, so that what all are told is told in the same order in each run of a simulation.
    nodes: RwLock<BTreeMap<NodeId, NodeLink>>,
    streams: Streams,
    /// Nothing is under way any more.
    settled: Notify,
    /// A node has joined, or offers more.
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    directory: Directory,
    router: Router,
    judge: Judge,
    /// How many item streams are under way.
    streams: usize,
    draining: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.router.under_way() == 0 && self.streams == 0
    }
}

impl Hub {
    /// One with nobody in it.
    pub(crate) fn new(access: Access, limits: Arc<Limits>, counted: Counted) -> Self {
        let state = State {
            directory: Directory::new(limits.nodes, limits.callbacks_per_node),
            router: Router::new(limits.calls_per_node),
            judge: Judge::new(access.clone(), counted),
            streams: 0,
            draining: false,
        };
        Self {
            rooms: Rooms::new(limits.streams_per_node),
            rates: Rates::new(limits.bytes_per_second_per_node),
            limits,
            access,
            state: Mutex::new(state),
            nodes: RwLock::default(),
            streams: Streams::default(),
            settled: Notify::new(),
            arrived: Notify::new(),
        }
    }

    /// Takes a node in, welcomes it and tells the others.
    pub(crate) fn join(&self, name: String, offers: Vec<Offer>, link: NodeLink) -> Result<Member, Refused> {
        let mut state = self.lock();
        if state.draining {
            return Err(Refused::Stopping);
        }
        directory::check_names(&name, &offers)?;
        let (_, callbacks) = self.allowed(&name, offers.clone());
        if !callbacks.is_empty() {
            return Err(Refused::NotAllowed { name, callbacks });
        }
        let member = state.directory.join(name, offers)?;
        self.streams.end_of_others(&member.name, link.instance);
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let joined = Encoded::from(&ToNode::Joined { member: member.clone() });
        nodes.values().for_each(|other| other.tell(&joined));
        let members = state.directory.members();
        link.tell(&(&ToNode::Welcome { node: member.id, members, terms: self.limits.terms() }).into());
        nodes.insert(member.id, link);
        self.arrived.notify_waiters();
        Ok(member)
    }

    /// Takes a node out and tells the others.
    pub(crate) fn leave(&self, node: NodeId, reason: &str) {
        let mut state = self.lock();
        let State { directory, router, judge, draining, .. } = &mut *state;
        judge.forget(node);
        directory.leave(node);
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        router.lose(node, &Reach { hub: self, directory, judge: RefCell::new(judge), draining: *draining });
        self.tell_all(&ToNode::Left { node, reason: reason.to_owned() });
        self.tell_settled(&state);
    }

    /// Takes in further callbacks of a node and tells everybody, the node itself included.
    /// What the rules do not allow it to offer nobody hears of but the node.
    pub(crate) fn offer(&self, node: NodeId, offers: Vec<Offer>) -> Result<(), Refused> {
        let mut state = self.lock();
        directory::check_callbacks(&offers)?;
        let name = state.directory.name(node).unwrap_or_default().to_owned();
        let (offers, callbacks) = self.allowed(&name, offers);
        if !callbacks.is_empty() {
            let reason = Refused::NotAllowed { name: name.clone(), callbacks: callbacks.clone() }.to_string();
            state.judge.log_offers(&name, &reason);
            if let Some(link) = self.link(node) {
                link.tell(&(&ToNode::OffersRefused { callbacks, reason }).into());
            }
        }
        let offers = state.directory.offer(node, offers)?;
        if offers.is_empty() {
            return Ok(());
        }
        // Under the lock, so that everybody hears of joins, offers and departures in one order.
        self.tell_all(&ToNode::Offered { node, offers });
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Takes the frames that came from a node together.
    pub(crate) fn handle(&self, from: NodeId, mut frames: Drain<'_, Frame>) -> Result<(), Malformed> {
        let mut state = self.lock();
        let State { directory, router, judge, draining, .. } = &mut *state;
        let nodes = Reach { hub: self, directory, judge: RefCell::new(judge), draining: *draining };
        frames.try_for_each(|frame| router.handle(from, frame, &nodes))?;
        self.tell_settled(&state);
        Ok(())
    }

    /// The way from a producer to a node for a stream of this callback, and whether it has to have all items; or why there is none.
    pub(crate) fn receiver(
        &self,
        producer: &Producer,
        node: NodeId,
        callback: CallbackId,
    ) -> Result<(NodeLink, bool), Failure> {
        let mut state = self.lock();
        if state.draining {
            return Err(Failure::Stopping);
        }
        match state.directory.offers(node, callback) {
            Some(true) => {
                let State { directory, judge, .. } = &mut *state;
                if let Some(failure) = judge.forbids_stream(directory, producer, node, callback) {
                    return Err(failure);
                }
                let lossless = state.directory.is_lossless(node, callback);
                self.link(node).map(|link| (link, lossless)).ok_or(Failure::NoNode)
            }
            Some(false) => Err(Failure::NoCallback),
            None => Err(Failure::NoNode),
        }
    }

    /// The way to the caller whose call a node answers with a stream, the number that the caller gave the call, and the callback that
    /// it called; or why there is no such call: it may just have been cancelled, or the rules may have changed since it went out.
    pub(crate) fn answer_by_stream(
        &self,
        callee: NodeId,
        call: CallId,
        caller: NodeId,
    ) -> Result<(NodeLink, CallId, CallbackId), Failure> {
        let mut state = self.lock();
        let State { directory, router, judge, .. } = &mut *state;
        let (call, callback) = router.answer_by_stream(callee, call, caller).ok_or(Failure::Cancelled)?;
        let link = self.link(caller).ok_or(Failure::NoNode)?;
        if let Some(failure) = judge.forbids(directory, caller, Right::Call, callee, callback) {
            let Frame { head, payload } = Frame::failure(call, callee, &failure);
            link.frames.send(&head, &payload);
            return Err(failure);
        }
        Ok((link, call, callback))
    }

    /// The streams that outlive their producers' connections.
    pub(crate) const fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The name that a callback's number stands for.
    pub(crate) fn callback_name(&self, callback: CallbackId) -> Option<String> {
        self.lock().directory.callback_name(callback)
    }

    /// The number that stands for a callback's name, once somebody has offered it.
    pub(crate) fn callback_number(&self, callback: &str) -> Option<CallbackId> {
        self.lock().directory.callback_number(callback)
    }

    /// Waits until a node of this name offers this callback, over another connection than the `lost` one, of which it need not be
    /// known yet that it is: its number and the callback's. Cancel safe.
    pub(crate) async fn wait_for(&self, node: &str, callback: &str, lost: Option<&NodeLink>) -> (NodeId, CallbackId) {
        loop {
            let arrived = self.arrived.notified();
            let offered = self.lock().directory.offered(node, callback);
            if let Some((node, callback)) = offered
                && let Some(link) = self.link(node)
                && lost.is_none_or(|lost| !lost.is_same(&link))
            {
                return (node, callback);
            }
            arrived.await;
        }
    }

    /// Why the rules do not let a node do this with a callback of another, if they do not.
    pub(crate) fn forbids(&self, caller: NodeId, right: Right, node: NodeId, callback: CallbackId) -> Option<Failure> {
        let mut state = self.lock();
        let State { directory, judge, .. } = &mut *state;
        judge.forbids(directory, caller, right, node, callback)
    }

    /// Why the rules do not let a node send a stream to another, if they do not.
    pub(crate) fn forbids_stream(&self, producer: &Producer, node: NodeId, callback: CallbackId) -> Option<Failure> {
        let mut state = self.lock();
        let State { directory, judge, .. } = &mut *state;
        judge.forbids_stream(directory, producer, node, callback)
    }

    /// Tells of each change of the rules from now on.
    pub(crate) fn rule_changes(&self) -> watch::Receiver<u64> {
        self.access.changes()
    }

    /// Logs who offers what no rule allows any more: the offers stay known, and are refused to whoever asks for them.
    pub(crate) fn log_forbidden_offers(&self) {
        for member in self.lock().directory.members() {
            let offers = member.offers.into_iter().map(|offered| offered.offer).collect();
            let (_, callbacks) = self.allowed(&member.name, offers);
            if !callbacks.is_empty() {
                let callbacks = directory::some_of(&callbacks);
                tracing::warn!(
                    node = member.name,
                    callbacks,
                    "offers what no rule allows any more: calls to it are refused"
                );
            }
        }
    }

    /// Logs how many refusals were not logged. To be called at the end of a period.
    pub(crate) fn log_rest(&self) {
        self.lock().judge.log_rest();
    }

    /// What a node may offer, and the names of what it may not.
    fn allowed(&self, node: &str, offers: Vec<Offer>) -> (Vec<Offer>, Vec<String>) {
        let rules = self.access.rules();
        let (allowed, refused): (Vec<_>, Vec<_>) =
            offers.into_iter().partition(|offer| rules.allow(node, Right::Offer, &offer.name));
        (allowed, refused.into_iter().map(|offer| offer.name).collect())
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
        let message = message.into();
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|link| link.tell(&message));
    }

    fn link(&self, node: NodeId) -> Option<NodeLink> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics: tables are changed and messages queued, no foreign code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
