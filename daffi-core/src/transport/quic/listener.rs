//! The side that takes connections: its socket, what it shows and asks for, and connections that are not yet established.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use quinn::{Endpoint, ServerConfig, VarInt};

use super::{
    lost::connection_lost,
    reset,
    settings::{Side, endpoint, socket, transport},
    tls::{self, ControllerCertificates, NodeCertificates},
};
use crate::transport::{CloseCode, ConnectionLost, Identity};

/// How many connections may wait to be looked at, and how many bytes of their first packets are kept: the controller looks at each at
/// once, so more are a flood that it does not keep up with.
const MAX_INCOMING: usize = 1 << 10;
const INCOMING_BYTES: u64 = 16 << 20;

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
    /// What sets other certificates, for connections that begin after it was called.
    ///
    /// # Errors
    ///
    /// What TLS says of them.
    pub fn replacing(&self, certificates: &ControllerCertificates) -> io::Result<impl FnOnce() + use<'_>> {
        let crypto = Arc::new(tls::server(certificates)?);
        // Nothing else changes: what the listener's own keys have signed stays good.
        Ok(|| self.0.write().unwrap_or_else(PoisonError::into_inner).crypto = crypto)
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
        let config = Box::new(self.settings.config());
        Some(Incoming { incoming: Box::new(incoming), config })
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
    config: Box<ServerConfig>,
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

    /// Establishes the connection, which from then on ends on both sides after so much silence, or after three times what QUIC takes
    /// for the longest that an answer may be away, if that is longer (RFC 9000, section 10.1). Cancel safe: dropping the future gives
    /// it up.
    ///
    /// # Errors
    ///
    /// [`ConnectionLost`].
    pub async fn establish(mut self, silence: Duration) -> Result<quinn::Connection, ConnectionLost> {
        let peer = self.address();
        self.config.transport_config(transport(peer, Side::Listening { silence }));
        // A peer that changes its address keeps its connection only where addresses change: not on loopback, where the
        // datagram size was chosen for the address.
        self.config.migration(!peer.is_loopback());
        let connecting = self.incoming.accept_with(Arc::new(*self.config)).map_err(|error| connection_lost(&error))?;
        connecting.await.map_err(|error| connection_lost(&error))
    }
}
