//! A node's connection to its controller: made, kept, lost, and made again.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Inner, State, directory::Directory, error::JoinError, event::Event, invoke, stream::receive};
use crate::{
    link::{FrameSender, LaneWriter, LinkError, Reader, receive_frames},
    transport::{
        CloseCode, Connection, ConnectionLost, JoinToken, SendStream, StateDir, StreamLost, memory,
        quic::{ConnectError, Connector},
    },
    wire::{
        CallId, Malformed, StreamKind,
        control::{ToController, ToNode},
        limits, message, preamble,
    },
};

/// How long one attempt to connect may take. The next begins with a fresh, quick series of packets.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The first pause between attempts; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How long a leaving node waits for the controller to take note.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the controller is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Quic { host: String, port: u16 },
    Memory { network: memory::Network, controller: String },
}

/// Where the join token comes from.
#[derive(Debug, Clone)]
pub(crate) enum TokenSource {
    Given(JoinToken),
    Invalid(String, crate::transport::InvalidToken),
    File(PathBuf),
    /// From the environment, else from the user's state directory.
    Find,
}

/// A connection that has joined.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) frames: FrameSender,
    pub(crate) control: mpsc::UnboundedSender<ToController>,
    /// The callbacks that run for others, by the number of their call.
    running: Mutex<HashMap<CallId, CancellationToken>>,
    /// What runs for others, callbacks and streams. Closed when the node takes no more.
    pub(crate) tasks: TaskTracker,
    /// Everything that belongs to this connection ends with it.
    pub(crate) ended: CancellationToken,
    /// The socket of a connection over UDP.
    socket: Option<Connector>,
}

impl Link {
    /// Notes a callback that is about to run; the token tells when nobody wants it any more.
    pub(crate) fn begin(&self, id: CallId) -> CancellationToken {
        let cancelled = self.ended.child_token();
        self.running().insert(id, cancelled.clone());
        cancelled
    }

    pub(crate) fn end(&self, id: CallId) {
        self.running().remove(&id);
    }

