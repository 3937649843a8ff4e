//! A node's connection from its first byte to its last.

use std::{sync::Arc, time::Duration, vec::Drain};

use bytes::Bytes;
use daffi_core::{
    link::{FrameSender, Intake, LinkError, Reader, Throttle, receive_frames},
    transport::{CloseCode, Connection, ConnectionLost, Incoming, Priority, SendStream},
    wire::{
        Malformed, NodeId, StreamKind,
        control::ToController,
        frame::Frame,
        limits::{self, CONTROL_RATE, MAX_CONTROL},
        preamble,
    },
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    access::Access,
    directory::{Refused, beginning, some_of},
    fanout,
    gate::Unfinished,
    hub::{Hub, Messages, NodeLink, Producer},
};

/// How long the holder of a name has to show that it is alive, when another node asks for the name. A node that was killed
/// and started again need not wait for [`limits::SILENCE`] then.
const PROBE: Duration = Duration::from_millis(500);

/// How many control messages of a node are read before others have their turn, who are told of them.
const TOGETHER: u32 = 64;

/// How long a closed connection lingers, so that the peer learns why.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// Why a peer was not let in.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error(
        "this controller speaks version {ours} of the daffi protocol and the node speaks {theirs}: upgrade the older of the two"
    )]
    Version { ours: u16, theirs: u16 },
    #[error(
        "the join token is not this controller's: give the node the one that `daffi-controller token` prints; if it was made just now, \
         have the controller reload first (SIGHUP)"
    )]
    Token,
    #[error(
        "the certificate that the node has shown names {}, and not {node:?}: give it one of its own, as \
         `daffi-controller cert node NAME` makes it", some_of(.names)
    )]
    Certificate { node: String, names: Vec<String> },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no valid hello within {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl Rejected {
    const fn code(&self) -> CloseCode {
        match self {
            Self::Version { .. } => CloseCode::Version,
            Self::Token => CloseCode::Token,
            Self::Certificate { .. } => CloseCode::Certificate,
            Self::Refused(Refused::NotAllowed { .. }) => CloseCode::NotAllowed,
            Self::Refused(Refused::NameTaken(_)) => CloseCode::NameTaken,
            Self::Refused(Refused::NodeName { .. } | Refused::CallbackName { .. }) => CloseCode::InvalidName,
            Self::Refused(Refused::TooManyCallbacks { .. } | Refused::TooManyNodes(_) | Refused::DirectoryFull) => {
                CloseCode::Limit
            }
            Self::Refused(Refused::Stopping) => CloseCode::Stopping,
            Self::Silent(_) => CloseCode::Silent,
            Self::Link(_) => CloseCode::Malformed,
        }
    }
}

/// Lets a peer in, or says why not, and serves the node until it is gone.
pub(crate) async fn admit(incoming: Incoming, unfinished: Unfinished, hub: Arc<Hub>, access: Access) {
    let (began, patience) = (Instant::now(), hub.limits.handshake_time);
    let peer = incoming.peer();
    let established = timeout(patience, incoming.establish(hub.limits.silence)).await;
    let connection = match established.unwrap_or(Err(ConnectionLost::TimedOut)) {
        Ok(connection) => connection,
        Err(lost) => {
            if unfinished.is_to_be_logged() {
                tracing::warn!(%peer, %lost, "a connection was not established");
            }
            return;
        }
    };
    let peer = connection.peer();
    let joining = join(&connection, &hub, &access);
    let joined = timeout_at(began + patience, joining).await.unwrap_or(Err(Rejected::Silent(patience)));
    let session = match joined {
        Ok(session) => session,
        Err(rejected) => {
            if unfinished.is_to_be_logged() {
                tracing::warn!(%peer, reason = %rejected, "refused a node");
            }
            connection.close(rejected.code(), &rejected.to_string());
            return;
        }
    };
    drop(unfinished);
    let (node, name) = (session.producer.node, session.producer.name.clone());
    tracing::info!(%peer, node, name, "node joined");
    let reason = session.run(&connection, &hub).await;
    tracing::info!(%peer, node, name, reason, "node left");
    hub.leave(node, &reason);
}

/// A node that was let in.
struct Session {
    producer: Producer,
    link: NodeLink,
    send: SendStream,
    receive: Reader,
    messages: Messages,
    lane: daffi_core::link::LaneWriter,
}

async fn join(connection: &Connection, hub: &Hub, access: &Access) -> Result<Session, Rejected> {
    let (mut send, receive) = connection.accept_bi().await.map_err(LinkError::from)?;
    send.set_priority(Priority::Control);
    let mut receive = Reader::new(receive);
    let [kind] = receive.bytes().await?;
    if StreamKind::from_byte(kind).map_err(LinkError::from)? != StreamKind::Control {
        return Err(LinkError::from(Malformed("the first stream is not the control stream")).into());
    }
    let version = preamble::decode(receive.bytes().await?).map_err(LinkError::from)?;
    // Whoever speaks daffi at all is told which version this is.
    let own = Bytes::copy_from_slice(&preamble::encode(preamble::VERSION));
    send.write(&mut [own]).await.map_err(LinkError::from)?;
    if version != preamble::VERSION {
        return Err(Rejected::Version { ours: preamble::VERSION, theirs: version });
    }
    let secret: [u8; preamble::SECRET] = receive.bytes().await?;
    if !access.admits(&secret) {
        return Err(Rejected::Token);
    }
    connection.admit(hub.limits.open_streams());
    let hello = receive.message().await?;
    let Some(ToController::Hello { name, offers, software, instance }) = hello else {
        return Err(LinkError::from(Malformed("the first message is not a hello")).into());
    };
    tracing::debug!(name = beginning(&name), software = beginning(&software), offers = offers.len(), "hello");
    // Before the name is looked at: a node that has a certificate may not so much as ask for another's.
    if let Some(certificate) = connection.peer_certificate()
        && !certificate.names(&name)
    {
        return Err(Rejected::Certificate { node: beginning(&name).to_owned(), names: certificate.all_names() });
    }

    let (frames, lane) = FrameSender::new();
    let throttle = hub.rates.of(&name);
    // Not the node's: who sends much shows all the same that it is alive, and leaves when it says so.
    receive.set_throttle(Throttle::with_burst(CONTROL_RATE, MAX_CONTROL as u64));
    let (link, messages) = NodeLink::new(connection.clone(), frames, throttle, &name, instance);
    let member = match hub.join(name, offers.clone(), link.clone()) {
        Err(Refused::NameTaken(name)) => {
            if is_held(hub, &name, instance).await {
                return Err(Refused::NameTaken(name).into());
            }
            hub.join(name, offers, link.clone())?
        }
        other => other?,
    };
    let producer = Producer { node: member.id, name: member.name };
    Ok(Session { producer, link, send, receive, messages, lane })
}

/// Whether another than this instance holds a name, and answers. One that does not answer loses its connection, and with it the name.
async fn is_held(hub: &Hub, name: &str, instance: u64) -> bool {
    let Some(holder) = hub.named(name) else {
        return false;
    };
    if instance != 0 && holder.instance == instance {
        // It is back before its old connection was missed.
        holder.connection.close(CloseCode::NameTaken, "the node joined again over another connection");
        until_free(hub, name, &holder).await;
        return false;
    }
    let answered = holder.alive.notified();
    let patience = PROBE.max(holder.connection.rtt() * 4).min(limits::HANDSHAKE / 2);
    holder.probe();
    if timeout(patience, answered).await.is_ok() {
        return true;
    }
    holder.set_gone();
    holder.connection.close(CloseCode::NameTaken, "another node took this name while this one did not answer");
    until_free(hub, name, &holder).await;
    false
}

/// Its session notices that the connection is closed, and takes the holder of the name out of the directory.
async fn until_free(hub: &Hub, name: &str, holder: &NodeLink) {
    while hub.named(name).is_some_and(|link| link.is_same(holder)) {
        tokio::task::yield_now().await;
    }
}

impl Session {
    /// Serves the node until it is gone; why it is.
    async fn run(self, connection: &Connection, hub: &Arc<Hub>) -> String {
        let Self { producer, link, send, receive, messages, lane } = self;
        let node = producer.node;
        let payload = usize::try_from(hub.limits.message_size).unwrap_or(usize::MAX);
        let intake = Intake { payload, throttle: link.throttle.clone(), answers: Some(link.frames.clone()) };
        let deliver = {
            let hub = hub.clone();
            move |frames: Drain<'_, Frame>| hub.handle(node, frames)
        };
        let ended = tokio::select! {
            ended = read_control(receive, connection, node, hub, &link.alive) => ended,
            lost = messages.write(send) => Err(lost.into()),
            lost = lane.run(connection.clone()) => Err(lost.into()),
            error = receive_frames(connection, intake, deliver) => Err(error),
            error = fanout::accept(&producer, &link, hub) => Err(error),
        };
        match ended {
            Ok(()) => {
                link.set_gone();
                // The node has sent everything that it had to say before its farewell.
                connection.close(CloseCode::Done, "it left");
                "it left".into()
            }
            Err(LinkError::Malformed(malformed)) => {
                connection.close(CloseCode::Malformed, malformed.0);
                malformed.to_string()
            }
            // A stream fails when its connection does, and the connection knows why.
            Err(LinkError::Lost(_)) => match timeout(FAREWELL, connection.closed()).await {
                Ok(ConnectionLost::ClosedByPeer { reason, .. }) => {
                    // All nodes are told.
                    format!("it closed the connection: {}", beginning(&reason))
                }
                Ok(lost) => lost.to_string(),
                Err(_) => {
                    connection.close(CloseCode::Malformed, "a stream that lives as long as the connection ended");
                    "it ended a stream that lives as long as the connection".into()
                }
            },
        }
    }
}

async fn read_control(
    mut receive: Reader,
    connection: &Connection,
    node: NodeId,
    hub: &Hub,
    alive: &tokio::sync::Notify,
) -> Result<(), LinkError> {
    let mut read = 0_u32;
    loop {
        // What has come already is read without a wait.
        read = read.wrapping_add(1);
        if read.is_multiple_of(TOGETHER) {
            tokio::task::yield_now().await;
        }
        match receive.message().await? {
            Some(ToController::Offer { offers }) => {
                if let Err(refused) = hub.offer(node, offers) {
                    tracing::warn!(node, %refused, "refused callbacks");
                    // It was told how many it may offer; or its copy of everybody's callbacks would not fit any more.
                    if matches!(refused, Refused::TooManyCallbacks { .. } | Refused::DirectoryFull) {
                        connection.close(CloseCode::Limit, &refused.to_string());
                    }
                    return Err(Malformed("callbacks that cannot be offered").into());
                }
            }
            Some(ToController::Alive) => alive.notify_waiters(),
            Some(ToController::Leave) => return Ok(()),
            Some(ToController::Hello { .. }) => return Err(Malformed("a second hello").into()),
            Some(ToController::Unknown) => {}
            None => return Err(Malformed("the control stream ended").into()),
        }
    }
}
