//! QUIC over UDP with TLS 1.3: every setting of quinn and rustls, and why it is what it is.
//!
//! # Datagram size
//!
//! On loopback datagrams of 65,507 bytes carry about four times what 1,452 bytes do (2.0 against 0.5 GiB/s on one stream,
//! measured on two cores), because system calls, encryption calls and acknowledgements are paid per datagram. Elsewhere a path
//! carries 1,200 bytes for certain and usually some 1,450: quinn begins with the former and searches for the latter, and
//! uses the kernel's segmentation offload to send many at once. Which of the two applies is decided for each connection, by
//! whether the peer's address is a loopback address. Should a loopback interface have a smaller MTU, quinn notices that
//! large datagrams do not arrive and goes back to 1,200 bytes.

mod ceiling;
mod pin;
mod reset;
mod runtime;
#[cfg(unix)]
mod socket;
mod tls;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TransportConfig, TransportErrorCode, VarInt};

pub(crate) use self::ceiling::Ceiling;
pub(super) use self::tls::provider;
pub use self::tls::{ControllerCertificates, Credentials, NodeCertificates};
use self::{
    ceiling::CappedConfig,
    pin::{Refusal, Trust, TrustedController},
    runtime::AssistedRuntime,
};
use super::{
    CertificateFault, CloseCode, ConnectionLost, GiveUp, Identity, JoinToken, RecvStream, SendStream, StreamLost,
    identity::SERVER_NAME,
};
use crate::wire::limits;

/// The largest UDP payload that IPv4 allows.
const LOOPBACK_DATAGRAM: u16 = 65_507;

/// The largest UDP payload that this endpoint takes; quinn's limit. It only sizes receive buffers.
const MAX_DATAGRAM: u16 = 65_527;

/// The socket buffers to ask for. With quinn's large datagrams 1 to 4 MiB were measured equal, the system's default of 208
/// KiB loses bursts. The kernel may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// How much may be on its way over loopback at first. quinn's default of 14,720 bytes is less than one large datagram, and
/// nothing would ever be sent.
const LOOPBACK_WINDOW: u64 = 1 << 20;

/// A round trip over loopback before the first is measured: a lost first datagram is sent again after 3 times this.
const LOOPBACK_RTT: Duration = Duration::from_millis(20);

/// How many streams of each direction a peer may have open at a time. An idle connection costs the router 39 kB at 100,
/// 166 kB at 1,024.
const MAX_STREAMS: u32 = 128;

/// How much a peer may send on one stream before it is read. Windows of 4 MiB and more were measured a third slower on
/// loopback; half a mebibyte would do there, and 1 MiB keeps 80 MB/s up over 12 ms.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for all streams of a connection together. The receiving side reads at once, so this bounds memory rather than
/// speed.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// How much a peer may send before it was admitted and that is not read yet: the controller reads the secret first, and nothing
/// more unless it is right.
const STRANGER_WINDOW: u32 = 64 << 10;

/// How many connections may wait to be looked at, and how many bytes of their first packets are kept: the controller looks at each at
/// once, so more are a flood that it does not keep up with.
const MAX_INCOMING: usize = 1 << 10;
const INCOMING_BYTES: u64 = 16 << 20;

/// How much may be sent and not yet acknowledged on a connection.
const SEND_WINDOW: u64 = 8 << 20;

/// A connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers, or the connection broke before it stood.
    #[error(transparent)]
    Lost(#[from] ConnectionLost),
    /// There is no local socket, or no such host.
    #[error("could not connect to {address}: {message}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        message: String,
    },
    /// The controller's certificate is not the one that the token names.
    #[error(
        "the controller at {address} is not the one that the join token belongs to; get the token of this one \
         with `daffi-controller token`"
    )]
    WrongController {
        /// The address.
        address: SocketAddr,
    },
    /// The controller's certificate is of none of the authorities that the node was given.
    #[error(
        "no authority that this node trusts has issued the certificate of the controller at {address}; give the node that of this \
         one, by `.ca(..)` or DAFFI_CA, or none, to trust the join token alone"
    )]
    ForeignController {
        /// The address.
        address: SocketAddr,
    },
    /// The certificate is the right one, and not valid now, or not a controller's.
    #[error(
        "the certificate of the controller at {address} is not valid: {reason}; the controller needs a new one, made with \
         `daffi-controller cert controller`"
    )]
    Certificate {
        /// The address.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The node's own certificate cannot be used.
    #[error("this node's own certificate cannot be used: {reason}")]
    OwnCertificate {
        /// What is wrong with it.
        reason: String,
    },
}

