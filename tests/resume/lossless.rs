//! Streams of which nothing may be lost: each receiver has every item once, whatever breaks.

use daffi::testing::Network;
use futures_util::stream;

use crate::{Large, Seen, ms, producer, receiver, remote};

/// What a test breaks, and how it comes back.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut(&'static str),
    Partition(&'static str),
    Restart,
    Stop,
}

impl Fault {
    async fn strike(self, net: &Network) {
        match self {
            Self::Cut(node) => drop(net.link(node).cut()),
            Self::Partition(node) => {
                net.link(node).partition();
                net.advance(ms(3_500)).await;
                net.link(node).heal();
            }
            Self::Restart => {
                net.crash_controller();
                net.advance(ms(100)).await;
                net.restart_controller();
            }
            Self::Stop => {
                net.stop_controller(ms(50)).await;
                net.restart_controller();
            }
        }
    }
}

const FAULTS: [Fault; 6] = [
    Fault::Cut("a"),
    Fault::Cut("producer"),
    Fault::Partition("a"),
    Fault::Partition("producer"),
    Fault::Restart,
    Fault::Stop,
];

fn complete(seen: &Seen, count: u64) -> bool {
    seen.all().into_iter().eq(0..count)
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_whatever_breaks() {
    const COUNT: u64 = 2_000;
    for fault in FAULTS {
        let net = Network::new();
        net.links().delay(ms(2));
        let (_a, slow) = receiver(&net, "a", ms(3)).await;
        let (_b, fast) = receiver(&net, "b", ms(0)).await;
        let producer = producer(&net, &["a", "b"]).await;
        let strike = async {
            slow.has(300).await;
            fault.strike(&net).await;
        };
        let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), strike);
        let report = report.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(report.is_complete(), "{fault:?}: {report:?}");
        assert!(complete(&slow, COUNT) && complete(&fast, COUNT), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_a_window_goes_on_too() {
    const COUNT: u64 = 150_000;
    for fault in [Fault::Cut("a"), Fault::Cut("producer"), Fault::Restart] {
        let net = Network::new();
        net.links().delay(ms(5));
        let (_a, a) = receiver(&net, "a", ms(0)).await;
        let (_b, b) = receiver(&net, "b", ms(0)).await;
        let producer = producer(&net, &["a", "b"]).await;
        let strike = async {
            for count in [1_000, 40_000, 90_000] {
                a.has(count).await;
                fault.strike(&net).await;
            }
        };
        let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), strike);
        let report = report.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(report.is_complete(), "{fault:?}: {report:?}");
        assert!(complete(&a, COUNT) && complete(&b, COUNT), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_items_go_on_within_an_item() {
    for fault in FAULTS {
        let net = Network::new();
        net.links().delay(ms(5));
        let (_a, a) = receiver(&net, "a", ms(20)).await;
        let (_b, b) = receiver(&net, "b", ms(0)).await;
        let producer = producer(&net, &["a", "b"]).await;
        let items = stream::iter((0..6).map(|number| Large { number, item: vec![number as u8; 9 << 20] }));
        let strike = async {
            b.has(2).await;
            net.advance(ms(12)).await;
            fault.strike(&net).await;
        };
        let (report, ()) = tokio::join!(remote::weigh(items).on(&producer).into_future(), strike);
        let report = report.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(report.is_complete(), "{fault:?}: {report:?}");
        assert!(complete(&a, 6) && complete(&b, 6), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_behind_the_last_item_changes_nothing() {
    const COUNT: u64 = 100;
    for fault in FAULTS {
        let net = Network::new();
        net.links().delay(ms(2));
        let (_a, slow) = receiver(&net, "a", ms(30)).await;
        let (_b, fast) = receiver(&net, "b", ms(0)).await;
        let producer = producer(&net, &["a", "b"]).await;
        let strike = async {
            // All of it is at the receivers, and one has answered.
            fast.has(COUNT as usize).await;
            slow.has(50).await;
            fault.strike(&net).await;
        };
        let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), strike);
        let report = report.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(report.is_complete(), "{fault:?}: {report:?}");
        assert!(complete(&slow, COUNT) && complete(&fast, COUNT), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_may_break_again_and_again() {
    const COUNT: u64 = 3_000;
    let net = Network::new();
    net.links().delay(ms(3));
    let (_a, a) = receiver(&net, "a", ms(1)).await;
    let (_b, b) = receiver(&net, "b", ms(2)).await;
    let producer = producer(&net, &["a", "b"]).await;
    let strikes = async {
        for round in 1..20 {
            a.has(round * 140).await;
            for node in ["a", "b", "producer"].into_iter().take(round % 4) {
                net.link(node).cut();
                net.advance(ms(round as u64 % 5 * 3)).await;
            }
            if round % 4 == 0 {
                Fault::Restart.strike(&net).await;
            }
        }
    };
    let (report, ()) = tokio::join!(remote::take(stream::iter(0..COUNT)).on(&producer).into_future(), strikes);
    let report = report.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(complete(&a, COUNT) && complete(&b, COUNT));
}