    pub(crate) fn cancel(&self, id: CallId) {
        if let Some(cancelled) = self.running().remove(&id) {
            cancelled.cancel();
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<CallId, CancellationToken>> {
        // Single insertions and removals: a panic leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Joins, and joins again whenever the connection is lost, until the node stops. `joined` hears of the first time.
pub(crate) async fn keep(
    inner: Arc<Inner>,
    target: Target,
    token: TokenSource,
    joined: oneshot::Sender<Result<(), JoinError>>,
) {
    let mut joined = Some(joined);
    let ended = loop {
        let patience = if joined.is_some() { Some(inner.connect_timeout) } else { None };
        let session = tokio::select! {
            session = join(&inner, &target, &token, patience) => session,
            () = inner.stopping.cancelled() => break Ok(()),
        };
        let session = match session {
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
        inner.enter(link.clone());
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
        link.ended.cancel();
        inner.leave();
        if lost == ConnectionLost::ClosedHere
            && let Some(socket) = &link.socket
        {
            // The controller is told why.
            socket.close().await;
        }
        let reason = lost.to_string();
        inner.announce(Event::Disconnected { reason: reason.clone() });
        if inner.stopping.is_cancelled() {
            break Ok(());
        }
        if !inner.reconnect {
            let told = matches!(lost, ConnectionLost::ClosedByPeer { code: CloseCode::Stopping, .. });
            break if told { Ok(()) } else { Err(reason) };
        }
        tracing::warn!(node = inner.name, reason, "lost the controller; trying to join again");
    };
    inner.state.send_replace(State::Ended(ended));
}

/// Tries until it has joined, until that is hopeless, or until patience is over.
async fn join(
    inner: &Arc<Inner>,
    target: &Target,
    token: &TokenSource,
    patience: Option<Duration>,
) -> Result<Session, JoinError> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt(inner, target, token).await {
            Ok(session) => return Ok(session),
            Err(Attempt::Hopeless(error)) => return Err(error),
            Err(Attempt::Failed(error)) => error,
        };
        tracing::debug!(node = inner.name, %error, "not joined yet");
        let left = patience.map_or(MAX_PAUSE, |patience| patience.saturating_sub(began.elapsed()));
        if left.is_zero() {
            return Err(error);
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// How an attempt to join ended.
enum Attempt {
    /// Trying again cannot help.
    Hopeless(JoinError),
    /// The next attempt may succeed.
    Failed(JoinError),
}

impl From<JoinError> for Attempt {
    fn from(error: JoinError) -> Self {
        Self::Hopeless(error)
    }
}

async fn attempt(inner: &Arc<Inner>, target: &Target, token: &TokenSource) -> Result<Session, Attempt> {
    let (secret, connection, socket, address) = match target {
        Target::Quic { host, port } => {
            let address = format!("{host}:{port}");
            let unreachable = |last: String| {
                let (address, waited) = (address.clone(), inner.connect_timeout);
                Attempt::Failed(JoinError::Unreachable { address, waited, last })
            };
            let mut candidates: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|e| unreachable(e.to_string()))?
                .collect();
            // A controller listens on the IPv4 loopback address unless told otherwise.
            candidates.sort_by_key(SocketAddr::is_ipv6);
            let local = candidates.iter().all(|candidate| candidate.ip().is_loopback());
            let token = find_token(token, local)?;
            let mut last = unreachable("the name has no address".into());
            let mut connected = None;
            for candidate in candidates {
                match connect(candidate, &token).await {
                    Ok(connection) => {
                        connected = Some(connection);
                        break;
                    }
                    Err(ConnectError::Lost(lost)) => last = unreachable(lost.to_string()),
                    Err(error @ ConnectError::Unreachable { .. }) => last = unreachable(error.to_string()),
                    Err(error) => return Err(JoinError::WrongController(error).into()),
                }
            }
            let (connection, socket) = connected.ok_or(last)?;
            (*token.secret(), connection, Some(socket), address)
        }
        Target::Memory { network, controller } => {
            let TokenSource::Given(token) = token else {
                return Err(JoinError::NoToken { searched: PathBuf::new() }.into());
            };
            let connection = network.connect(&inner.name, controller).ok_or_else(|| {
                let (address, waited) = (controller.clone(), inner.connect_timeout);
                Attempt::Failed(JoinError::Unreachable { address, waited, last: "nobody listens".into() })
            })?;
            (*token.secret(), Connection::Memory(connection), None, controller.clone())
        }
    };
    match timeout(limits::HANDSHAKE, greet(inner, &connection, socket, &secret)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(refusal(inner, &connection, address, error).await),
        Err(_) => Err(Attempt::Failed(JoinError::Unreachable {
            address,
            waited: inner.connect_timeout,
            last: "it accepted the connection and said nothing".into(),
        })),
    }
}

async fn connect(address: SocketAddr, token: &JoinToken) -> Result<(Connection, Connector), ConnectError> {
    let unreachable =
        |error: std::io::Error| ConnectError::Unreachable { address: address.to_string(), message: error.to_string() };
    let connector = Connector::new(address).map_err(unreachable)?;
    let connection = connector.connect(address, token, ATTEMPT).await?;
    Ok((Connection::Quic(connection), connector))
}

fn find_token(source: &TokenSource, local: bool) -> Result<JoinToken, Attempt> {
    let from_file = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|source| {
            JoinError::State(crate::transport::StateError::Io { action: "read", path: path.clone(), source })
        })?;
        text.parse().map_err(|source| JoinError::InvalidToken { origin: path.display().to_string(), source })
    };
    match source {
        TokenSource::Given(token) => Ok(token.clone()),
        TokenSource::Invalid(origin, source) => {
            Err(JoinError::InvalidToken { origin: origin.clone(), source: source.clone() }.into())
        }
        TokenSource::File(path) => Ok(from_file(path)?),
        TokenSource::Find => {
            if let Ok(text) = std::env::var("DAFFI_TOKEN") {
                let invalid = |source| JoinError::InvalidToken { origin: "DAFFI_TOKEN".into(), source };
                return Ok(text.parse().map_err(invalid)?);
            }
            if let Some(path) = std::env::var_os("DAFFI_TOKEN_FILE") {
                return Ok(from_file(&path.into())?);
            }
            let state = StateDir::of_user().map_err(JoinError::State)?;
            match state.token().map_err(JoinError::State)? {
                Some(token) => Ok(token),
                // A local controller may be about to start for the first time, and to make the token.
                None if local => Err(Attempt::Failed(JoinError::NoToken { searched: state.path().to_owned() })),
                None => Err(JoinError::NoToken { searched: state.path().to_owned() }.into()),
            }
        }
    }
}

/// Why the controller ended the connection before the welcome.
async fn refusal(inner: &Inner, connection: &Connection, address: String, error: LinkError) -> Attempt {
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
            CloseCode::Stopping => {
                let waited = inner.connect_timeout;
                return Attempt::Failed(JoinError::Unreachable { address, waited, last: reason });
            }
            _ => JoinError::Refused { reason },
        }),
        lost => {
            let waited = inner.connect_timeout;
            Attempt::Failed(JoinError::Unreachable { address, waited, last: lost.to_string() })
        }
    }
}

