//! Both ends of a connection over loopback, for tests.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{ConnectError, Connector, Listener};
use crate::{
    transport::{Connection, Identity, JoinToken},
    wire::limits,
};

pub(super) const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn pair(
    identity: &Identity,
    token: &JoinToken,
) -> (Result<Connection, ConnectError>, Option<Connection>) {
    let mut listener = Listener::bind(LOCALHOST, identity).unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async { listener.accept().await.unwrap().establish(limits::SILENCE).await };
    let connector = Connector::new(address).unwrap();
    let (connected, accepted) = tokio::join!(connector.connect(address, token, PATIENCE), accept);
    let accepted = accepted.ok().map(Connection::Quic);
    accepted.iter().for_each(|connection| connection.admit(0));
    (connected.map(Connection::Quic), accepted)
}
