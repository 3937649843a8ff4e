//! What a callback sees of its stream, and what the producer gets back.

use std::sync::atomic::{AtomicU64, Ordering};

use daffi::{CallError, Context, Incoming, StreamEnded, callback, callbacks, fetcher};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::{MUCH, Pair, ended, within};

/// What a callback says of the stream that it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    count: u64,
    in_order: bool,
    producer: String,
    missed: u64,
    end: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("enough after {0}")]
struct Enough(u64);

impl Summary {
    fn of(items: &Incoming<u64>, taken: impl IntoIterator<Item = u64>) -> Self {
        let (mut count, mut in_order) = (0, true);
        for item in taken {
            in_order &= item == count;
            count += 1;
        }
        let end = items.end().map_or_else(|| "none".into(), |end| format!("{end:?}"));
        Self { count, in_order, producer: items.producer(), missed: items.missed(), end }
    }

    fn of_all(count: u64) -> Self {
        Self { count, in_order: true, producer: "sender".into(), missed: 0, end: "Finished".into() }
    }
}

mod take {
    use super::*;

    #[callback]
    pub(super) fn iterated(mut items: Incoming<u64>) -> Summary {
        assert_eq!(items.end(), None);
        let taken: Vec<_> = items.iter().collect();
        Summary::of(&items, taken)
    }

    #[callback]
    pub(super) fn waited(cx: Context, mut items: Incoming<u64>) -> Summary {
        assert_eq!((cx.caller(), cx.call_id()), (items.producer(), None));
        let mut taken = Vec::new();
        while let Some(item) = items.next().wait() {
            taken.push(item);
        }
        Summary::of(&items, taken)
    }

    #[callback]
    pub(super) async fn awaited(mut items: Incoming<u64>) -> Summary {
        let mut taken = Vec::new();
        while let Some(item) = items.next().await {
            taken.push(item);
        }
        Summary::of(&items, taken)
    }

    #[callback]
    pub(super) async fn streamed(items: Incoming<u64>) -> Summary {
        let mut items = items;
        let taken: Vec<_> = items.by_ref().collect().await;
        Summary::of(&items, taken)
    }

    #[callback]
    pub(super) fn bytes(mut pages: Incoming<Vec<u8>>) -> u64 {
        pages.iter().map(|page| page.len() as u64).sum()
    }

    /// Begins with the stream, before any item is there.
    #[callback]
    pub(super) async fn begins(_items: Incoming<u64>) -> String {
        "begun".into()
    }

    #[callback]
    pub(super) fn some(mut items: Incoming<u64>) -> u64 {
        items.iter().take(10).sum()
    }

    #[callback]
    pub(super) async fn fails(mut items: Incoming<u64>) -> Result<u64, Enough> {
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item;
            if item == 20 {
                return Err(Enough(item));
            }
        }
        Ok(sum)
    }

    #[callback]
    pub(super) fn large(_items: Incoming<u64>) -> String {
        "x".repeat(300 << 10)
    }

    #[callback]
    pub(super) async fn panics(mut items: Incoming<u64>) -> u64 {
        while let Some(item) = items.next().await {
            assert!(item < 3, "choked on {item}");
        }
        0
    }
}

static ONE_BY_ONE: AtomicU64 = AtomicU64::new(0);

mod one_by_one {
    use super::*;

    #[callback]
    pub(super) fn some(_item: u64) {
        ONE_BY_ONE.fetch_add(1, Ordering::Relaxed);
    }
}

mod send {
    use super::*;

    #[fetcher(STREAM)]
    pub(super) async fn iterated(item: u64) -> Summary;
    #[fetcher(STREAM)]
    pub(super) async fn waited(item: u64) -> Summary;
    #[fetcher(STREAM)]
    pub(super) async fn awaited(item: u64) -> Summary;
    #[fetcher(STREAM)]
    pub(super) async fn streamed(item: u64) -> Summary;
    #[fetcher(STREAM)]
    pub(super) async fn bytes(page: Vec<u8>) -> u64;
    #[fetcher(STREAM)]
    pub(super) async fn begins(item: u64) -> String;
    #[fetcher(STREAM)]
    pub(super) async fn some(item: u64) -> u64;
    #[fetcher(STREAM, name = "some")]
    pub(super) async fn to_anyone(item: u64);
    #[fetcher(STREAM)]
    pub(super) async fn fails(item: u64) -> Result<u64, Enough>;
    #[fetcher(STREAM)]
    pub(super) async fn large(item: u64) -> String;
    #[fetcher(STREAM)]
    pub(super) async fn panics(item: u64) -> u64;
}

