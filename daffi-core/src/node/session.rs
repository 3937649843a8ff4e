//! A node's connection to its controller: made, kept, lost, and made again.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
    vec::Drain,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Inner, State,
    credentials::{Credentials, TokenSource},
    directory::Directory,
    error::JoinError,
    event::Event,
    invoke,
    stream::receive,
};
use crate::{
    link::{FrameSender, Intake, LaneWriter, LinkError, Reader, receive_frames},
    transport::{
        CloseCode, Connection, ConnectionLost, JoinToken, Priority, SendStream, StreamLost, memory,
        quic::{self, ConnectError, Connector},
    },
    wire::{
        CallId, Malformed, NodeId, StreamKind,
        control::{Member, Terms, ToController, ToNode},
        frame::Frame,
        limits, message, preamble,
    },
};

/// How long one attempt to connect may take. The next begins with a fresh, quick series of packets.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The first pause between attempts; it doubles up to [`MAX_PAUSE`]. Each is shortened by up to a half of itself.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How long a leaving node waits for the controller to take note.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the controller is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// At the first of these that lets the node in.
    Quic {
        addresses: Vec<(String, u16)>,
    },
    Memory {
        network: memory::Network,
        controller: String,
    },
}

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
    socket: Option<Connector>,
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
    fn end_all(&self) {
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
            session = join(&inner, &target, &credentials, patience) => session,
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

/// Tries until it has joined, until that is hopeless, or until patience is over.
async fn join(
    inner: &Arc<Inner>,
    target: &Target,
    credentials: &Credentials,
    patience: Option<Duration>,
) -> Result<Session, JoinError> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    loop {
        let left = |began: Instant| patience.map_or(Duration::MAX, |patience| patience.saturating_sub(began.elapsed()));
        let error = match timeout(left(began), attempt(inner, target, credentials)).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(Attempt::Hopeless(error))) => return Err(error),
            Ok(Err(Attempt::Failed(error))) => error,
            // Cut off by the end of patience, it says less than the one before.
            Err(_) => last.take().unwrap_or_else(|| unreachable(inner, target, "no answer yet".into())),
        };
        tracing::debug!(node = inner.name, %error, "not joined yet");
        if left(began).is_zero() {
            return Err(error);
        }
        last = Some(error);
        let shortened = match target {
            // Not all nodes of a controller that is started again at the same moment.
            Target::Quic { .. } => pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5)),
            // Tests are the same each time.
            Target::Memory { .. } => pause,
        };
        tokio::time::sleep(shortened.min(left(began))).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// How an attempt to join ended.
pub(super) enum Attempt {
    /// Trying again cannot help.
    Hopeless(JoinError),
    /// The next attempt may succeed.
    Failed(JoinError),
}

impl From<JoinError> for Attempt {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::State(state) if state.is_passing() => Self::Failed(JoinError::State(state)),
            error => Self::Hopeless(error),
        }
    }
}

async fn attempt(inner: &Arc<Inner>, target: &Target, credentials: &Credentials) -> Result<Session, Attempt> {
    match target {
        Target::Quic { addresses } => {
            let mut found = Err(Attempt::Failed(unreachable(inner, target, "there is no address".into())));
            for (host, port) in addresses {
                found = attempt_at(host, *port, inner, target, credentials).await;
                // What is wrong with one controller is not to be hidden by another.
                if !matches!(found, Err(Attempt::Failed(_))) {
                    break;
                }
            }
            found
        }
        Target::Memory { network, controller } => {
            let TokenSource::Given(token) = &credentials.token else {
                return Err(JoinError::NoToken { searched: PathBuf::new() }.into());
            };
            let connection = network
                .connect(&inner.name, controller)
                .ok_or_else(|| Attempt::Failed(unreachable(inner, target, "nobody listens".into())))?;
            ask_in(inner, target, &Connection::Memory(connection), None, token.secret()).await
        }
    }
}

async fn attempt_at(
    host: &str,
    port: u16,
    inner: &Inner,
    target: &Target,
    credentials: &Credentials,
) -> Result<Session, Attempt> {
    let (secret, connection, socket) = reach(host, port, credentials, |last| unreachable(inner, target, last)).await?;
    ask_in(inner, target, &connection, Some(socket), &secret).await
}

/// Joins over this connection.
async fn ask_in(
    inner: &Inner,
    target: &Target,
    connection: &Connection,
    socket: Option<Connector>,
    secret: &[u8; preamble::SECRET],
) -> Result<Session, Attempt> {
    match timeout(limits::HANDSHAKE, greet(inner, connection, socket, secret)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(refusal(inner, connection, target, error).await),
        Err(_) => Err(Attempt::Failed(unreachable(inner, target, "it took the connection and said nothing".into()))),
    }
}

