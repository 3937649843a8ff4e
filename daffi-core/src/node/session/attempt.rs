//! Attempts to join, at one address or several, until one succeeds.

use std::{borrow::Cow, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{FAREWELL, Link, Session};
use crate::{
    link::{FrameSender, LinkError, Reader},
    node::{
        Inner,
        credentials::{Credentials, TokenSource},
        error::JoinError,
    },
    transport::{
        CloseCode, Connection, ConnectionLost, JoinToken, Priority, memory,
        quic::{self, ConnectError, Connector},
    },
    wire::{
        Malformed, StreamKind,
        control::{ToController, ToNode},
        limits, message, preamble,
    },
};

/// How long one attempt to connect may take. The next begins with a fresh, quick series of packets.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The first pause between attempts; it doubles up to [`MAX_PAUSE`]. Each is shortened by up to a half of itself.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The same for a node that was refused when it came back: until somebody mends what is wrong it would be in vain.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

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

/// Tries until it has joined, until that is hopeless, or until patience is over; a node that comes back has no end of it.
pub(super) async fn join(
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
        let (error, longest) = match timeout(left(began), attempt(inner, target, credentials)).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(Attempt::Failed(error))) => (error, MAX_PAUSE),
            // It was let in before, and nobody may look at it now who could start it again.
            Ok(Err(Attempt::Hopeless(error))) if patience.is_none() && error.may_be_mended() => (error, REFUSED_PAUSE),
            Ok(Err(Attempt::Hopeless(error))) => return Err(error),
            // Cut off by the end of patience, it says less than the one before.
            Err(_) => (last.take().unwrap_or_else(|| unreachable(inner, target, "no answer yet".into())), MAX_PAUSE),
        };
        // Once for each reason: a node that nobody lets in would fill its log.
        if last.as_ref().is_none_or(|last| reason(last) != reason(&error)) {
            tracing::warn!(node = inner.name, reason = %reason(&error), "not joined yet; trying again");
        }
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
        pause = (pause * 2).min(longest);
    }
}

/// What went wrong, however long there is still time to try.
fn reason(error: &JoinError) -> Cow<'_, str> {
    match error {
        JoinError::Unreachable { last, .. } => last.into(),
        error => error.to_string().into(),
    }
}

/// How an attempt to join ended.
pub(in crate::node) enum Attempt {
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
                // What is wrong with one controller is not to be hidden by another; but another may have room.
                if !matches!(found, Err(Attempt::Failed(_) | Attempt::Hopeless(JoinError::Limit { .. }))) {
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
    let link = Arc::new(Link::new(connection.clone(), socket, frames, control, terms));
    Ok(Session { link, node, members, send, receive, messages, lane })
}
