//! The two nodes that behave, `a` and `b`: real ones. No other peer can make their calls fail, or give them another result. The rules
//! can, and what the two do together may be more than a limit.

use std::{num::NonZeroU8, time::Duration};

use daffi::{CallError, Incoming, Node, OnSlow, Right, callback, callbacks};
use daffi_core::transport::memory;
use futures_util::{Stream, StreamExt, stream};
use tokio::task::JoinSet;

use crate::{CONTROLLER, TOKEN, outcomes::Asked, script::Work, terms::Law};

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

/// What a message has beside its payload, at most.
const AROUND: u64 = 64;

/// The nodes, and what they have begun.
pub(crate) struct Pair {
    a: Node,
    b: Node,
    law: Law,
    begun: JoinSet<()>,
}

impl Pair {
    pub(crate) async fn join(network: &memory::Network, law: Law) -> Self {
        let node = async |name| {
            // One that loses its connection is not to hide it.
            let builder =
                Node::builder().name(name).network(network, CONTROLLER).token(TOKEN.to_string()).reconnect(false);
            builder.callbacks(callbacks![double, echo, never, take, sum, count]).join().await.expect("it may join")
        };
        let (a, b) = (node("a").await, node("b").await);
        a.wait_process("b").await.expect("it is there");
        b.wait_process("a").await.expect("it is there");
        Self { a, b, law, begun: JoinSet::new() }
    }

    /// Begins something, in a task that fails if the outcome is another than it would be without the others.
    pub(crate) fn begin(&mut self, work: Work) {
        self.begun.spawn(run(work, self.a.clone(), self.b.clone(), self.law.clone()));
    }

    /// Waits for all that was begun, and leaves.
    pub(crate) async fn finish(&mut self) {
        self.ended().await;
        // Whatever happened before: they are still there, and work, once they may.
        self.law.replace(Vec::new());
        // What was cancelled last counts until its callee knows.
        tokio::time::sleep(SOON).await;
        self.begin(Work::Call { to_b: true, a: 7 });
        self.begin(Work::Sum { items: 10 });
        self.ended().await;
        self.a.stop(Duration::from_secs(1)).await;
        self.b.stop(Duration::from_secs(1)).await;
    }

    async fn ended(&mut self) {
        while let Some(ended) = self.begun.join_next().await {
            ended.expect("each fails by itself");
        }
    }
}

async fn run(work: Work, a: Node, b: Node, law: Law) {
    let since = law.now();
    let asked = |right, names| Asked { law: &law, since, right, names };
    match work {
        Work::Call { to_b, a: number } => {
            let (node, names) = if to_b { (&a, ["a", "b", "double"]) } else { (&b, ["b", "a", "double"]) };
            let number = i64::from(number);
            let result = remote::double(number).to(names[1]).on(node).timeout(SOON).await;
            if asked(Right::Call, names).is_done(&result) {
                assert_eq!(result, Ok(2 * number));
            }
        }
        Work::Broadcast { a: number } => {
            let number = i64::from(number);
            // Those others answer what they like, or nothing.
            let replies = everywhere::double(number).on(&a).timeout(SOON).await.expect("b is there");
            let reply = replies.iter().find(|reply| reply.node == "b").expect("b is there");
            if asked(Right::Call, ["a", "b", "double"]).is_done(&reply.result) {
                assert_eq!(reply.result, Ok(2 * number));
            }
        }
        Work::Dropped { millis } => {
            let call = remote::never().to("b").on(&a).timeout(SOON).into_future();
            let dropped = tokio::time::timeout(Duration::from_millis(u64::from(millis)), call).await;
            if let Ok(result) = dropped {
                assert!(!asked(Right::Call, ["a", "b", "never"]).is_done(&result), "it returned");
            }
        }
        Work::Large { kilobytes } => {
            let bytes = vec![7; usize::from(kilobytes) << 10];
            let result = remote::echo(bytes.clone()).to("b").on(&a).timeout(SOON).await;
            let (length, most) = (bytes.len() as u64, law.limits().message_size);
            if let Err(CallError::TooLarge { limit, .. }) = result {
                assert!(limit == most && length + AROUND > most, "{length} bytes are not too large for {most}");
            } else if asked(Right::Call, ["a", "b", "echo"]).is_done(&result) {
                assert!(length <= most && result == Ok(bytes), "{length} bytes came, of {most}");
            }
        }
        Work::Stream { items } => {
            let items = u64::from(items % 3_000);
            let report = remote::take(stream::iter(0..items)).on(&a).await.expect("b is there");
            let at_b = report.receiver("b").expect("b is there");
            if asked(Right::Stream, ["a", "b", "take"]).is_done(&at_b.result) {
                assert_eq!((report.sent, at_b.delivered), (items, items));
            }
        }
        Work::Latest { items } => {
            let items = u64::from(items);
            let stream = remote::take(stream::iter(0..items)).on_slow(OnSlow::KeepLatest).on(&a);
            let report = stream.await.expect("b is there");
            let at_b = report.receiver("b").expect("b is there");
            if asked(Right::Stream, ["a", "b", "take"]).is_done(&at_b.result) {
                assert_eq!((report.sent, at_b.delivered + at_b.dropped), (items, items));
            }
        }
        Work::Sum { items } => {
            let items = u64::from(items % 3_000);
            let report = remote::sum(stream::iter(0..items)).on(&b).await.expect("a is there");
            let at_a = report.receiver("a").expect("a is there");
            if asked(Right::Stream, ["b", "a", "sum"]).is_done(&at_a.result) {
                assert_eq!((at_a.delivered, &at_a.result), (items, &Ok((items, Some((0..items).sum())))));
            }
        }
        Work::Results { items } => {
            let items = NonZeroU8::new(items).map_or(1, |items| u64::from(items.get()));
            let asked = asked(Right::Call, ["b", "a", "count"]);
            let called = remote::count(items).to("a").on(&b).timeout(SOON).await;
            if !asked.is_done(&called.as_ref().map(|_| ()).map_err(Clone::clone)) {
                return;
            }
            let mut results: Vec<_> = called.expect("it is one").collect().await;
            // Other rules end it on the way.
            let is_whole = results.pop_if(|last| last.is_err()).is_none_or(|last| asked.is_done(&last));
            assert!(!is_whole || results.len() as u64 == items, "there are {} of {items}", results.len());
            assert!((0..items).map(Ok).take(results.len()).eq(results));
        }
    }
}
