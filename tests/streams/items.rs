//! What a stream can carry, and what it can be made of.

use std::collections::BTreeMap;

use daffi::{callback, callbacks, fetcher};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    Journal, MUCH,
    common::{Controller, meet},
    within,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reading {
    sensor: String,
    celsius: f64,
    tags: Option<Vec<String>>,
}

static PAIRS: Journal<(i64, String)> = Journal::new();
static READINGS: Journal<Reading> = Journal::new();
static MAPS: Journal<BTreeMap<String, u32>> = Journal::new();
static BLOBS: Journal<Vec<u8>> = Journal::new();

#[callback]
fn take_pair(pair: (i64, String)) {
    PAIRS.note(pair);
}

#[callback]
async fn take_reading(reading: Reading) {
    READINGS.note(reading);
}

#[callback]
async fn take_map(map: BTreeMap<String, u32>) {
    MAPS.note(map);
}

#[callback]
fn take_blob(blob: &[u8]) {
    BLOBS.note(blob.to_vec());
}

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn take_pair(pair: (i64, String));
    #[fetcher(STREAM)]
    pub(super) async fn take_reading(reading: Reading);
    #[fetcher(STREAM)]
    pub(super) async fn take_map(map: BTreeMap<String, u32>);
    #[fetcher(STREAM)]
    pub(super) async fn take_blob(blob: Vec<u8>);
    #[fetcher(STREAM)]
    pub(super) async fn weigh(data: Vec<u8>);
    #[fetcher(STREAM)]
    pub(super) async fn one(n: u64);
    #[fetcher(STREAM)]
    pub(super) async fn count(n: u64);
}

#[tokio::test]
async fn tuples_structs_maps_and_bytes_from_any_source() {
    let controller = Controller::start().await;
    let offers = callbacks![take_pair, take_reading, take_map, take_blob];
    let (sender, receiver) = (controller.node("sender", []).await, controller.node("receiver", offers).await);
    meet(&[&sender, &receiver]).await;

    // From a range, by way of an adapter.
    let pair = |n: i64| (n, format!("number {n}"));
    let report = send::take_pair((-3..=300).map(pair)).on(&sender).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(PAIRS.all(), (-3..=300).map(pair).collect::<Vec<_>>());

    // From a Vec.
    let readings: Vec<_> = (0..100)
        .map(|n| Reading {
            sensor: format!("s{n}"),
            celsius: f64::from(n) / 3.0,
            tags: (n % 2 == 0).then(|| vec!["even".into(), String::new()]),
        })
        .collect();
    let report = send::take_reading(readings.clone()).on(&sender).await.unwrap();
    assert_eq!((report.sent, report.is_complete()), (100, true));
    assert_eq!(READINGS.all(), readings);

    // From an async stream.
    let map = |n: u32| BTreeMap::from([("n".to_owned(), n), (format!("key {n}"), n * n)]);
    let yielding = stream::iter(0..100).then(move |n| async move {
        tokio::task::yield_now().await;
        map(n)
    });
    let report = send::take_map(yielding).on(&sender).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(MAPS.all(), (0..100).map(map).collect::<Vec<_>>());

    // From a lazy generator that knows no end.
    let blobs = std::iter::successors(Some(vec![0u8]), |last| Some([&last[..], &[last.len() as u8]].concat()));
    let report = send::take_blob(blobs.clone().take(300)).on(&sender).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(BLOBS.all(), blobs.take(300).collect::<Vec<_>>());
}

/// The length of what came, and the byte that all of it should be.
static BORROWED: Journal<(usize, u8)> = Journal::new();
static OWNED: Journal<(usize, u8)> = Journal::new();

fn weight(data: &[u8]) -> (usize, u8) {
    let first = data[0];
    assert!(data.iter().all(|byte| *byte == first), "an item of {} bytes is not whole", data.len());
    (data.len(), first)
}

mod borrowed {
    use super::*;

    #[callback]
    pub(super) fn weigh(data: &[u8]) {
        BORROWED.note(weight(data));
    }
}

mod owned {
    use super::*;

    #[callback]
    pub(super) async fn weigh(data: Vec<u8>) {
        OWNED.note(weight(&data));
    }
}

#[tokio::test]
async fn items_of_one_byte_up_to_100_mebibytes() {
    const SIZES: [usize; 5] = [1, 64 << 10, 8_000_000, 33 << 20, 100 << 20];
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let borrowed = controller.node("borrowed", callbacks![borrowed::weigh]).await;
    let owned = controller.node("owned", callbacks![owned::weigh]).await;
    meet(&[&sender, &borrowed, &owned]).await;

    // Twice, so that each is once before and once after a larger one.
    let items = || SIZES.into_iter().chain(SIZES.into_iter().rev()).zip(1..);
    let source = items().map(|(size, fill)| vec![fill; size]);
    let report = within(MUCH, send::weigh(source).on(&sender).into_future()).await.unwrap();
    assert_eq!((report.sent, report.is_complete()), (10, true), "{report:?}");
    assert_eq!(BORROWED.all(), items().collect::<Vec<_>>());
    assert_eq!(OWNED.all(), items().collect::<Vec<_>>());
}

crate::journals!(nothing: fn one(n: u64));

#[tokio::test]
async fn an_empty_stream_is_complete_with_zero_items() {
    let controller = Controller::start().await;
    let (sender, receiver) =
        (controller.node("sender", []).await, controller.node("receiver", callbacks![nothing::one]).await);
    meet(&[&sender, &receiver]).await;

    for report in [
        send::one([]).on(&sender).await.unwrap(),
        send::one(Vec::new()).on(&sender).await.unwrap(),
        send::one(stream::empty()).on(&sender).await.unwrap(),
    ] {
        assert_eq!((report.sent, report.receivers.len()), (0, 1));
        assert!(report.is_complete());
    }
    assert_eq!(nothing::TOOK.count(), 0);
}

crate::journals!(many: fn count(n: u64));

#[tokio::test]
async fn ten_thousand_streams_of_one_item_one_by_one_and_fifty_at_a_time() {
    let controller = Controller::start().await;
    let (sender, receiver) =
        (controller.node("sender", []).await, controller.node("receiver", callbacks![many::count]).await);
    meet(&[&sender, &receiver]).await;

    within(MUCH, async {
        for n in 0..10_000 {
            let report = send::count([n]).on(&sender).await.unwrap();
            assert!(report.is_complete() && report.sent == 1, "stream {n}: {report:?}");
        }
    })
    .await;
    assert_eq!(many::TOOK.all(), (0..10_000).collect::<Vec<_>>());

    let all = stream::iter(10_000..20_000).for_each_concurrent(50, |n| {
        let sent = send::count([n]).on(&sender);
        async move {
            let report = sent.await.unwrap();
            assert!(report.is_complete() && report.sent == 1, "stream {n}: {report:?}");
        }
    });
    within(MUCH, all).await;
    let mut taken = many::TOOK.all();
    taken.sort_unstable();
    assert_eq!(taken, (0..20_000).collect::<Vec<_>>());
}
