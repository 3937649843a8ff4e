//! A client, a proxy that forwards each unary call, and a server, on runtimes of one thread.
//!
//! The server tells the proxy where it is by a call of its own, since gRPC has no router that it could join.

use std::{path::Path, sync::OnceLock};

use bytes::Bytes;
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Channel, Server},
};

use super::{
    Message, TonicHop, connect,
    generated::{
        echo::{
            echo_client::EchoClient,
            echo_server::{Echo, EchoServer},
        },
        proxy::{
            proxy_client::ProxyClient,
            proxy_server::{Proxy, ProxyServer},
        },
    },
    listen,
};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::Calls,
    work::calls,
};

impl Calls for TonicHop {
    fn route(&self, _: &Path) -> Result<()> {
        block_on(async {
            let (incoming, address) = listen()?;
            let hop: &'static Hop = Box::leak(Box::default());
            tell(&address)?;
            let services = Server::builder().add_service(EchoServer::new(hop)).add_service(ProxyServer::new(hop));
            Ok(services.serve_with_incoming(incoming).await?)
        })
    }

    fn respond(&self, place: &Place) -> Result<()> {
        block_on(async {
            let (incoming, address) = listen()?;
            let served =
                tokio::spawn(Server::builder().add_service(EchoServer::new(Responder)).serve_with_incoming(incoming));
            let mut proxy = ProxyClient::new(connect(&place.router.to_string()).await?);
            proxy.register(Message { bytes: address.to_string().into() }).await?;
            tell(&())?;
            Ok(served.await??)
        })
    }

    fn call(&self, place: &Place, orders: Orders) -> Result<()> {
        block_on(async {
            let client = EchoClient::new(connect(&place.router.to_string()).await?);
            let call = move |bytes: [u8; calls::LENGTH]| {
                let mut client = client.clone();
                async move {
                    let message = Message { bytes: Bytes::copy_from_slice(&bytes) };
                    Ok(client.echo(message).await?.into_inner().bytes)
                }
            };
            calls::carry_out(orders, call).await
        })
    }
}

struct Responder;

#[async_trait]
impl Echo for Responder {
    async fn echo(&self, request: Request<Message>) -> std::result::Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// The proxy.
#[derive(Default)]
struct Hop {
    /// Where to forward to.
    server: OnceLock<EchoClient<Channel>>,
}

#[async_trait]
impl Proxy for &'static Hop {
    async fn register(&self, request: Request<Message>) -> std::result::Result<Response<Message>, Status> {
        let address = String::from_utf8_lossy(&request.into_inner().bytes).into_owned();
        let channel = connect(&address).await.map_err(|error| Status::unavailable(error.to_string()))?;
        match self.server.set(EchoClient::new(channel)) {
            Ok(()) => Ok(Response::new(Message::default())),
            Err(_) => Err(Status::already_exists("a server has registered already")),
        }
    }
}

#[async_trait]
impl Echo for &'static Hop {
    async fn echo(&self, request: Request<Message>) -> std::result::Result<Response<Message>, Status> {
        let server = self.server.get().ok_or_else(|| Status::unavailable("no server has registered"))?;
        server.clone().echo(request.into_inner()).await
    }
}
