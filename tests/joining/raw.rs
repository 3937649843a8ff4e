//! Peers made by hand, that say what no node and no controller of this version says.

use std::net::SocketAddr;

use daffi_core::{
    link::{LinkError, Reader},
    transport::{CloseCode, Connection, ConnectionLost, Identity, JoinToken, SendStream, quic},
    wire::{StreamKind, control::ToController, limits, message, preamble},
};

use crate::common::{Controller, PATIENCE, soon};

/// A connection to a controller on which nothing has been said yet.
pub(crate) struct Stranger {
    connection: Connection,
    _socket: quic::Connector,
}

impl Stranger {
    pub(crate) async fn connect(controller: &Controller) -> Self {
        let token: JoinToken = controller.token().parse().expect("a controller's token parses");
        let socket = quic::Connector::new(controller.address()).expect("there is a free port");
        let connection = socket.connect(controller.address(), &token, PATIENCE).await.expect("the controller listens");
        Self { connection: Connection::Quic(connection), _socket: socket }
    }

    /// Opens the control stream with these bytes.
    pub(crate) async fn say(&self, bytes: Vec<u8>) -> (SendStream, Reader) {
        let (mut send, receive) = self.connection.open_bi().await.expect("the connection stands");
        send.write(&mut [bytes.into()]).await.expect("the connection stands");
        (send, Reader::new(receive))
    }

    /// Why the controller closed the connection.
    pub(crate) async fn dismissal(&self) -> (CloseCode, String) {
        match soon(self.connection.closed()).await {
            ConnectionLost::ClosedByPeer { code, reason } => (code, reason),
            other => panic!("expected the controller to close the connection, got {other}"),
        }
    }
}

/// The first bytes of a node that speaks this version.
pub(crate) fn opening(version: u16) -> Vec<u8> {
    let mut bytes = vec![StreamKind::Control as u8];
    bytes.extend_from_slice(&preamble::encode(version));
    bytes
}

/// The first bytes of a node that knows the controller's secret and has this name, and a callback of that name.
pub(crate) fn hello(controller: &Controller, name: &str, callback: &str) -> Vec<u8> {
    let token: JoinToken = controller.token().parse().expect("a controller's token parses");
    let offer = daffi_core::wire::offer::Offer { name: callback.into(), ..Default::default() };
    let hello = ToController::Hello { name: name.into(), offers: vec![offer], software: "a test".into(), instance: 0 };
    let mut bytes = opening(preamble::VERSION);
    bytes.extend_from_slice(token.secret());
    message::put(&hello, &mut bytes);
    bytes
}

/// A controller that knows no version but its own, and lets nobody in.
pub(crate) struct Impostor {
    listener: quic::Listener,
    token: JoinToken,
}

impl Impostor {
    pub(crate) fn listen() -> Self {
        Self::listen_at(([127, 0, 0, 1], 0).into())
    }

    pub(crate) fn listen_at(address: SocketAddr) -> Self {
        let identity = Identity::generate().expect("there is randomness");
        let token = JoinToken::generate(identity.fingerprint());
        Self { listener: quic::Listener::bind(address, &identity).expect("the port is free"), token }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    pub(crate) fn token(&self) -> String {
        self.token.to_string()
    }

    /// Waits until a node has found that it is none that it trusts.
    pub(crate) async fn refused(mut self) {
        let incoming = soon(self.listener.accept()).await.expect("it listens");
        soon(incoming.establish(limits::SILENCE)).await.expect_err("a node knows its controller's key");
        soon(self.listener.close()).await;
    }

    /// Answers the next node with this version, and closes the connection for this reason. Gives the node's version.
    pub(crate) async fn dismiss(&mut self, version: u16, reason: &str) -> Result<u16, LinkError> {
        let incoming = soon(self.listener.accept()).await.expect("it listens");
        let connection = Connection::Quic(incoming.establish(limits::SILENCE).await?);
        let (mut send, receive) = connection.accept_bi().await?;
        let mut receive = Reader::new(receive);
        let [_kind] = receive.bytes().await?;
        let theirs = preamble::decode(receive.bytes().await?)?;
        send.write(&mut [preamble::encode(version).to_vec().into()]).await?;
        connection.close(CloseCode::Version, reason);
        Ok(theirs)
    }
}
