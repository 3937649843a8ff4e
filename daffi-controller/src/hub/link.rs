//! The way to a node: its connection, and what it is told over that.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use daffi_core::{
    link::{FrameSender, Throttle},
    transport::{CloseCode, Connection, ConnectionLost},
    wire::control::ToNode,
};
use tokio::sync::Notify;

use super::control::{self, Control, Encoded, Messages};

/// The way to a node.
#[derive(Debug, Clone)]
pub(crate) struct NodeLink {
    pub(crate) connection: Connection,
    pub(crate) frames: FrameSender,
    control: Control,
    /// The node has answered a probe.
    pub(crate) alive: Arc<Notify>,
    /// How fast it may send.
    pub(crate) throttle: Throttle,
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
        throttle: Throttle,
        name: &str,
        instance: u64,
    ) -> (Self, Messages) {
        let (control, messages) = control::queue();
        let (alive, gone) = (Arc::default(), Arc::default());
        (Self { connection, frames, control, alive, throttle, name: name.into(), instance, gone }, messages)
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

    /// Asks the node to show that it is alive.
    pub(crate) fn probe(&self) {
        self.tell(&(&ToNode::Probe).into());
    }

    pub(super) fn tell(&self, message: &Encoded) {
        if self.control.tell(message).is_err() {
            self.connection.close(CloseCode::Limit, "control messages are read too slowly");
        }
    }
}