/// A UDP socket that takes connections.
#[derive(Debug)]
pub struct Listener {
    endpoint: Endpoint,
    settings: ListenerSettings,
}

/// What a listener shows and asks for. Clones are of the same listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings(Arc<RwLock<ServerConfig>>);

impl ListenerSettings {
    /// Sets other certificates, for connections that begin from now on.
    ///
    /// # Errors
    ///
    /// What TLS says of them; then those from before hold.
    pub fn replace(&self, certificates: &ControllerCertificates) -> io::Result<()> {
        let crypto = Arc::new(tls::server(certificates)?);
        // Nothing else changes: what the listener's own keys have signed stays good.
        self.0.write().unwrap_or_else(PoisonError::into_inner).crypto = crypto;
        Ok(())
    }

    fn config(&self) -> ServerConfig {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listener {
    /// Listens at exactly this address; port 0 picks a free one. It asks for no certificates of nodes.
    ///
    /// # Errors
    ///
    /// What the system says, for example that the port is taken.
    pub fn bind(address: SocketAddr, identity: &Identity) -> io::Result<Self> {
        let (identity, nodes) = (identity.clone(), NodeCertificates::Ignored);
        Self::bind_with(address, &ControllerCertificates { identity, nodes })
    }

    /// Listens at exactly this address; port 0 picks a free one. Connections of a listener with the same private key that was there
    /// before, and was killed, end with [`ConnectionLost::Forgotten`] as soon as their peers send something.
    ///
    /// # Errors
    ///
    /// What the system says, for example that the port is taken, or what TLS says of the certificates.
    pub fn bind_with(address: SocketAddr, certificates: &ControllerCertificates) -> io::Result<Self> {
        let mut config = ServerConfig::with_crypto(Arc::new(tls::server(certificates)?));
        config.max_incoming(MAX_INCOMING).incoming_buffer_size_total(INCOMING_BYTES);
        let socket = socket(address)?;
        let own = reset::listening(&certificates.identity, socket.local_addr()?);
        let endpoint = endpoint(socket, own, Some(config.clone()))?;
        Ok(Self { endpoint, settings: ListenerSettings(Arc::new(RwLock::new(config))) })
    }

    /// What it shows and asks for, to be changed while it listens.
    pub fn settings(&self) -> ListenerSettings {
        self.settings.clone()
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next connection; `None` once the listener is closed. Cancel safe.
    pub async fn accept(&mut self) -> Option<Incoming> {
        let incoming = self.endpoint.accept().await?;
        let mut config = self.settings.config();
        config.transport_config(transport(incoming.remote_address().ip(), Side::Listening));
        // A peer that changes its address keeps its connection only where addresses change: not on loopback, where the
        // datagram size was chosen for the address.
        config.migration(!incoming.remote_address().ip().is_loopback());
        Some(Incoming { incoming: Box::new(incoming), config: Arc::new(config) })
    }

    /// Accepts nothing more, and waits until closed connections have told their peers. At most a second.
    pub async fn close(&mut self) {
        self.endpoint.close(VarInt::from_u32(CloseCode::Stopping as u32), b"the controller is stopping");
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

/// A connection that has begun and is not yet established.
#[derive(Debug)]
pub struct Incoming {
    // Boxed, for it is ten times as large as its in-memory counterpart.
    incoming: Box<quinn::Incoming>,
    config: Arc<ServerConfig>,
}

impl Incoming {
    /// The peer's address, for logs.
    pub fn peer(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.incoming.remote_address().ip()
    }

    /// Whether the peer has shown that it receives what is sent to this address.
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Answers with a Retry packet. What could not be answered so is dropped: the peer tries again.
    pub fn validate(self) {
        if let Err(error) = self.incoming.retry() {
            error.into_incoming().ignore();
        }
    }

    /// Answers that no connection is taken.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Establishes the connection. Cancel safe: dropping the future gives it up.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn establish(self) -> Result<quinn::Connection, ConnectionLost> {
        let connecting = self.incoming.accept_with(self.config).map_err(|error| connection_lost(&error))?;
        connecting.await.map_err(|error| connection_lost(&error))
    }
}

/// A socket that connections to controllers are made from.
#[derive(Debug)]
pub struct Connector {
    endpoint: Endpoint,
}

impl Connector {
    /// Opens a socket on a free port, of the kind that can reach `target`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(target: SocketAddr) -> io::Result<Self> {
        let any = match target.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let endpoint = endpoint(socket(SocketAddr::new(any, 0))?, EndpointConfig::default(), None)?;
        Ok(Self { endpoint })
    }

    /// Connects to the controller that the token names, within `patience`, without a certificate. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(
        &self,
        address: SocketAddr,
        token: &JoinToken,
        patience: Duration,
    ) -> Result<quinn::Connection, ConnectError> {
        self.connect_with(address, token, &Credentials::default(), patience).await
    }

    /// Connects to the controller that the token names, or to one for which the authorities in `credentials` vouch, within
    /// `patience`. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]. What the controller thinks of the node's certificate may show only when the connection stands, as its end
    /// with [`ConnectionLost::CertificateRefused`].
    pub async fn connect_with(
        &self,
        address: SocketAddr,
        token: &JoinToken,
        credentials: &Credentials,
        patience: Duration,
    ) -> Result<quinn::Connection, ConnectError> {
        let unreachable = |message: String| ConnectError::Unreachable { address: address.to_string(), message };
        let trust = match &credentials.authorities {
            Some(authorities) => Trust::Roots(authorities.roots().clone()),
            None => Trust::Fingerprint(*token.fingerprint()),
        };
        let verifier = Arc::new(TrustedController::new(trust));
        let crypto = tls::client(verifier.clone(), credentials.identity.as_ref())
            .map_err(|reason| ConnectError::OwnCertificate { reason })?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport(address.ip(), Side::Connecting));
        let connecting =
            self.endpoint.connect_with(config, address, SERVER_NAME).map_err(|error| unreachable(error.to_string()))?;
        match tokio::time::timeout(patience, connecting).await {
            Err(_) => Err(ConnectionLost::TimedOut.into()),
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(match verifier.refusal.get() {
                Some(Refusal::Fingerprint) => ConnectError::WrongController { address },
                Some(Refusal::Foreign) => ConnectError::ForeignController { address },
                Some(Refusal::Certificate(reason)) => ConnectError::Certificate { address, reason: reason.clone() },
                None => connection_lost(&error).into(),
            }),
        }
    }

    /// Waits until closed connections have told their peers. At most a second.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let buffers = socket2::SockRef::from(&socket);
    // Smaller buffers work, only slower: what the kernel does not grant is no error.
    let _ = buffers.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = buffers.set_send_buffer_size(SOCKET_BUFFER);
    Ok(socket)
}

fn endpoint(socket: UdpSocket, mut config: EndpointConfig, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    config.max_udp_payload_size(MAX_DATAGRAM).map_err(io::Error::other)?;
    Endpoint::new(config, server, socket, AssistedRuntime::current())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Listening,
    Connecting,
}

fn transport(peer: IpAddr, side: Side) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let (both_ways, one_way, window) = match side {
        // The controller is whom the node connected to, and showed that it is.
        Side::Connecting => (MAX_STREAMS, MAX_STREAMS, CONNECTION_WINDOW),
        // The control stream, and nothing else.
        Side::Listening => (1, 0, STRANGER_WINDOW),
    };
    config
        .max_concurrent_bidi_streams(both_ways.into())
        .max_concurrent_uni_streams(one_way.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(window.into())
        .send_window(SEND_WINDOW)
        // Datagram frames are not used: 23 to 42 % of them were lost in measurements.
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(VarInt::from_u32(limits::IDLE.as_millis() as u32).into()));
    if side == Side::Connecting {
        // One side's pings keep both sides' timers from expiring.
        config.keep_alive_interval(Some(limits::KEEP_ALIVE));
    }
    if peer.is_loopback() {
        let mut congestion = quinn::congestion::CubicConfig::default();
        congestion.initial_window(LOOPBACK_WINDOW);
        config
            .congestion_controller_factory(Arc::new(CappedConfig(congestion.into())))
            .initial_mtu(LOOPBACK_DATAGRAM)
            .mtu_discovery_config(None)
            // Datagrams times segments must stay below 64 KiB, or the connection falls back to 1,200 bytes.
            .enable_segmentation_offload(false)
            .initial_rtt(LOOPBACK_RTT);
    }
    Arc::new(config)
}

