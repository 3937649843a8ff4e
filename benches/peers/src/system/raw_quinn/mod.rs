//! The floor with QUIC: connections with exactly daffi's settings, since daffi's transport makes them, and of daffi nothing else.
//! Runtimes of one thread, and a router that copies bytes and knows of nothing.

mod calls;
mod streams;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use daffi_core::transport::{
    StateDir,
    quic::{Connector, Listener},
};
use quinn::{Connection, RecvStream, SendStream};

use super::{Calls, Streams, System, locked};
use crate::{
    Result,
    role::{Place, tell},
};

/// How long to look for the router.
const CONNECTING: Duration = Duration::from_secs(30);

/// How many pieces of a stream to take at a time.
const PIECES: usize = 32;

/// What each side writes first: the peer of a QUIC stream sees it only when something was sent.
const HELLO: [u8; 1] = [1];

#[derive(Debug)]
pub(crate) struct RawQuinn;

impl System for RawQuinn {
    fn name(&self) -> &'static str {
        "raw-quinn"
    }

    fn tls(&self) -> bool {
        true
    }

    fn version(&self) -> Result<String> {
        Ok(locked("quinn"))
    }

    fn calls(&self) -> Option<&dyn Calls> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

/// Listens with a certificate that it leaves in this directory, and says where.
fn listen(dir: &Path) -> Result<Listener> {
    let (identity, _) = StateDir::at(dir).controller()?;
    let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &identity)?;
    tell(&listener.local_addr()?)?;
    Ok(listener)
}

type BothWays = (SendStream, RecvStream);

async fn accept(listener: &mut Listener) -> Result<(Connection, BothWays)> {
    let incoming = listener.accept().await.ok_or("the router listens no more")?;
    let connection = incoming.establish(daffi::limits::SILENCE).await?;
    // Until then a peer may open one stream and send little.
    daffi_core::transport::Connection::Quic(connection.clone()).admit(0);
    let (send, mut receive) = connection.accept_bi().await?;
    receive.read_exact(&mut [0; HELLO.len()]).await?;
    Ok((connection, (send, receive)))
}

async fn connect(Place { dir, router, .. }: &Place) -> Result<(Connector, Connection, BothWays)> {
    let token = StateDir::at(dir).token()?.ok_or("the router has left no token")?;
    let connector = Connector::new(*router)?;
    let connection = connector.connect(*router, &token, CONNECTING).await?;
    let (mut send, receive) = connection.open_bi().await?;
    send.write_all(&HELLO).await?;
    Ok((connector, connection, (send, receive)))
}
