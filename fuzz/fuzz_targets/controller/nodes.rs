//! The two nodes that behave, `a` and `b`: real ones. Nobody else can make their calls fail, or give them another result.

use std::{num::NonZeroU8, time::Duration};

use daffi::{Incoming, Node, OnSlow, callback, callbacks};
use daffi_core::transport::memory;
use futures_util::{Stream, StreamExt, stream};
use tokio::task::JoinSet;

use crate::{CONTROLLER, TOKEN, script::Work};

#[callback]
async fn double(a: i64) -> i64 {
    a * 2
}

#[callback]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[callback]
async fn never() {
    std::future::pending::<()>().await;
}

#[callback]
async fn take(_item: u64) {}

/// How many there were, and their sum if they came in order.
#[callback]
async fn sum(mut items: Incoming<u64>) -> (u64, Option<u64>) {
    let (mut count, mut sum) = (0, Some(0));
    while let Some(item) = items.next().await {
        sum = sum.filter(|_| item == count).map(|sum: u64| sum.wrapping_add(item));
        count += 1;
    }
    (count, sum)
}

#[callback]
async fn count(to: u64) -> impl Stream<Item = u64> + Send {
    stream::iter(0..to)
}

mod remote {
    use daffi::fetcher;

    #[fetcher]
    pub(super) async fn double(a: i64) -> i64;

    #[fetcher]
    pub(super) async fn echo(bytes: Vec<u8>) -> Vec<u8>;

    #[fetcher]
    pub(super) async fn never();

    #[fetcher(STREAM)]
    pub(super) async fn take(item: u64);

    #[fetcher(STREAM)]
    pub(super) async fn sum(item: u64) -> (u64, Option<u64>);

    #[fetcher]
    pub(super) async fn count(to: u64) -> impl Stream<Item = u64>;
}

mod everywhere {
    #[daffi::fetcher(BROADCAST)]
    pub(super) async fn double(a: i64) -> i64;
}

/// How long a node may take in which nothing is wrong: a hostile receiver holds a stream up for 10 s.
const SOON: Duration = Duration::from_secs(60);

/// The nodes, and what they have begun.
pub(crate) struct Pair {
    a: Node,
    b: Node,
    begun: JoinSet<()>,
}

impl Pair {
    pub(crate) async fn join(network: &memory::Network) -> Self {
        let node = async |name| {
            // One that loses its connection is not to hide it.
            let builder =
                Node::builder().name(name).network(network, CONTROLLER).token(TOKEN.to_string()).reconnect(false);
            builder.callbacks(callbacks![double, echo, never, take, sum, count]).join().await.expect("it may join")
        };
        let (a, b) = (node("a").await, node("b").await);
        a.wait_process("b").await.expect("it is there");
        b.wait_process("a").await.expect("it is there");
        Self { a, b, begun: JoinSet::new() }
    }

    /// Begins something, in a task that fails if the outcome is another than it would be without the others.
    pub(crate) fn begin(&mut self, work: Work) {
        let (a, b) = (self.a.clone(), self.b.clone());
        self.begun.spawn(async move {
            match work {
                Work::Call { to_b, a: number } => {
                    let (from, to) = if to_b { (&a, "b") } else { (&b, "a") };
                    let number = i64::from(number);
                    assert_eq!(remote::double(number).to(to).on(from).timeout(SOON).await, Ok(2 * number));
                }
                Work::Broadcast { a: number } => {
                    let number = i64::from(number);
                    // Those others answer what they like, or nothing.
                    let replies = everywhere::double(number).on(&a).timeout(SOON).await.expect("b is there");
                    let reply = replies.iter().find(|reply| reply.node == "b").expect("b is there");
                    assert_eq!(reply.result, Ok(2 * number));
                }
                Work::Dropped { millis } => {
                    let call = remote::never().to("b").on(&a).timeout(SOON).into_future();
                    let dropped = tokio::time::timeout(Duration::from_millis(u64::from(millis)), call).await;
                    assert!(dropped.is_err(), "{dropped:?}");
                }
                Work::Large { kilobytes } => {
                    let bytes = vec![7; usize::from(kilobytes) << 10];
                    assert_eq!(remote::echo(bytes.clone()).to("b").on(&a).timeout(SOON).await, Ok(bytes));
                }
                Work::Stream { items } => {
                    let items = u64::from(items % 3_000);
                    let report = remote::take(stream::iter(0..items)).on(&a).await.expect("b is there");
                    let b = report.receiver("b").expect("b is there");
                    assert_eq!((report.sent, b.delivered, &b.result), (items, items, &Ok(())));
                }
                Work::Latest { items } => {
                    let items = u64::from(items);
                    let stream = remote::take(stream::iter(0..items)).on_slow(OnSlow::KeepLatest).on(&a);
                    let report = stream.await.expect("b is there");
                    let b = report.receiver("b").expect("b is there");
                    assert_eq!((report.sent, b.delivered + b.dropped, &b.result), (items, items, &Ok(())));
                }
                Work::Sum { items } => {
                    let items = u64::from(items % 3_000);
                    let report = remote::sum(stream::iter(0..items)).on(&b).await.expect("a is there");
                    let a = report.receiver("a").expect("a is there");
                    let sum = (0..items).sum();
                    assert_eq!((a.delivered, &a.result), (items, &Ok((items, Some(sum)))));
                }
                Work::Results { items } => {
                    let items = NonZeroU8::new(items).map_or(1, |items| u64::from(items.get()));
                    let results = remote::count(items).to("a").on(&b).timeout(SOON).await.expect("a is there");
                    let results: Vec<_> = results.collect().await;
                    assert!(results.into_iter().eq((0..items).map(Ok)));
                }
            }
        });
    }

    /// Waits for all that was begun, and leaves.
    pub(crate) async fn finish(&mut self) {
        // Whatever happened before: they are still there, and work.
        self.begin(Work::Call { to_b: true, a: 7 });
        self.begin(Work::Sum { items: 10 });
        while let Some(ended) = self.begun.join_next().await {
            ended.expect("each fails by itself");
        }
        self.a.stop(Duration::from_secs(1)).await;
        self.b.stop(Duration::from_secs(1)).await;
    }
}