/// See [`Connection::admit`](super::Connection::admit).
pub(super) fn admit(connection: &quinn::Connection, streams: u32) {
    connection.set_receive_window(CONNECTION_WINDOW.into());
    connection.set_max_concurrent_bi_streams(streams.max(MAX_STREAMS).into());
    connection.set_max_concurrent_uni_streams(MAX_STREAMS.into());
}

pub(super) fn both((send, receive): (quinn::SendStream, quinn::RecvStream)) -> (SendStream, RecvStream) {
    (SendStream::Quic(send), RecvStream::Quic(receive))
}

pub(super) fn connection_lost(error: &quinn::ConnectionError) -> ConnectionLost {
    use quinn::ConnectionError::{ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut};
    match error {
        ApplicationClosed(close) => ConnectionLost::ClosedByPeer {
            code: CloseCode::from_wire(close.error_code.into_inner()),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
            ConnectionLost::Refused
        }
        LocallyClosed => ConnectionLost::ClosedHere,
        TimedOut => ConnectionLost::TimedOut,
        Reset => ConnectionLost::Forgotten,
        ConnectionClosed(close) => match CertificateFault::from_wire(close.error_code.into()) {
            Some(fault) => ConnectionLost::CertificateRefused(fault),
            None => ConnectionLost::Failed(error.to_string()),
        },
        other => ConnectionLost::Failed(other.to_string()),
    }
}