/// A session that has begun.
struct Session {
    link: Arc<Link>,
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
    secret: &[u8],
) -> Result<Session, LinkError> {
    let (mut send, receive) = connection.open_bi().await?;
    let mut receive = Reader::new(receive);
    let mut opening = vec![StreamKind::Control as u8];
    opening.extend_from_slice(&preamble::encode(preamble::VERSION));
    let hello = ToController::Hello {
        name: inner.name.clone(),
        secret: secret.to_vec(),
        offers: inner.registry.offers(),
        software: concat!("daffi ", env!("CARGO_PKG_VERSION")).into(),
    };
    message::put(&hello, &mut opening);
    send.write(&mut [opening.into()]).await?;
    let version = preamble::decode(receive.bytes().await?)?;
    if version != preamble::VERSION {
        tracing::error!(theirs = version, ours = preamble::VERSION, "the controller speaks another protocol version");
        // It closes the connection and says so.
        return Err(connection.closed().await.into());
    }
    loop {
        match receive.message().await? {
            Some(ToNode::Welcome { node, members }) => {
                let offered = members.iter().find(|member| member.id == node).map(|member| member.offers.clone());
                inner.registry.number(&offered.unwrap_or_default(), true);
                inner.directory.send_replace(Directory::welcome(node, members));
                break;
            }
            Some(_) => {}
            None => return Err(Malformed("the controller ended the control stream").into()),
        }
    }
    let (frames, lane) = FrameSender::new();
    let (control, messages) = mpsc::unbounded_channel();
    let link = Arc::new(Link {
        connection: connection.clone(),
        frames,
        control,
        running: Mutex::default(),
        tasks: TaskTracker::new(),
        ended: CancellationToken::new(),
        socket,
    });
    Ok(Session { link, send, receive, messages, lane })
}

impl Session {
    /// Serves the connection until it is gone, or the node stops; why it is gone.
    async fn run(self, inner: &Arc<Inner>) -> ConnectionLost {
        let Self { link, send, receive, messages, lane } = self;
        let connection = &link.connection;
        let deliver = {
            let (inner, link) = (inner.clone(), link.clone());
            move |frame| invoke::handle(&inner, &link, frame)
        };
        let error: LinkError = tokio::select! {
            error = read_control(receive, inner, &link) => error,
            lost = write_control(send, messages) => lost.into(),
            lost = lane.run(connection.clone()) => lost.into(),
            error = receive_frames(connection, deliver) => error,
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
