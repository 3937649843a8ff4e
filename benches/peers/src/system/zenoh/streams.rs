//! A publisher and subscribers of one key. What must not be lost is published with `Block`, which holds the publisher up when a
//! queue is full, live frames with `Drop`. The callback of a subscriber is the quickest way to take; the slow one has a ring of one
//! place, which keeps the newest.

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use zenoh::{Session, Wait, handlers::RingChannel, qos::CongestionControl, sample::SampleKind};

use super::{Link, Zenoh, config};
use crate::{
    Result,
    role::{Orders, Place, tell},
    system::Streams,
    work::stream::{self, Delivery, Intake, Kind, Scene},
};

const ITEMS: &str = "peers/items";

/// Where receivers say that they are there.
const PRESENCE: &str = "peers/there";

/// How long the sender waits for them.
const GATHERING: Duration = Duration::from_secs(30);

impl Streams for Zenoh {
    /// Over TLS what a byte costs, which is what encryption adds to.
    fn carries(&self, kind: Kind) -> bool {
        self.link != Link::Tls || matches!(kind, Kind::Frames | Kind::BigFrames)
    }

    fn lossless(&self, kind: Kind) -> bool {
        kind.delivery() == Delivery::Lossless
    }

    fn slowness(&self, kind: Kind) -> u32 {
        match (self.link, kind) {
            (_, Kind::Tiny) => 3,
            (Link::Quic, Kind::Frames | Kind::BigFrames) => 5,
            _ => 1,
        }
    }

    fn relay(&self, dir: &Path, _: &Scene) -> Result<()> {
        let address = config::free_address(self.link)?;
        let _session = zenoh::open(config::router(self.link, address, dir)?).wait()?;
        tell(&address)?;
        forever()
    }

    fn receive(&self, place: &Place, _: &Scene, intake: &'static Intake) -> Result<()> {
        let session = self.open(place)?;
        let subscriber = session.declare_subscriber(ITEMS);
        match intake.pause() {
            None => {
                let take = |sample: zenoh::sample::Sample| intake.take(&sample.payload().to_bytes());
                let _subscriber = subscriber.callback(take).wait()?;
                let _presence = announce(&session, place)?;
                forever()
            }
            Some(_) => {
                let ring = subscriber.with(RingChannel::new(1)).wait()?;
                let _presence = announce(&session, place)?;
                loop {
                    intake.take_and_pause(&ring.recv()?.payload().to_bytes());
                }
            }
        }
    }

    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()> {
        let session = self.open(place)?;
        gather(&session, scene.receivers)?;
        let congestion = match scene.kind.delivery() {
            Delivery::Lossless => CongestionControl::Block,
            Delivery::Fresh => CongestionControl::Drop,
        };
        let publisher = session.declare_publisher(ITEMS).congestion_control(congestion).wait()?;
        stream::carry_out_blocking(scene, orders, |mut source| source.try_for_each(|item| publisher.put(item).wait()))
    }
}

impl Zenoh {
    fn open(&self, Place { dir, router, .. }: &Place) -> Result<Session> {
        zenoh::open(config::client(self.link, *router, dir)?).wait()
    }
}

/// Says that this receiver is there. The router knows of its subscription by then, since it learns all of a session in order.
fn announce(session: &Session, place: &Place) -> Result<zenoh::liveliness::LivelinessToken> {
    let token = session.liveliness().declare_token(format!("{PRESENCE}/{}", place.number)).wait()?;
    tell(&())?;
    Ok(token)
}

/// Waits until so many receivers are there: what is published before is lost.
fn gather(session: &Session, receivers: u32) -> Result<()> {
    let (sender, came) = channel();
    let noticed = move |sample: zenoh::sample::Sample| {
        if sample.kind() == SampleKind::Put {
            // Nobody waits any more, if that fails.
            let _ = sender.send(());
        }
    };
    let presence = format!("{PRESENCE}/*");
    let _watch = session.liveliness().declare_subscriber(presence).history(true).callback(noticed).wait()?;
    for _ in 0..receivers {
        came.recv_timeout(GATHERING).map_err(|error| match error {
            RecvTimeoutError::Timeout => "the receivers did not all come",
            RecvTimeoutError::Disconnected => "zenoh has given up watching for receivers",
        })?;
    }
    Ok(())
}

fn forever() -> Result<()> {
    loop {
        thread::park();
    }
}
