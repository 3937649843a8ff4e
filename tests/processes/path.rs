//! A path that is slow, loses packets and reorders them: between the controller and either node.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::{
    proxy::{Direction, Packets, Path, Proxy},
    system::{Process, System, address, limited},
};

/// The processes of a test: the controller, and two nodes, each behind a proxy of its own.
pub(crate) struct Parts {
    pub(crate) system: System,
    pub(crate) controller: Process,
    pub(crate) sender: Process,
    pub(crate) receiver: Process,
    /// The sender's and the receiver's.
    pub(crate) proxies: [Proxy; 2],
}

impl Parts {
    pub(crate) async fn start(host: IpAddr, path: Path) -> Self {
        let mut system = System::at((host, 0).into());
        let controller = system.controller("controller", "controller").await;
        let other = Path { seed: path.seed + 1, ..path };
        let proxies = [Proxy::start(&mut system, path).await, Proxy::start(&mut system, other).await];
        let mut sender = system.process_at(proxies[0].address(), "caller", "sender").await;
        let receiver = system.process_at(proxies[1].address(), "taker", "receiver").await;
        sender.ask("wait receiver").await;
        Self { system, controller, sender, receiver, proxies }
    }

    async fn packets(&mut self) -> Packets {
        let [one, two] = &mut self.proxies;
        one.packets().await + two.packets().await
    }

    /// Does so until packets of it were lost and others overtook each other: many calls or items share a packet.
    async fn until_bad(&mut self, mut work: impl AsyncFnMut(&mut Self)) {
        let before = self.packets().await;
        loop {
            work(self).await;
            let now = self.packets().await;
            if now.lost > before.lost && now.overtaken > before.overtaken {
                return eprintln!("up to now: {now:?}");
            }
        }
    }

    async fn call(&mut self) {
        assert_eq!(self.sender.ask("add-all 200 receiver").await, "200 of 200");
    }

    /// A lossless stream.
    async fn stream(&mut self) {
        self.sender.tell("stream 5000").await;
        self.has_all(5_000).await;
        self.receiver.ask("forget").await;
    }

    /// Both ends say that the receiver has all items of the sender's stream, and what the receiver took is just that.
    pub(crate) async fn has_all(&mut self, count: i64) {
        assert_eq!(self.sender.answer().await, format!("{count} items: receiver {count}"));
        assert_eq!(self.receiver.says("ended").await, format!("sender {count} Finished"));
        assert_eq!(self.receiver.says("missed").await, "0");
        assert!(self.receiver.took().await.into_iter().eq(1..=count), "each once, and in order");
    }

    /// A stream that may go on without some items, and does.
    async fn live(&mut self) {
        const COUNT: usize = 20_000;
        let report = self.sender.ask(&format!("stream-latest {COUNT}")).await;
        let took = self.receiver.took().await;
        let (delivered, dropped) = (took.len(), COUNT - took.len());
        assert_eq!(report, format!("{COUNT} items: receiver {delivered} {dropped} Ok(())"));
        assert_eq!(self.receiver.says("ended").await, format!("sender {delivered} Finished"));
        assert_eq!(self.receiver.says("missed").await, dropped.to_string());
        assert!(took.is_sorted_by(|a, b| a < b), "each once, and in order");
        assert!(dropped > 0, "the path was good after all");
        self.receiver.ask("forget").await;
    }

    /// What was done up to now was done in the middle of the stream.
    pub(crate) async fn has_not_all(&mut self, count: i64) {
        let taken = self.receiver.ask("counts 0").await;
        assert!(taken.parse::<i64>().unwrap() < count, "it has all {count} by now");
    }
}

/// 50 ms each way, some of which overtake each other.
fn bad(loss: f64, seed: u64) -> Path {
    Path { delay: Duration::from_millis(50), jitter: Duration::from_millis(5), loss, seed }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Not on loopback, if there is anything else: there daffi sends packets of 64 KiB, as no other path takes.
async fn start(path: Path) -> Parts {
    Parts::start(address().unwrap_or(LOOPBACK), path).await
}

/// What has to hold however many packets are lost.
async fn all_is_well(loss: f64, seed: u64) {
    limited(async {
        let mut parts = start(bad(loss, seed)).await;
        parts.until_bad(Parts::call).await;
        parts.until_bad(Parts::stream).await;
        parts.until_bad(Parts::live).await;
    })
    .await;
}

#[tokio::test]
async fn calls_and_streams_are_well_with_1_percent_of_packets_lost() {
    all_is_well(0.01, 1).await;
}

#[tokio::test]
async fn calls_and_streams_are_well_with_2_percent_of_packets_lost() {
    all_is_well(0.02, 3).await;
}

#[tokio::test]
async fn calls_and_streams_are_well_with_5_percent_of_packets_lost() {
    all_is_well(0.05, 5).await;
}

/// More items than may be on their way to a receiver.
const LONG: i64 = 40_000;

#[tokio::test]
async fn a_stream_goes_on_when_the_controller_behind_a_bad_path_is_killed_and_started_again() {
    limited(async {
        let mut parts = start(bad(0.02, 7)).await;
        parts.sender.tell(&format!("stream {LONG}")).await;
        parts.receiver.ask(&format!("counts {}", LONG / 20)).await;
        parts.controller.kill().await;
        parts.controller = parts.system.controller("controller", "controller").await;
        parts.receiver.says("disconnected").await;
        parts.sender.says("disconnected").await;
        parts.has_not_all(LONG).await;
        parts.has_all(LONG).await;
        let packets = parts.packets().await;
        assert!(packets.lost > 0 && packets.overtaken > 0, "{packets:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_when_nothing_of_a_receiver_arrived_for_longer_than_silence_is_borne() {
    half_open(Direction::There, 11).await;
}

#[tokio::test]
async fn a_stream_goes_on_when_nothing_arrived_at_a_receiver_for_longer_than_silence_is_borne() {
    half_open(Direction::Back, 13).await;
}

/// One direction of the receiver's connection is dead for a while, and the other is not.
async fn half_open(dead: Direction, seed: u64) {
    // The path is good: many are there before the order to break it is.
    const COUNT: i64 = 10 * LONG;
    limited(async {
        let good = Path { delay: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0.0, seed };
        let mut parts = start(good).await;
        parts.sender.tell(&format!("stream {COUNT}")).await;
        parts.receiver.ask(&format!("counts {}", LONG)).await;
        parts.proxies[1].block(Some(dead)).await;
        parts.receiver.says("disconnected").await;
        parts.has_not_all(COUNT).await;
        parts.proxies[1].block(None).await;
        parts.has_all(COUNT).await;
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_stream_goes_on_when_a_receiver_behind_a_bad_path_stood_still_for_longer_than_silence_is_borne() {
    limited(async {
        let mut parts = start(bad(0.02, 9)).await;
        parts.sender.tell(&format!("stream {LONG}")).await;
        parts.receiver.ask(&format!("counts {}", LONG / 20)).await;
        parts.receiver.pause(4).await;
        parts.receiver.says("disconnected").await;
        parts.has_not_all(LONG).await;
        parts.has_all(LONG).await;
        let packets = parts.packets().await;
        assert!(packets.lost > 0 && packets.overtaken > 0, "{packets:?}");
    })
    .await;
}