/// Connects to a controller: the token's secret for it, and the connection.
async fn reach(
    host: &str,
    port: u16,
    credentials: &Credentials,
    unreachable: impl Fn(String) -> JoinError,
) -> Result<([u8; preamble::SECRET], Connection, Connector), Attempt> {
    let failed = |last: String| Attempt::Failed(unreachable(last));
    let candidates: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|e| failed(e.to_string()))?.collect();
    let local = candidates.iter().all(|candidate| candidate.ip().is_loopback());
    let (token, certificates) = (credentials.token(local)?, credentials.certificates()?);
    // All at once: where nobody listens there is no answer, only silence.
    let mut attempts: FuturesUnordered<_> =
        candidates.iter().map(|address| connect(*address, &token, &certificates)).collect();
    let mut last = failed("the name has no address".into());
    loop {
        match attempts.next().await {
            Some(Ok((connection, socket))) => return Ok((*token.secret(), connection, socket)),
            Some(Err(ConnectError::Lost(ConnectionLost::CertificateRefused(fault)))) => {
                return Err(JoinError::certificate_refused(&fault).into());
            }
            Some(Err(ConnectError::Lost(lost @ ConnectionLost::Refused))) => {
                last = Attempt::Failed(JoinError::Limit { reason: lost.to_string() });
            }
            Some(Err(ConnectError::Lost(lost))) => last = failed(lost.to_string()),
            Some(Err(error @ ConnectError::Unreachable { .. })) => last = failed(error.to_string()),
            Some(Err(error)) => return Err(JoinError::WrongController(error).into()),
            None => return Err(last),
        }
    }
}

fn unreachable(inner: &Inner, target: &Target, last: String) -> JoinError {
    let address = match target {
        Target::Quic { addresses } => {
            let addresses: Vec<_> = addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            addresses.join(" or ")
        }
        Target::Memory { controller, .. } => controller.clone(),
    };
    JoinError::Unreachable { address, waited: inner.connect_timeout, last }
}

async fn connect(
    address: SocketAddr,
    token: &JoinToken,
    certificates: &quic::Credentials,
) -> Result<(Connection, Connector), ConnectError> {
    let unreachable =
        |error: std::io::Error| ConnectError::Unreachable { address: address.to_string(), message: error.to_string() };
    let connector = Connector::new(address).map_err(unreachable)?;
    let connection = connector.connect_with(address, token, certificates, ATTEMPT).await?;
    Ok((Connection::Quic(connection), connector))
}

/// Why the controller ended the connection before the welcome.
async fn refusal(inner: &Inner, connection: &Connection, target: &Target, error: LinkError) -> Attempt {
    let lost = match error {
        LinkError::Malformed(malformed) => {
            connection.close(CloseCode::Malformed, malformed.0);
            return Attempt::Hopeless(JoinError::Refused { reason: malformed.to_string() });
        }
        // A stream fails when its connection does, and the connection knows why.
        LinkError::Lost(_) => timeout(FAREWELL, connection.closed()).await.unwrap_or(ConnectionLost::TimedOut),
    };
    match lost {
        ConnectionLost::ClosedByPeer { code, reason } => Attempt::Hopeless(match code {
            CloseCode::Version => JoinError::Version { reason },
            CloseCode::Token => JoinError::WrongToken { reason },
            CloseCode::NameTaken => JoinError::NameTaken { reason },
            CloseCode::Certificate => JoinError::CertificateRefused { reason },
            CloseCode::NotAllowed => JoinError::NotAllowed { reason },
            CloseCode::Limit => JoinError::Limit { reason },
            // It may be back, or quicker, the next time.
            // One that says nothing of a reason stopped, or was stopped, before it had looked at this node.
            CloseCode::Stopping | CloseCode::Silent | CloseCode::Done => {
                return Attempt::Failed(unreachable(inner, target, reason));
            }
            _ => JoinError::Refused { reason },
        }),
        // In TLS 1.3 the node's side of the connection stands before the controller has seen its certificate.
        ConnectionLost::CertificateRefused(fault) => JoinError::certificate_refused(&fault).into(),
        lost => Attempt::Failed(unreachable(inner, target, lost.to_string())),
    }
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

/// Says hello and takes in the welcome.
async fn greet(
    inner: &Inner,
    connection: &Connection,
    socket: Option<Connector>,
    secret: &[u8; preamble::SECRET],
) -> Result<Session, LinkError> {
    let (mut send, receive) = connection.open_bi().await?;
    send.set_priority(Priority::Control);
    let mut receive = Reader::new(receive);
    let mut opening = vec![StreamKind::Control as u8];
    opening.extend_from_slice(&preamble::encode(preamble::VERSION));
    opening.extend_from_slice(secret);
    let hello = ToController::Hello {
        name: inner.name.clone(),
        offers: inner.registry.offers(),
        software: concat!("daffi ", env!("CARGO_PKG_VERSION")).into(),
        instance: inner.instance,
    };
    message::put(&hello, &mut opening);
    send.write(&mut [opening.into()]).await?;
    let version = preamble::decode(receive.bytes().await?)?;
    if version != preamble::VERSION {
        tracing::error!(theirs = version, ours = preamble::VERSION, "the controller speaks another protocol version");
        // It closes the connection and says so.
        return Err(connection.closed().await.into());
    }
    let (node, members, terms) = loop {
        match receive.message().await? {
            Some(ToNode::Welcome { node, members, terms }) => break (node, members, terms),
            Some(_) => {}
            None => return Err(Malformed("the controller ended the control stream").into()),
        }
    };
    let (frames, lane) = FrameSender::new();
    let (control, messages) = mpsc::unbounded_channel();
    let link = Arc::new(Link {
        connection: connection.clone(),
        frames,
        control,
        terms,
        running: Mutex::default(),
        ended: CancellationToken::new(),
        socket,
    });
    Ok(Session { link, node, members, send, receive, messages, lane })
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
