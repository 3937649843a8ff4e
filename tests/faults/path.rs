//! A path that is slow, loses packets and reorders them.

use std::time::Duration;

use daffi::OnSlow;
use futures_util::future::join_all;

use crate::{Path, System, common::soon, remote};

/// 50 ms each way, some of which overtake each other, and every fiftieth packet lost, at either node.
fn bad(seed: u64) -> Path {
    Path { delay: Duration::from_millis(50), jitter: Duration::from_millis(5), loss: 0.02, seed }
}

#[tokio::test]
async fn every_call_has_its_own_result() {
    let system = System::start(Path { loss: 0.05, ..bad(1) }).await;
    // Many calls share a packet: until one of these was lost.
    while system.proxies[1].packets().0 == 0 {
        let calls = (0..200).map(|number| remote::double(number).on(&system.b).into_future());
        let results = soon(join_all(calls)).await;
        assert!(results.into_iter().eq((0..200).map(|number| Ok(2 * number))));
    }
}

#[tokio::test]
async fn a_stream_arrives_whole_and_in_order() {
    const ITEMS: u64 = 5_000;
    let system = System::start(bad(2)).await;
    let report = soon(remote::check(0..ITEMS).on(&system.b).into_future()).await.unwrap();
    let a = report.receiver("a").unwrap();
    assert_eq!((report.sent, a.delivered, &a.result), (ITEMS, ITEMS, &Ok((ITEMS, true))));
    let lost: u64 = system.proxies.iter().map(|proxy| proxy.packets().0).sum();
    assert!(lost > 0, "the path was good after all");
}

#[tokio::test]
async fn what_a_slow_path_drops_is_counted() {
    const ITEMS: u64 = 20_000;
    let system = System::start(bad(3)).await;
    let stream = remote::show(0..ITEMS).on_slow(OnSlow::KeepLatest).on(&system.b);
    let report = soon(stream.into_future()).await.unwrap();
    let a = report.receiver("a").unwrap();
    assert_eq!((report.sent, a.delivered + a.dropped, &a.result), (ITEMS, ITEMS, &Ok(())));
    assert!(a.dropped > 0, "{report:?}");
}
