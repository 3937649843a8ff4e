//! gRPC with a hop, all of tonic, in clear text.

mod calls;
mod streams;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tonic::transport::{Channel, Endpoint, server::TcpIncoming};

use super::{Calls, Streams, System, locked};
use crate::Result;

/// Any free port.
const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What both ways carry.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

#[derive(Debug)]
pub(crate) struct TonicHop;

impl System for TonicHop {
    fn name(&self) -> &'static str {
        "tonic-hop"
    }

    fn tls(&self) -> bool {
        false
    }

    fn version(&self) -> Result<String> {
        Ok(format!("{}, {}", locked("tonic"), locked("prost")))
    }

    fn calls(&self) -> Option<&dyn Calls> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

fn listen() -> Result<(TcpIncoming, SocketAddr)> {
    let incoming = TcpIncoming::bind(LOCALHOST)?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    Ok((incoming, address))
}

async fn connect(address: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?)
}

mod generated {
    #![allow(unreachable_pub, unused_qualifications, missing_docs, clippy::all)]

    pub(super) mod echo {
        tonic::include_proto!("peers.Echo");
    }

    pub(super) mod proxy {
        tonic::include_proto!("peers.Proxy");
    }

    pub(super) mod relay {
        tonic::include_proto!("peers.Relay");
    }
}
