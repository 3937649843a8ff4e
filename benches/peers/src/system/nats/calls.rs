//! Request and reply, with the defaults of server and client, on a runtime of one thread.

use std::path::Path;

use async_nats::ConnectOptions;
use tokio_stream::StreamExt;

use super::Nats;
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::Calls,
    work::calls,
};

const SUBJECT: &str = "echo";

impl Calls for Nats {
    fn route(&self, dir: &Path) -> Result<()> {
        self.serve(dir, &[])
    }

    fn respond(&self, place: &Place) -> Result<()> {
        block_on(async {
            let client = self.connect(place, ConnectOptions::new()).await?;
            let mut requests = client.subscribe(SUBJECT).await?;
            let echo = async {
                while let Some(request) = requests.next().await {
                    let inbox = request.reply.ok_or("a request that wants no answer")?;
                    client.publish(inbox, request.payload).await?;
                }
                Err("the subscription has ended".into())
            };
            // The server handles what a client sends in order: once this is answered, others' requests will be.
            let ready = async {
                client.request(SUBJECT, "".into()).await?;
                tell(&())?;
                std::future::pending::<Result<()>>().await
            };
            tokio::select! { ended = echo => ended, failed = ready => failed }
        })
    }

    fn call(&self, place: &Place, orders: Orders) -> Result<()> {
        block_on(async {
            let client = self.connect(place, ConnectOptions::new()).await?;
            let call = move |bytes: [u8; calls::LENGTH]| {
                let client = client.clone();
                async move { Ok(client.request(SUBJECT, bytes.to_vec().into()).await?.payload) }
            };
            calls::carry_out(orders, call).await
        })
    }
}