#[tokio::test]
async fn each_way_to_take_a_stream_sees_all_of_it_in_order() {
    let callbacks = callbacks![take::iterated, take::waited, take::awaited, take::streamed, take::bytes];
    let pair = Pair::of(callbacks).await;
    let mut events = pair.receiver.events();
    for count in [0, 1, 100_000] {
        let calls =
            [send::iterated(0..count), send::waited(0..count), send::awaited(0..count), send::streamed(0..count)];
        for call in calls {
            let report = within(MUCH, call.on(&pair.sender)).await.unwrap();
            assert!(report.is_complete() && report.sent == count, "{report:?}");
            assert_eq!(report.receiver("receiver").unwrap().result, Ok(Summary::of_all(count)));
            assert_eq!(ended(&mut events).await, (count, StreamEnded::Finished));
        }
    }
    let report = within(MUCH, send::bytes((0..100).map(|_| vec![7; 100_000])).on(&pair.sender)).await.unwrap();
    assert_eq!(report.receiver("receiver").unwrap().result, Ok(10_000_000));
}

#[tokio::test]
async fn a_callback_begins_with_its_stream_and_may_return_at_once() {
    let pair = Pair::of(callbacks![take::begins]).await;
    let mut events = pair.receiver.events();
    let call = send::begins(futures_util::stream::pending()).on(&pair.sender);
    let report = within(MUCH, call).await.unwrap();
    assert_eq!(report.receiver("receiver").unwrap().result, Ok("begun".into()));
    assert_eq!(ended(&mut events).await, (0, StreamEnded::CallbackReturned));
}

#[tokio::test]
async fn one_that_returns_early_leaves_and_the_others_go_on() {
    let pair = Pair::of(callbacks![take::some]).await;
    let other = pair.controller.node("other", callbacks![one_by_one::some]).await;
    crate::common::meet(&[&pair.sender, &pair.receiver, &other]).await;
    let report = within(MUCH, send::to_anyone(0..100_000).on(&pair.sender)).await.unwrap();
    let early = report.receiver("receiver").unwrap();
    assert_eq!((early.delivered, &early.result), (10, &Ok(())));
    let other = report.receiver("other").unwrap();
    assert_eq!((other.delivered, &other.result), (100_000, &Ok(())));
    assert_eq!(ONE_BY_ONE.load(Ordering::Relaxed), 100_000);
    assert!(!report.is_complete());

    // Without others the stream ends with it, although the source is endless. The other callback is no whole one.
    let report = within(MUCH, send::some(0..).on(&pair.sender)).await.unwrap();
    let early = report.receiver("receiver").unwrap();
    assert_eq!((early.delivered, &early.result), (10, &Ok(45)));
    assert!(matches!(report.receiver("other").unwrap().result, Err(CallError::Mismatch { .. })), "{report:?}");
}

#[tokio::test]
async fn the_callbacks_own_error_and_its_panic_are_the_receivers_failure() {
    let pair = Pair::of(callbacks![take::fails, take::panics, take::large]).await;
    let mut events = pair.receiver.events();
    let report = within(MUCH, send::fails(0..100_000).on(&pair.sender)).await.unwrap();
    let failed = report.receiver("receiver").unwrap();
    assert_eq!((failed.delivered, &failed.result), (21, &Err(CallError::App(Enough(20)))));
    assert!(matches!(ended(&mut events).await, (21, StreamEnded::CallbackFailed { .. })));
    let report = within(MUCH, send::fails(0..20).on(&pair.sender)).await.unwrap();
    assert_eq!(report.receiver("receiver").unwrap().result, Ok(190));

    let report = within(MUCH, send::panics(0..).on(&pair.sender)).await.unwrap();
    let result = &report.receiver("receiver").unwrap().result;
    assert!(matches!(result, Err(CallError::Panicked { message, .. }) if message == "choked on 3"), "{result:?}");

    let report = within(MUCH, send::large(0..1).on(&pair.sender)).await.unwrap();
    let result = &report.receiver("receiver").unwrap().result;
    let size = (300 << 10) + 5;
    assert!(matches!(result, Err(CallError::TooLarge { size: found, .. }) if *found == size), "{result:?}");
}
