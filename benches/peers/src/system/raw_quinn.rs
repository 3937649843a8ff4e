//! The floor with QUIC: connections with exactly daffi's settings, since daffi's transport makes them, and of daffi nothing else.
//! A stream each way and hop that lives as long as the run; runtimes of one thread. The router copies bytes and knows of nothing.

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

use super::{
    System, locked,
    pipeline::{Pipeline, READ},
};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    work::calls::Outcome,
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

    fn route(&self, dir: &Path) -> Result<()> {
        block_on(async {
            let (identity, _) = StateDir::at(dir).controller()?;
            let mut listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &identity)?;
            tell(&listener.local_addr()?)?;
            // The caller starts when the responder is there. A connection lives as long as it is held.
            let (_responder, (answers_to, answers)) = accept(&mut listener).await?;
            let (_caller, (calls_to, calls)) = accept(&mut listener).await?;
            tokio::try_join!(copy(calls, answers_to), copy(answers, calls_to))?;
            Ok(())
        })
    }

    fn respond(&self, place: &Place) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (send, receive)) = connect(place).await?;
            tell(&())?;
            copy(receive, send).await
        })
    }

    fn call(&self, place: &Place, mut orders: Orders) -> Result<()> {
        block_on(async {
            let (_connector, _connection, (mut send, mut receive)) = connect(place).await?;
            tell(&())?;
            while let Some(order) = orders.next().await? {
                tell(&calls(Pipeline::new(order), &mut send, &mut receive).await?)?;
            }
            Ok(())
        })
    }
}

async fn calls(mut pipeline: Pipeline, send: &mut SendStream, receive: &mut RecvStream) -> Result<Outcome> {
    let mut out = Vec::new();
    loop {
        if let Some(outcome) = pipeline.outcome() {
            return Ok(outcome);
        }
        out.clear();
        pipeline.call(&mut out);
        send.write_all(&out).await?;
        let arrived = receive.read_chunk(READ, true).await?.ok_or("the router has hung up")?;
        pipeline.take(&arrived.bytes)?;
    }
}

/// Until the one side ends.
async fn copy(mut from: RecvStream, mut to: SendStream) -> Result<()> {
    let mut pieces = vec![bytes::Bytes::new(); PIECES];
    while let Some(count) = from.read_chunks(&mut pieces).await? {
        to.write_all_chunks(&mut pieces[..count]).await?;
    }
    Ok(())
}

type Streams = (SendStream, RecvStream);

async fn accept(listener: &mut Listener) -> Result<(Connection, Streams)> {
    let incoming = listener.accept().await.ok_or("the router listens no more")?;
    let connection = incoming.establish().await?;
    let (send, mut receive) = connection.accept_bi().await?;
    receive.read_exact(&mut [0; HELLO.len()]).await?;
    Ok((connection, (send, receive)))
}

async fn connect(Place { dir, router }: &Place) -> Result<(Connector, Connection, Streams)> {
    let token = StateDir::at(dir).token()?.ok_or("the router has left no token")?;
    let connector = Connector::new(*router)?;
    let connection = connector.connect(*router, &token, CONNECTING).await?;
    let (mut send, receive) = connection.open_bi().await?;
    send.write_all(&HELLO).await?;
    Ok((connector, connection, (send, receive)))
}
