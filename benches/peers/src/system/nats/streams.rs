//! Publish and subscribe of core NATS. It holds no sender up: who is too slow loses items, and what is to arrive as a whole needs room
//! for all of it. So for what is to be lossless server and receivers get far more room than they have by default.

use std::{fs, path::Path};

use async_nats::{Client, ConnectOptions};
use tokio_stream::StreamExt;

use super::Nats;
use crate::{
    Result,
    role::{Orders, Place, block_on, block_on_all_cores, tell},
    system::Streams,
    work::stream::{self, Delivery, Intake, Kind, Scene, Source},
};

const ITEMS: &str = "items";

/// How much the server keeps for a receiver before it gives it up; 64 MB by default. And the largest item; 1 MiB by default.
const ROOM: &str = "max_pending: 4294967296\nmax_payload: 8388608\n";

/// How many items a client keeps for a subscription before it loses some; 65,536 by default.
const LOSSLESS_CAPACITY: usize = 4 << 20;

/// The same for who is too slow anyway: items that it would take late.
const SLOW_CAPACITY: usize = 1;

impl Streams for Nats {
    fn carries(&self, kind: Kind) -> bool {
        !self.tls || kind != Kind::SlowReceiver
    }

    fn lossless(&self, _: Kind) -> bool {
        false
    }

    fn slowness(&self, kind: Kind) -> u32 {
        if kind == Kind::Tiny { 3 } else { 1 }
    }

    fn relay(&self, dir: &Path, scene: &Scene) -> Result<()> {
        match scene.kind.delivery() {
            Delivery::Fresh => self.serve(dir, &[]),
            Delivery::Lossless => {
                let config = dir.join("nats.conf");
                fs::write(&config, ROOM)?;
                self.serve(dir, &["--config".into(), config.into()])
            }
        }
    }

    fn receive(&self, place: &Place, scene: &Scene, intake: &'static Intake) -> Result<()> {
        run(scene, async {
            let options = match (scene.kind.delivery(), intake.pause()) {
                (Delivery::Lossless, _) => ConnectOptions::new().subscription_capacity(LOSSLESS_CAPACITY),
                (Delivery::Fresh, Some(_)) => ConnectOptions::new().subscription_capacity(SLOW_CAPACITY),
                (Delivery::Fresh, None) => ConnectOptions::new(),
            };
            let client = self.connect(place, options).await?;
            let mut items = client.subscribe(ITEMS).await?;
            settle(&client, place.number).await?;
            tell(&())?;
            while let Some(item) = items.next().await {
                intake.take(&item.payload);
                if let Some(pause) = intake.pause() {
                    tokio::time::sleep(pause).await;
                }
            }
            Err("the subscription has ended".into())
        })
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        run(scene, async {
            let client = self.connect(place, ConnectOptions::new()).await?;
            let send = async |mut source: Source| {
                while let Some(item) = source.next_item().await {
                    client.publish(ITEMS, item.into()).await?;
                }
                // All is handed over when the kernel has it.
                Ok(client.flush().await?)
            };
            stream::carry_out(scene, orders, send).await
        })
    }
}

/// On the runtime that is quickest at this.
fn run(scene: &Scene, future: impl Future<Output = Result<()>>) -> Result<()> {
    match scene.kind.delivery() {
        Delivery::Lossless => block_on_all_cores(future),
        Delivery::Fresh => block_on(future),
    }
}

/// Returns when the server has handled all that this client has sent so far: it handles it in order.
async fn settle(client: &Client, number: u32) -> Result<()> {
    let subject = format!("settled.{number}");
    let mut settled = client.subscribe(subject.clone()).await?;
    client.publish(subject, "".into()).await?;
    settled.next().await.ok_or("the connection has ended")?;
    Ok(settled.unsubscribe().await?)
}
