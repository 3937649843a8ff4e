//! Where each frame goes. Plain data: frames in, frames out, no tasks, no connections.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use daffi_core::wire::{
    CallId, CallbackId, Malformed, NodeId,
    failure::Failure,
    frame::{Ask, Frame, Head},
    limits::MAX_EARLY_CANCELS,
};
use slab::Slab;

/// Which call is under way between whom.
#[derive(Debug)]
pub(crate) struct Router {
    routes: Slab<Route>,
    callers: HashMap<NodeId, Caller>,
    /// Told apart from older routes in the same place of the slab.
    next_tag: u32,
    /// How many routes a caller may have.
    allowed: usize,
}

/// What a node has asked for.
#[derive(Debug, Default)]
struct Caller {
    /// The routes of each call: one, or one for each node of a broadcast.
    calls: HashMap<CallId, Vec<usize>>,
    /// How many routes that are.
    routes: usize,
    early_cancels: EarlyCancels,
}

#[derive(Debug)]
struct Route {
    caller: NodeId,
    call: CallId,
    callee: NodeId,
    callback: CallbackId,
    tag: u32,
}

/// Cancellations that came before their calls: a large call has a stream of its own and may be overtaken.
#[derive(Debug, Default)]
struct EarlyCancels {
    calls: HashSet<CallId>,
    order: VecDeque<CallId>,
}

/// The tag's share of a route's number, so that the number stays below 2^53.
const TAG_BITS: u32 = 20;

/// What the router asks about nodes, and what it tells them.
pub(crate) trait Nodes {
    /// Why a call of this callback cannot go from the one node to the other, if it cannot.
    fn refuses(&self, caller: NodeId, node: NodeId, callback: CallbackId) -> Option<Failure>;
    /// Sends a frame to a node; one that is gone is no error.
    fn deliver(&self, node: NodeId, head: &Head, payload: &[u8]);
}

impl Router {
    /// One that lets each node have so many calls under way.
    pub(crate) fn new(allowed: usize) -> Self {
        Self { routes: Slab::new(), callers: HashMap::new(), next_tag: 0, allowed }
    }

    /// Takes a frame from a node and sends what follows from it.
    pub(crate) fn handle(&mut self, from: NodeId, frame: Frame, nodes: &impl Nodes) -> Result<(), Malformed> {
        let Frame { head, payload } = frame;
        match head {
            Head::Call { id, peer, ask } => self.begin(from, id, &[peer], nodes, ask, &payload),
            Head::Broadcast { id, targets, ask } => self.begin(from, id, &targets, nodes, ask, &payload),
            Head::Reply { id, status, node: _ } => {
                // A reply to a call that was cancelled meanwhile is no fault of the node's.
                if let Some(route) = self.end_route(from, id) {
                    let head = Head::Reply { id: route.call, node: from, status };
                    nodes.deliver(route.caller, &head, &payload);
                }
                Ok(())
            }
            Head::Cancel { id } => {
                let caller = self.callers.entry(from).or_default();
                match caller.calls.remove(&id) {
                    Some(keys) => {
                        caller.routes -= keys.len();
                        self.cancel(&keys, nodes);
                    }
                    None => caller.early_cancels.remember(id),
                }
                Ok(())
            }
        }
    }

    /// Ends what a lost node had to do with: its callers get an answer, and what it asked for is cancelled.
    pub(crate) fn lose(&mut self, node: NodeId, nodes: &impl Nodes) {
        let (mut unanswered, mut unwanted) = (Vec::new(), Vec::new());
        for (key, route) in &self.routes {
            if route.caller == node {
                unwanted.push(key);
            } else if route.callee == node {
                unanswered.push((number(key, route.tag), route.callee));
            }
        }
        self.callers.remove(&node);
        self.cancel(&unwanted, nodes);
        for (id, callee) in unanswered {
            if let Some(route) = self.end_route(callee, id) {
                fail(route.caller, route.call, callee, &Failure::NodeLost, nodes);
            }
        }
    }

    /// Lets a stream of results take the place of the answer to a call: the number that `caller` gave the call, and the callback that
    /// it called, if there is such a call. From here on it is no call any more, and the end of the stream is its cancellation.
    pub(crate) fn answer_by_stream(
        &mut self,
        callee: NodeId,
        id: CallId,
        caller: NodeId,
    ) -> Option<(CallId, CallbackId)> {
        self.find_route(callee, id).filter(|route| route.caller == caller)?;
        self.end_route(callee, id).map(|route| (route.call, route.callback))
    }

