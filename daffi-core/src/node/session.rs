//! A node's connection to its controller: made, kept, lost, and made again.

mod attempt;
mod link;

use std::{sync::Arc, time::Duration, vec::Drain};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub(super) use self::attempt::Attempt;
pub(crate) use self::{attempt::Target, link::Link};
use super::{
    Inner, State, credentials::Credentials, directory::Directory, error::JoinError, event::Event, invoke,
    stream::receive,
};
use crate::{
    link::{Intake, LaneWriter, LinkError, Reader, receive_frames},
    transport::{CloseCode, ConnectionLost, SendStream, StreamLost},
    wire::{
        Malformed, NodeId,
        control::{Member, ToController, ToNode},
        frame::Frame,
        message,
    },
};

/// How long a leaving node waits for the controller to take note.
const FAREWELL: Duration = Duration::from_secs(1);

/// Joins, and joins again whenever the connection is lost, until the node stops. `joined` hears of the first time.
pub(crate) async fn keep(
    inner: Arc<Inner>,
    target: Target,
    credentials: Credentials,
    joined: oneshot::Sender<Result<(), JoinError>>,
) {
    let mut joined = Some(joined);
    let ended = loop {
        let patience = if joined.is_some() { Some(inner.connect_timeout) } else { None };
        let session = tokio::select! {
            session = attempt::join(&inner, &target, &credentials, patience) => session,
            () = inner.stopping.cancelled() => break Ok(()),
        };
        let mut session = match session {
            Ok(session) => session,
            Err(error) => match joined.take() {
                Some(joined) => {
                    let reason = error.to_string();
                    let _ = joined.send(Err(error));
                    break Err(reason);
                }
                None => break Err(error.to_string()),
            },
        };
        let link = session.link.clone();
        session.enter(&inner);
        inner.announce(Event::Connected);
        if let Some(joined) = joined.take() {
            let _ = joined.send(Ok(()));
        }
        let lost = tokio::select! {
            lost = session.run(&inner) => lost,
            () = inner.stopping.cancelled() => {
                link.connection.close(CloseCode::Done, "it stopped");
                ConnectionLost::ClosedHere
            }
        };
        link.end_all();
        inner.leave();
        if lost == ConnectionLost::ClosedHere
            && let Some(socket) = &link.socket
        {
            // The controller is told why.
            socket.close().await;
        }
        let reason = lost.to_string();
        inner.announce(Event::Disconnected { reason: reason.clone() });
        if inner.leaving.is_cancelled() || inner.stopping.is_cancelled() {
            break Ok(());
        }
        if !inner.reconnect {
            let told = matches!(lost, ConnectionLost::ClosedByPeer { code: CloseCode::Stopping, .. });
            break if told { Ok(()) } else { Err(reason) };
        }
        tracing::warn!(node = inner.name, reason, "lost the controller; trying to join again");
    };
    // Schedules end with their node, however it ends.
    inner.stopping.cancel();
    inner.state.send_replace(State::Ended(ended));
}

/// A session that has begun.
struct Session {
    link: Arc<Link>,
    /// The node's own number, and everybody who was there at the welcome.
    node: NodeId,
    members: Vec<Member>,
    send: SendStream,
    receive: Reader,
    messages: mpsc::UnboundedReceiver<ToController>,
    lane: LaneWriter,
}

impl Session {
    /// Makes the session the node's present one. The connection comes before the directory: whoever waits for a name there calls
    /// it at once.
    fn enter(&mut self, inner: &Inner) {
        let members = std::mem::take(&mut self.members);
        let own = members.iter().find(|member| member.id == self.node);
        let offered = own.map(|member| member.offers.clone()).unwrap_or_default();
        inner.registry.number(&offered, true);
        inner.enter(self.link.clone());
        // What was offered to the node after its hello went out.
        let mut late = inner.registry.offers();
        late.retain(|offer| offered.iter().all(|known| known.offer.name != offer.name));
        if !late.is_empty() {
            let _ = self.link.control.send(ToController::Offer { offers: late });
        }
        inner.directory.send_replace(Directory::welcome(self.node, members));
    }

    /// Serves the connection until it is gone, or the node stops; why it is gone.
    async fn run(self, inner: &Arc<Inner>) -> ConnectionLost {
        let Self { link, send, receive, messages, lane, .. } = self;
        let connection = &link.connection;
        let deliver = {
            let (inner, link) = (inner.clone(), link.clone());
            move |frames: Drain<'_, Frame>| invoke::handle(&inner, &link, frames)
        };
        let error: LinkError = tokio::select! {
            error = read_control(receive, inner, &link) => error,
            lost = write_control(send, messages) => lost.into(),
            lost = lane.run(connection.clone()) => lost.into(),
            error = receive_frames(connection, Intake::default(), deliver) => error,
            error = receive::accept(inner, &link) => error,
        };
        match error {
            LinkError::Malformed(malformed) => {
                tracing::error!(node = inner.name, %malformed, "the controller makes no sense");
                connection.close(CloseCode::Malformed, malformed.0);
                ConnectionLost::Failed(malformed.to_string())
            }
            LinkError::Lost(lost) => {
                let why = timeout(FAREWELL, connection.closed()).await;
                connection.close(CloseCode::Done, "done");
                why.unwrap_or_else(|_| ConnectionLost::Failed(lost.to_string()))
            }
        }
    }
}

async fn read_control(mut receive: Reader, inner: &Inner, link: &Link) -> LinkError {
    loop {
        match receive.message().await {
            Ok(Some(message)) => take_control(message, inner, link),
            Ok(None) => return Malformed("the controller ended the control stream").into(),
            Err(error) => return error,
        }
    }
}

fn take_control(message: ToNode, inner: &Inner, link: &Link) {
    match message {
        ToNode::Joined { member } => {
            let node = member.name.clone();
            inner.directory.send_modify(|directory| directory.joined(member));
            inner.announce(Event::NodeJoined { node });
        }
        ToNode::Offered { node, offers } => {
            let mut name = None;
            let callbacks = offers.iter().map(|offered| offered.offer.name.clone()).collect();
            inner.directory.send_modify(|directory| {
                if directory.is_own(node) {
                    inner.registry.number(&offers, false);
                }
                name = directory.offered(node, offers);
            });
            if let Some(node) = name {
                inner.announce(Event::CallbacksOffered { node, callbacks });
            }
        }
        ToNode::Left { node, reason } => {
            let mut name = None;
            inner.directory.send_modify(|directory| name = directory.left(node));
            if let Some(node) = name {
                inner.announce(Event::NodeLeft { node, reason });
            }
        }
        ToNode::OffersRefused { callbacks, reason } => {
            inner.registry.forget(&callbacks);
            tracing::warn!(node = inner.name, ?callbacks, reason, "the controller refused callbacks");
            inner.announce(Event::OffersRefused { callbacks, reason });
        }
        ToNode::Probe => drop(link.control.send(ToController::Alive)),
        ToNode::Draining => inner.announce(Event::ControllerStopping),
        ToNode::Welcome { .. } | ToNode::Unknown => {}
    }
}

async fn write_control(mut send: SendStream, mut messages: mpsc::UnboundedReceiver<ToController>) -> StreamLost {
    while let Some(message) = messages.recv().await {
        let mut bytes = Vec::new();
        message::put(&message, &mut bytes);
        if let Err(lost) = send.write(&mut [Bytes::from(bytes)]).await {
            return lost;
        }
        if message == ToController::Leave {
            // The controller closes the connection when it has taken note.
            std::future::pending::<()>().await;
        }
    }
    StreamLost::Stopped
}
