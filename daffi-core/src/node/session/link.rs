//! A connection that has joined.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    link::FrameSender,
    transport::{Connection, quic::Connector},
    wire::{
        CallId,
        control::{Terms, ToController},
    },
};

/// A connection that has joined.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) frames: FrameSender,
    pub(crate) control: mpsc::UnboundedSender<ToController>,
    /// What the controller lets this node have.
    pub(crate) terms: Terms,
    running: Mutex<Running>,
    /// Everything that belongs to this connection ends with it.
    pub(crate) ended: CancellationToken,
    /// The socket of a connection over UDP.
    pub(super) socket: Option<Connector>,
}

/// The callbacks that run for others.
#[derive(Debug, Default)]
struct Running {
    /// By the number of their call. No children of the connection's token: of many at a time each would have to change the parent.
    calls: HashMap<CallId, CancellationToken>,
    /// The connection has ended: nobody wants any of them.
    over: bool,
}

impl Link {
    pub(super) fn new(
        connection: Connection,
        socket: Option<Connector>,
        frames: FrameSender,
        control: mpsc::UnboundedSender<ToController>,
        terms: Terms,
    ) -> Self {
        Self { connection, frames, control, terms, running: Mutex::default(), ended: CancellationToken::new(), socket }
    }

    /// Notes a callback that is about to run; the token tells when nobody wants it any more. And whether it is the only one.
    pub(crate) fn begin(&self, id: CallId) -> (CancellationToken, bool) {
        let cancelled = CancellationToken::new();
        let mut running = self.running();
        if running.over {
            cancelled.cancel();
        }
        running.calls.insert(id, cancelled.clone());
        (cancelled, running.calls.len() == 1)
    }

    /// Forgets a callback that has run; whether no other is running.
    pub(crate) fn end(&self, id: CallId) -> bool {
        let mut running = self.running();
        running.calls.remove(&id);
        running.calls.is_empty()
    }

    pub(crate) fn cancel(&self, id: CallId) {
        let cancelled = self.running().calls.remove(&id);
        if let Some(cancelled) = cancelled {
            cancelled.cancel();
        }
    }

    /// Ends everything that belongs to this connection.
    pub(super) fn end_all(&self) {
        self.ended.cancel();
        let calls = {
            let mut running = self.running();
            running.over = true;
            std::mem::take(&mut running.calls)
        };
        let mut calls: Vec<_> = calls.into_iter().collect();
        // In the order in which they came.
        calls.sort_unstable_by_key(|(id, _)| *id);
        calls.iter().for_each(|(_, call)| call.cancel());
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // Single insertions and removals: a panic leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