    /// How many calls are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.routes.len()
    }

    fn begin(
        &mut self,
        caller: NodeId,
        call: CallId,
        targets: &[NodeId],
        nodes: &impl Nodes,
        ask: Ask,
        payload: &Bytes,
    ) -> Result<(), Malformed> {
        let own = self.callers.entry(caller).or_default();
        if own.early_cancels.forget(call) {
            return Ok(());
        }
        if own.calls.contains_key(&call) {
            return Err(Malformed("a call with the number of another"));
        }
        if own.routes.saturating_add(targets.len()) > self.allowed {
            let failure = Failure::Limit { name: "calls_per_node".into(), allowed: self.allowed as u64 };
            targets.iter().for_each(|callee| fail(caller, call, *callee, &failure, nodes));
            return Ok(());
        }
        let mut keys = Vec::with_capacity(targets.len());
        for callee in targets {
            if let Some(failure) = nodes.refuses(caller, *callee, ask.callback) {
                fail(caller, call, *callee, &failure, nodes);
                continue;
            }
            self.next_tag = (self.next_tag + 1) & ((1 << TAG_BITS) - 1);
            let (callee, callback, tag) = (*callee, ask.callback, self.next_tag);
            let key = self.routes.insert(Route { caller, call, callee, callback, tag });
            keys.push(key);
            let head = Head::Call { id: number(key, tag), peer: caller, ask };
            nodes.deliver(callee, &head, payload);
        }
        if !keys.is_empty() {
            own.routes += keys.len();
            own.calls.insert(call, keys);
        }
        Ok(())
    }

    fn end_route(&mut self, callee: NodeId, id: CallId) -> Option<Route> {
        self.find_route(callee, id)?;
        let key = place(id);
        let route = self.routes.remove(key);
        if let Some(caller) = self.callers.get_mut(&route.caller)
            && let Some(keys) = caller.calls.get_mut(&route.call)
        {
            keys.retain(|other| *other != key);
            caller.routes -= 1;
            if keys.is_empty() {
                caller.calls.remove(&route.call);
            }
        }
        Some(route)
    }

    fn find_route(&self, callee: NodeId, id: CallId) -> Option<&Route> {
        let route = self.routes.get(place(id))?;
        (route.callee == callee && number(place(id), route.tag) == id).then_some(route)
    }

    fn cancel(&mut self, keys: &[usize], nodes: &impl Nodes) {
        for key in keys {
            if let Some(route) = self.routes.try_remove(*key) {
                nodes.deliver(route.callee, &Head::Cancel { id: number(*key, route.tag) }, &[]);
            }
        }
    }
}

impl EarlyCancels {
    fn remember(&mut self, call: CallId) {
        if self.order.len() == MAX_EARLY_CANCELS
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
        if self.calls.insert(call) {
            self.order.push_back(call);
        }
    }

    fn forget(&mut self, call: CallId) -> bool {
        // Nearly always.
        if self.calls.is_empty() {
            return false;
        }
        let known = self.calls.remove(&call);
        if known {
            self.order.retain(|other| *other != call);
        }
        known
    }
}

/// A route's number on the way to its callee: its place, and a tag that changes with every use of the place.
fn number(key: usize, tag: u32) -> CallId {
    u64::from(tag) << 32 | key as u64
}

/// The place in a route's number.
const fn place(id: CallId) -> usize {
    (id & u32::MAX as u64) as usize
}

