//! Streams: a callback for each item, and a stub with STREAM whose source is an iterator.

use std::path::Path;

use daffi::{OnSlow, StreamCall, callback, callbacks};

use super::{Daffi, GATHERING, controller, node};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::Streams,
    work::stream::{self, Delivery, Intake, Kind, Scene, Source},
};

struct Receiver(&'static Intake);

#[callback]
impl Receiver {
    #[callback]
    fn item(&self, item: &[u8]) {
        self.0.take_and_pause(item);
    }
}

mod remote {
    #[daffi::fetcher]
    pub(super) trait Receiver {
        #[fetcher(STREAM)]
        async fn item(item: Vec<u8>);
    }
}

impl Streams for Daffi {
    fn carries(&self, _: Kind) -> bool {
        true
    }

    fn lossless(&self, kind: Kind) -> bool {
        kind.delivery() == Delivery::Lossless
    }

    fn relay(&self, dir: &Path, _: &Scene) -> Result<()> {
        controller(dir)
    }

    fn receive(&self, place: &Place, _: &Scene, intake: &'static Intake) -> Result<()> {
        let name = format!("receiver-{}", place.number);
        let g = node(place, &name).callbacks(callbacks![]).serve(Receiver(intake)).start().wait()?;
        tell(&())?;
        Ok(g.join().wait()?)
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        block_on(async {
            let g = node(place, "sender").callbacks(callbacks![]).start().await?;
            for number in 0..scene.receivers {
                g.wait_process(format!("receiver-{number}")).timeout(GATHERING).await?;
            }
            let send = async |source: Source| {
                let report = with_policy(remote::Receiver::new().item(source), scene.kind).await?;
                match report.receivers.iter().find_map(|receiver| receiver.result.as_ref().err()) {
                    None => Ok(()),
                    Some(error) => Err(format!("a receiver did not go on to the end: {error}").into()),
                }
            };
            stream::carry_out(scene, orders, send).await
        })
    }
}

fn with_policy(call: StreamCall, kind: Kind) -> StreamCall {
    match kind {
        Kind::Tiny | Kind::Frames | Kind::BigFrames => call,
        // A viewer that is held up for a moment is to miss nothing, and one that is slow is to see what is new.
        Kind::Live => call.on_slow(OnSlow::DropOldest(8)),
        Kind::SlowReceiver => call.on_slow(OnSlow::KeepLatest),
    }
}
