//! What each process offers, and the stubs for it.

use std::time::Duration;

use daffi::{Incoming, callback};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Ledger, Process},
    ms,
};

/// An item of a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) stream: u64,
    pub(crate) number: u64,
}

/// An item that goes in fragments.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Large {
    pub(crate) item: Item,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// What a call is answered with: who ran it, and which it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) call: u64,
    pub(crate) process: Process,
}

pub(crate) struct Service {
    pub(crate) ledger: Ledger,
    pub(crate) process: Process,
    /// How long it takes for an item.
    pub(crate) each: Duration,
}

impl Service {
    async fn took(&self, Item { stream, number }: Item) {
        if !self.each.is_zero() {
            tokio::time::sleep(self.each).await;
        }
        self.ledger.take(stream, self.process, number);
    }
}

#[callback]
impl Service {
    #[callback]
    async fn work(&self, call: u64, millis: u64) -> Answer {
        let _running = self.ledger.begin(call);
        self.ledger.run(call, self.process);
        if millis > 0 {
            tokio::time::sleep(ms(millis)).await;
        }
        Answer { call, process: self.process }
    }

    #[callback]
    async fn take(&self, item: Item) {
        let _running = self.ledger.begin(item.stream);
        self.took(item).await;
    }

    #[callback]
    async fn weigh(&self, large: Large) {
        let _running = self.ledger.begin(large.item.stream);
        let whole = large.bytes.iter().all(|byte| u64::from(*byte) == large.item.number + 1);
        self.ledger.check(whole, || format!("an item of stream {} is not what it was", large.item.stream));
        self.took(large.item).await;
    }

    #[callback]
    async fn swallow(&self, mut items: Incoming<Item>) -> u64 {
        let mut count = 0;
        while let Some(item) = items.next().await {
            let _running = self.ledger.begin(item.stream);
            self.took(item).await;
            count += 1;
        }
        count
    }

    #[callback]
    async fn count(&self, call: u64, items: u64, millis: u64) -> impl Stream<Item = u64> + use<> {
        self.ledger.run(call, self.process);
        let running = self.ledger.begin(call);
        paced(items, ms(millis)).inspect(move |_| {
            let _ = &running;
        })
    }
}

/// The numbers below this, one after the other.
pub(crate) fn paced(items: u64, every: Duration) -> impl Stream<Item = u64> + Send + Unpin + 'static {
    let wait = move |number| async move {
        if !every.is_zero() {
            tokio::time::sleep(every).await;
        }
        number
    };
    stream::iter(0..items).then(move |number| wait(number).boxed())
}

pub(crate) mod remote {
    use daffi::fetcher;

    use super::{Answer, Item, Large};

    #[fetcher]
    pub(crate) async fn work(call: u64, millis: u64) -> Answer;

    #[fetcher(STREAM)]
    pub(crate) async fn take(item: Item);

    #[fetcher(STREAM)]
    pub(crate) async fn weigh(item: Large);

    #[fetcher(STREAM)]
    pub(crate) async fn swallow(item: Item) -> u64;

    #[fetcher]
    pub(crate) async fn count(call: u64, items: u64, millis: u64) -> impl Stream<Item = u64>;

    pub(crate) mod idempotent {
        use super::Answer;

        #[daffi::fetcher(idempotent)]
        pub(crate) async fn work(call: u64, millis: u64) -> Answer;
    }

    pub(crate) mod repeated {
        use super::Answer;

        #[daffi::fetcher(PERIOD)]
        pub(crate) async fn work(call: u64, millis: u64) -> Answer;
    }

    pub(crate) mod all {
        use super::Answer;

        #[daffi::fetcher(BROADCAST)]
        pub(crate) async fn work(call: u64, millis: u64) -> Answer;
    }
}
