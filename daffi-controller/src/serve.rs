//! A controller from its start to its end.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use daffi_core::transport::{Incoming, Listener};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    access::Access,
    gate::Gate,
    hub::Hub,
    limits::Limits,
    refusals::{Counted, PERIOD},
    session::{FAREWELL, admit},
};

/// Runs a controller on this listener, with this token or access and within these limits, until `stop` holds a grace: from then on it
/// refuses nodes and new work, waits at most that long for what runs, and closes every connection.
pub async fn serve(
    listener: Listener,
    access: impl Into<Access>,
    limits: Limits,
    mut stop: watch::Receiver<Option<Duration>>,
) {
    let mut door = Door::new(listener, access.into(), limits);
    let grace = tokio::select! {
        () = door.keep() => Duration::ZERO,
        stop = stop.wait_for(Option::is_some) => stop.ok().and_then(|grace| *grace).unwrap_or_default(),
    };
    let hub = door.hub.clone();
    hub.drain();
    let finished = tokio::select! {
        idle = timeout(grace, hub.idle()) => idle.is_ok(),
        // Whoever comes now is told that it is too late. Without a listener nobody comes, and nothing can be finished any more.
        () = door.keep() => false,
    };
    tracing::info!(finished, "controller stops");
    hub.close_all(FAREWELL).await;
    door.close().await;
}

/// Where peers come in, and what is done besides while they do.
struct Door {
    listener: Listener,
    gate: Gate,
    access: Access,
    changes: watch::Receiver<u64>,
    hub: Arc<Hub>,
    sessions: JoinSet<()>,
    counted: Counted,
}

impl Door {
    fn new(listener: Listener, access: Access, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let counted = Counted::default();
        let gate = Gate::new(limits.clone(), counted.clone());
        let hub = Arc::new(Hub::new(access.clone(), limits, counted.clone()));
        let (changes, sessions) = (access.changes(), JoinSet::new());
        Self { listener, gate, access, changes, hub, sessions, counted }
    }

    /// Takes peers in until the listener is closed, and lets go of what is left of those who are gone. Cancel safe.
    async fn keep(&mut self) {
        let mut counting = pin!(log_rests(self.gate.clone(), self.hub.clone(), self.counted.clone()));
        loop {
            tokio::select! {
                incoming = self.listener.accept() => match incoming {
                    Some(incoming) => self.take_in(incoming),
                    None => return,
                },
                Some(_) = self.sessions.join_next() => {}
                Ok(()) = self.changes.changed() => self.hub.log_forbidden_offers(),
                never = &mut counting => match never {},
            }
        }
    }

    fn take_in(&mut self, incoming: Incoming) {
        if let Some((incoming, unfinished)) = self.gate.pass(incoming) {
            self.sessions.spawn(admit(incoming, unfinished, self.hub.clone(), self.access.clone()));
        }
    }

    async fn close(mut self) {
        self.listener.close().await;
        // Sessions end with their connections.
        let _ = timeout(FAREWELL, async { while self.sessions.join_next().await.is_some() {} }).await;
        log_rest(&self.gate, &self.hub);
    }
}

/// Logs at the end of each period in which something was counted how much of it was not logged.
async fn log_rests(gate: Gate, hub: Arc<Hub>, counted: Counted) -> Infallible {
    loop {
        log_rest(&gate, &hub);
        counted.notified().await;
        sleep(PERIOD).await;
    }
}

fn log_rest(gate: &Gate, hub: &Hub) {
    gate.log_rest();
    hub.log_rest();
}

#[cfg(test)]
mod tests {
    use daffi_core::transport::{JoinToken, memory::Network};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_leaves_nothing_behind_also_while_the_controller_drains() {
        let (network, token) = (Network::new(), JoinToken::generate([7; 32]));
        let listener = Listener::Memory(network.listen("controller"));
        let mut door = Door::new(listener, token.into(), Limits::default());
        for draining in [false, true] {
            if draining {
                door.hub.drain();
            }
            for number in 0..100 {
                drop(network.connect(&format!("stranger-{number}"), "controller"));
            }
            // With a paused clock it is over when nothing moves any more.
            assert!(timeout(PERIOD * 10, door.keep()).await.is_err());
            assert_eq!(door.sessions.len(), 0);
        }
    }
}