fn fail(caller: NodeId, call: CallId, callee: NodeId, failure: &Failure, nodes: &impl Nodes) {
    let frame = Frame::failure(call, callee, failure);
    nodes.deliver(caller, &frame.head, &frame.payload);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use daffi_core::wire::frame::Status;
    use proptest::prelude::*;

    use super::*;

    /// Nodes 1 to 4, of which 4 offers nothing.
    #[derive(Default)]
    struct Recorder(RefCell<Vec<(NodeId, Head)>>);

    impl Nodes for Recorder {
        fn refuses(&self, _: NodeId, node: NodeId, _: CallbackId) -> Option<Failure> {
            match node {
                1..=3 => None,
                4 => Some(Failure::NoCallback),
                _ => Some(Failure::NoNode),
            }
        }

        fn deliver(&self, node: NodeId, head: &Head, _: &[u8]) {
            self.0.borrow_mut().push((node, head.clone()));
        }
    }

    impl Recorder {
        fn take(&self) -> Vec<(NodeId, Head)> {
            self.0.take()
        }
    }

    const ASK: Ask = Ask { callback: 7, budget: None, trace: None };

    fn frame(head: Head) -> Frame {
        Frame { head, payload: Bytes::new() }
    }

    fn call(id: CallId, peer: NodeId) -> Frame {
        frame(Head::Call { id, peer, ask: ASK })
    }

    fn reply(id: CallId) -> Frame {
        frame(Head::Reply { id, node: 0, status: Status::Value })
    }

    fn routed(sent: &[(NodeId, Head)]) -> CallId {
        match sent {
            [(_, Head::Call { id, .. })] => *id,
            other => panic!("expected one call, got {other:?}"),
        }
    }

    #[test]
    fn a_reply_finds_its_caller_once() {
        let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
        router.handle(1, call(9, 2), &nodes).unwrap();
        let id = routed(&nodes.take());
        router.handle(3, reply(id), &nodes).unwrap();
        assert_eq!(nodes.take(), [], "node 3 was not asked");
        router.handle(2, reply(id), &nodes).unwrap();
        assert_eq!(nodes.take(), [(1, Head::Reply { id: 9, node: 2, status: Status::Value })]);
        router.handle(2, reply(id), &nodes).unwrap();
        assert_eq!(nodes.take(), []);
        assert_eq!(router.under_way(), 0);
    }

    #[test]
    fn a_stream_takes_the_place_of_a_reply_once() {
        let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
        router.handle(1, call(9, 2), &nodes).unwrap();
        let id = routed(&nodes.take());
        assert_eq!(router.answer_by_stream(3, id, 1), None, "node 3 was not asked");
        assert_eq!(router.answer_by_stream(2, id, 3), None, "node 3 did not ask");
        assert_eq!(router.answer_by_stream(2, id, 1), Some((9, ASK.callback)));
        assert_eq!((router.answer_by_stream(2, id, 1), router.under_way()), (None, 0));
        router.handle(2, reply(id), &nodes).unwrap();
        assert_eq!(nodes.take(), []);
    }

    #[test]
    fn a_late_reply_does_not_reach_a_newer_call_in_the_same_place() {
        let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
        router.handle(1, call(1, 2), &nodes).unwrap();
        let old = routed(&nodes.take());
        router.handle(1, frame(Head::Cancel { id: 1 }), &nodes).unwrap();
        router.handle(1, call(2, 2), &nodes).unwrap();
        nodes.take();
        router.handle(2, reply(old), &nodes).unwrap();
        assert_eq!(nodes.take(), []);
        assert_eq!(router.under_way(), 1);
    }

    #[test]
    fn a_broadcast_gets_an_answer_for_every_target() {
        let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
        let targets = vec![2, 3, 4, 5];
        router.handle(1, frame(Head::Broadcast { id: 9, targets, ask: ASK }), &nodes).unwrap();
        let sent = nodes.take();
        let failed =
            sent.iter().filter(|(_, head)| matches!(head, Head::Reply { status: Status::Failure, .. })).count();
        assert_eq!((sent.len(), failed), (4, 2));
        router.lose(2, &nodes);
        assert_eq!(nodes.take(), [(1, Head::Reply { id: 9, node: 2, status: Status::Failure })]);
        router.lose(1, &nodes);
        assert!(matches!(nodes.take().as_slice(), [(3, Head::Cancel { .. })]));
        assert_eq!(router.under_way(), 0);
    }

    #[test]
    fn a_cancellation_that_overtakes_its_call_counts() {
        let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
        router.handle(1, frame(Head::Cancel { id: 9 }), &nodes).unwrap();
        router.handle(1, call(9, 2), &nodes).unwrap();
        assert_eq!(nodes.take(), []);
    }

    #[test]
    fn a_caller_has_as_many_calls_as_it_may_and_not_one_more() {
        let (mut router, nodes) = (Router::new(3), Recorder::default());
        router.handle(1, call(1, 2), &nodes).unwrap();
        let first = routed(&nodes.take());
        router.handle(1, frame(Head::Broadcast { id: 2, targets: vec![2, 3], ask: ASK }), &nodes).unwrap();
        assert_eq!(nodes.take().len(), 2);
        let refused = |id, node| (1, Head::Reply { id, node, status: Status::Failure });
        router.handle(1, call(3, 2), &nodes).unwrap();
        assert_eq!(nodes.take(), [refused(3, 2)]);
        router.handle(2, call(1, 1), &nodes).unwrap();
        assert!(matches!(nodes.take().as_slice(), [(1, Head::Call { .. })]), "another has its own");
        router.handle(2, reply(first), &nodes).unwrap();
        nodes.take();
        router.handle(1, frame(Head::Broadcast { id: 4, targets: vec![2, 3], ask: ASK }), &nodes).unwrap();
        assert_eq!(nodes.take(), [refused(4, 2), refused(4, 3)], "all or none");
        router.handle(1, call(5, 2), &nodes).unwrap();
        assert!(matches!(nodes.take().as_slice(), [(2, Head::Call { .. })]));
        router.handle(1, frame(Head::Cancel { id: 2 }), &nodes).unwrap();
        router.handle(1, call(6, 2), &nodes).unwrap();
        assert!(matches!(nodes.take().as_slice(), [.., (2, Head::Call { .. })]), "what was cancelled makes room");
    }

    proptest! {
        /// Whatever several nodes send: the router never panics, and once all of them are gone it holds nothing.
        #[test]
        fn nothing_is_left_when_all_are_gone(
            steps in prop::collection::vec((1u32..5, 0u8..4, 0u64..6, 0u32..6), 0..200),
        ) {
            let (mut router, nodes) = (Router::new(usize::MAX), Recorder::default());
            let mut routed = Vec::new();
            for (from, kind, id, peer) in steps {
                let frame = match kind {
                    0 => call(id, peer),
                    1 => frame(Head::Broadcast { id, targets: vec![peer, 1, 2], ask: ASK }),
                    2 => reply(routed.get(id as usize).copied().unwrap_or(id)),
                    _ => frame(Head::Cancel { id }),
                };
                let _ = router.handle(from, frame, &nodes);
                for (_, head) in nodes.take() {
                    if let Head::Call { id, .. } = head {
                        routed.insert(0, id);
                    }
                }
            }
            (1..5).for_each(|node| router.lose(node, &nodes));
            prop_assert_eq!(router.under_way(), 0);
            prop_assert!(router.callers.is_empty());
        }
    }
}
