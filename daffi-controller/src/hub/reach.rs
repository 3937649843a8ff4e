//! The nodes as the router sees them: to whom a frame may go, and its way there.

use std::{cell::RefCell, sync::PoisonError};

use daffi_core::{
    transport::CloseCode,
    wire::{
        CallbackId, NodeId,
        failure::{Failure, Right},
        frame::Head,
        limits,
    },
};

use super::Hub;
use crate::{directory::Directory, judge::Judge, router::Nodes};

/// The nodes as the router sees them.
pub(super) struct Reach<'a> {
    pub(super) hub: &'a Hub,
    pub(super) directory: &'a Directory,
    pub(super) judge: RefCell<&'a mut Judge>,
    pub(super) draining: bool,
}

impl Nodes for Reach<'_> {
    fn refuses(&self, caller: NodeId, node: NodeId, callback: CallbackId) -> Option<Failure> {
        if self.draining {
            return Some(Failure::Stopping);
        }
        match self.directory.offers(node, callback) {
            None => Some(Failure::NoNode),
            Some(false) => Some(Failure::NoCallback),
            Some(true) => {
                let forbidden = self.judge.borrow_mut().forbids(self.directory, caller, Right::Call, node, callback);
                if forbidden.is_some() {
                    return forbidden;
                }
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
            let backlog = link.frames.send(head, payload);
            // Calls stop long before, so these are replies; and nobody could tell their callers that there are none.
            if backlog as u64 > self.hub.limits.backlog_per_node {
                link.connection
                    .close(CloseCode::Limit, "more replies wait for this node than `backlog_per_node` allows");
            }
        }
    }
}