/// What [`SendStream::settled`] says of a stream's end.
pub(super) fn settled(end: Result<Option<VarInt>, quinn::StoppedError>) -> Result<(), StreamLost> {
    match end {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(GiveUp::lost(code.into_inner(), StreamLost::Stopped)),
        Err(quinn::StoppedError::ConnectionLost(error)) => Err(connection_lost(&error).into()),
        Err(quinn::StoppedError::ZeroRttRejected) => Err(StreamLost::Reset),
    }
}

pub(super) fn write_lost(error: &quinn::WriteError) -> StreamLost {
    match error {
        quinn::WriteError::ConnectionLost(error) => connection_lost(error).into(),
        quinn::WriteError::Stopped(code) => GiveUp::lost(code.into_inner(), StreamLost::Stopped),
        quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => StreamLost::Reset,
    }
}

pub(super) fn read_lost(error: &quinn::ReadError) -> StreamLost {
    match error {
        quinn::ReadError::ConnectionLost(error) => connection_lost(error).into(),
        quinn::ReadError::Reset(code) => GiveUp::lost(code.into_inner(), StreamLost::Reset),
        quinn::ReadError::ClosedStream | quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            StreamLost::Stopped
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::{Authority, Connection, Validity};

    const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn pair(identity: &Identity, token: &JoinToken) -> (Result<Connection, ConnectError>, Option<Connection>) {
        let mut listener = Listener::bind(LOCALHOST, identity).unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async { listener.accept().await.unwrap().establish().await };
        let connector = Connector::new(address).unwrap();
        let (connected, accepted) = tokio::join!(connector.connect(address, token, PATIENCE), accept);
        let accepted = accepted.ok().map(Connection::Quic);
        accepted.iter().for_each(|connection| connection.admit(0));
        (connected.map(Connection::Quic), accepted)
    }

    #[tokio::test]
    async fn streams_carry_bytes_with_large_datagrams() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, controller) = pair(&identity, &token).await;
        let (node, controller) = (node.unwrap(), controller.unwrap());
        let sent = Bytes::from(vec![7; 3 << 20]);
        let send = async {
            let mut stream = node.open_uni().await.unwrap();
            stream.write(&mut [sent.clone()]).await.unwrap();
            stream.finish();
            let _ = stream.settled().await;
        };
        let receive = async {
            let mut stream = controller.accept_uni().await.unwrap();
            let (mut chunks, mut length) = (Vec::new(), 0);
            while stream.read(&mut chunks).await.unwrap() {
                length += chunks.drain(..).map(|chunk| chunk.len()).sum::<usize>();
            }
            length
        };
        let ((), length) = tokio::join!(send, receive);
        assert_eq!(length, sent.len());
        let Connection::Quic(connection) = &node else { unreachable!("a QUIC pair") };
        assert_eq!(connection.stats().path.current_mtu, LOOPBACK_DATAGRAM);
    }

    #[tokio::test]
    async fn a_dropped_stream_is_a_reset_and_a_close_says_why() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, controller) = pair(&identity, &token).await;
        let (node, controller) = (node.unwrap(), controller.unwrap());
        let mut stream = node.open_uni().await.unwrap();
        stream.write(&mut [Bytes::from_static(b"x")]).await.unwrap();
        let mut received = controller.accept_uni().await.unwrap();
        drop(stream);
        let mut chunks = Vec::new();
        let lost = loop {
            match received.read(&mut chunks).await {
                Ok(true) => {}
                other => break other,
            }
        };
        assert_eq!(lost, Err(StreamLost::Reset));
        controller.close(CloseCode::NameTaken, "taken");
        let lost = ConnectionLost::ClosedByPeer { code: CloseCode::NameTaken, reason: "taken".into() };
        assert_eq!(node.closed().await, lost);
    }

    #[tokio::test]
    async fn a_stranger_has_one_stream_and_little_room() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let mut listener = Listener::bind(LOCALHOST, &identity).unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async { listener.accept().await.unwrap().establish().await };
        let connector = Connector::new(address).unwrap();
        let (connected, accepted) = tokio::join!(connector.connect(address, &token, PATIENCE), accept);
        let (node, controller) = (Connection::Quic(connected.unwrap()), Connection::Quic(accepted.unwrap()));
        let (mut control, _answers) = node.open_bi().await.unwrap();
        let (mut second, mut third) = (Box::pin(node.open_bi()), Box::pin(node.open_uni()));
        let mut sent = [Bytes::from(vec![7; STRANGER_WINDOW as usize + 1])];
        {
            let mut write = Box::pin(control.write(&mut sent));
            // All that it may send arrives, and then it waits.
            let (_, mut received) = tokio::select! {
                _ = &mut write => panic!("more than the window was sent before anything was read"),
                accepted = controller.accept_bi() => accepted.unwrap(),
            };
            assert!(futures_util::poll!(&mut second).is_pending() && futures_util::poll!(&mut third).is_pending());
            controller.admit(0);
            let mut chunks = Vec::new();
            let (written, _) = tokio::join!(write, received.read(&mut chunks));
            written.unwrap();
        }
        let others = async { (second.await.unwrap(), third.await.unwrap()) };
        tokio::time::timeout(PATIENCE, others).await.unwrap();
    }

    #[tokio::test]
    async fn another_certificate_is_refused() {
        let token = JoinToken::generate(Identity::generate().unwrap().fingerprint());
        let (node, controller) = pair(&Identity::generate().unwrap(), &token).await;
        assert!(matches!(node.unwrap_err(), ConnectError::WrongController { .. }));
        assert!(controller.is_none());
    }

    #[tokio::test]
    async fn whoever_only_sends_the_pinned_certificate_along_is_refused() {
        let (right, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let token = JoinToken::generate(right.fingerprint());
        let authority = Authority::generate(Validity::days(1)).unwrap();
        let of_authority = authority.issue_controller(Validity::days(1)).unwrap();
        for mut impostor in [other, of_authority] {
            impostor.chain.push(right.chain[0].clone());
            let (node, controller) = pair(&impostor, &token).await;
            assert!(matches!(
                node.unwrap_err(),
                ConnectError::ForeignController { .. } | ConnectError::Certificate { .. }
            ));
            assert!(controller.is_none());
        }
    }

    #[tokio::test]
    async fn an_expired_certificate_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        let identity = Identity::from_pem(&format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, _) = pair(&identity, &token).await;
        let error = node.unwrap_err();
        assert!(matches!(&error, ConnectError::Certificate { reason, .. } if reason.contains("xpired")), "{error}");
    }
}
