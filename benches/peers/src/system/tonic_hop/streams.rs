//! A relay with a streaming method each way: one takes the sender's items, the other gives them to a subscriber. Between them is a
//! queue for each subscriber that holds the sender up when it is full, so nothing is lost.

use std::{path::Path, pin::Pin, sync::Mutex};

use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, async_trait, transport::Server};

use super::{
    Message, TonicHop, connect,
    generated::relay::{
        relay_client::RelayClient,
        relay_server::{Relay, RelayServer},
    },
    listen,
};
use crate::{
    Result,
    role::{Orders, Place, block_on_all_cores, tell},
    system::Streams,
    work::stream::{self, Intake, Kind, Scene, Source},
};

/// How many items wait for a subscriber.
const QUEUE: usize = 64;

impl Streams for TonicHop {
    /// What an item costs it; its bytes cost what they cost over any TCP.
    fn carries(&self, kind: Kind) -> bool {
        kind == Kind::Tiny
    }

    fn lossless(&self, _: Kind) -> bool {
        true
    }

    fn slowness(&self, _: Kind) -> u32 {
        3
    }

    fn relay(&self, _: &Path, _: &Scene) -> Result<()> {
        block_on_all_cores(async {
            let (incoming, address) = listen()?;
            let relay: &'static Subscribers = Box::leak(Box::default());
            tell(&address)?;
            Ok(Server::builder().add_service(RelayServer::new(relay)).serve_with_incoming(incoming).await?)
        })
    }

    fn receive(&self, place: &Place, _: &Scene, intake: &'static Intake) -> Result<()> {
        block_on_all_cores(async {
            let mut client = RelayClient::new(connect(&place.router.to_string()).await?);
            let mut items = client.subscribe(Message::default()).await?.into_inner();
            tell(&())?;
            while let Some(item) = items.message().await? {
                intake.take(&item.bytes);
            }
            Err("the relay has ended the stream".into())
        })
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        block_on_all_cores(async {
            let mut client = RelayClient::new(connect(&place.router.to_string()).await?);
            let send = async |source: Source| {
                client.publish(tokio_stream::iter(source).map(|item| Message { bytes: item.into() })).await?;
                Ok(())
            };
            stream::carry_out(scene, orders, send).await
        })
    }
}

/// The relay.
#[derive(Default)]
struct Subscribers(Mutex<Vec<Sender<std::result::Result<Message, Status>>>>);

#[async_trait]
impl Relay for &'static Subscribers {
    type SubscribeStream = Pin<Box<dyn Stream<Item = std::result::Result<Message, Status>> + Send>>;

    async fn subscribe(&self, _: Request<Message>) -> std::result::Result<Response<Self::SubscribeStream>, Status> {
        let (sender, items) = channel(QUEUE);
        self.lock().push(sender);
        Ok(Response::new(Box::pin(ReceiverStream::new(items))))
    }

    async fn publish(&self, request: Request<Streaming<Message>>) -> std::result::Result<Response<Message>, Status> {
        let subscribers = self.lock().clone();
        let mut items = request.into_inner();
        while let Some(item) = items.message().await? {
            for subscriber in &subscribers {
                subscriber.send(Ok(item.clone())).await.map_err(|_| Status::unavailable("a subscriber has gone"))?;
            }
        }
        Ok(Response::new(Message::default()))
    }
}

impl Subscribers {
    /// Nothing is left half done by a thread that panics with it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sender<std::result::Result<Message, Status>>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
