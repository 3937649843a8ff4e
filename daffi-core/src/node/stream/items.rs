//! The items of a stream on their way to whoever takes them one by one: a callback that takes a whole stream, or the caller of
//! one that returns a stream.
//!
//! An item counts as finished when the next is asked for. So whoever takes none holds the producer back.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::{mpsc, oneshot};

use super::progress::Progress;
use crate::{
    node::event::StreamEnded,
    wire::{
        Malformed,
        batch::{self, Batch},
        credit::Credit,
        failure::Failure,
    },
};

/// The items of a stream, not yet decoded. Dropping it leaves the stream.
#[derive(Debug)]
pub struct Items {
    queue: mpsc::UnboundedReceiver<Batch>,
    /// The batch that is being taken from, and what it costs.
    open: Option<(batch::Items, Credit)>,
    /// The batches that were taken whole.
    done: Credit,
    /// An item was given out, and the next was not asked for yet.
    at_hand: bool,
    taken: u64,
    /// The number of the first item after the last batch; nothing before the first of a stream that has begun before.
    next: Option<u64>,
    missed: u64,
    /// It has been told once that there is nothing more to come.
    hesitated: bool,
    progress: Arc<Progress>,
    producer: String,
    /// Dropped when nothing more will be taken.
    wanted: Option<oneshot::Sender<()>>,
}

/// Tells when whoever takes the items has come to their end, or has dropped them.
#[derive(Debug)]
pub(super) struct Left(oneshot::Receiver<()>);

impl Left {
    /// Waits until nothing more will be taken. Cancel safe.
    pub(super) async fn left(&mut self) {
        // Nothing is ever sent: it ends with the sender.
        let _ = (&mut self.0).await;
    }
}

impl Items {
    pub(super) fn new(
        queue: mpsc::UnboundedReceiver<Batch>,
        progress: Arc<Progress>,
        producer: String,
    ) -> (Self, Left) {
        let (wanted, left) = oneshot::channel();
        let items = Self {
            queue,
            open: None,
            done: Credit::default(),
            at_hand: false,
            taken: 0,
            next: (!progress.is_late()).then_some(0),
            missed: 0,
            hesitated: false,
            progress,
            producer,
            wanted: Some(wanted),
        };
        (items, Left(left))
    }

    /// The name of the node that produces them.
    pub(super) fn producer(&self) -> &str {
        &self.producer
    }

    /// How many items were taken.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// How many items there were between those that came.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// How it ended, once it has.
    pub(super) fn end(&self) -> Option<&StreamEnded> {
        self.progress.seen()
    }

    /// Whether the next item has come with the last ones, so that it can be taken without a look at anything else.
    pub(super) fn is_within_a_batch(&self) -> bool {
        self.open.as_ref().is_some_and(|(items, _)| items.left() > 0)
    }

    /// The next item, or `None` at the end. The one before is finished thereby.
    pub(super) fn poll_item<R>(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8]) -> R) -> Poll<Option<R>> {
        if std::mem::take(&mut self.at_hand) {
            self.progress.finish_item();
        }
        loop {
            if self.end().is_some() {
                return Poll::Ready(None);
            }
            if let Some(why) = self.progress.stopped() {
                // An async callback that nobody wants any more is dropped the next time that it waits: this is the time.
                if !std::mem::replace(&mut self.hesitated, true) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.finish(why.clone());
                continue;
            }
            if let Some((items, cost)) = &mut self.open {
                match items.next_slice() {
                    Ok(Some(item)) => {
                        (self.at_hand, self.taken) = (true, self.taken + 1);
                        return Poll::Ready(Some(take(item)));
                    }
                    Ok(None) => {
                        self.done = self.done.plus(*cost);
                        self.open = None;
                        self.progress.finish(self.done);
                    }
                    Err(malformed) => self.fail(malformed_batch(malformed)),
                }
                continue;
            }
            match ready!(self.queue.poll_recv(cx)) {
                Some(batch) => self.begin(&batch),
                // Whoever fills the queue says why it stops, or has ended with the callback that these items have outlived.
                None => self.finish(self.progress.stopped().cloned().unwrap_or(StreamEnded::CallbackReturned)),
            }
        }
    }

    /// Ends the stream here: an item makes no sense.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.progress.fail(failure);
        self.leave();
    }

    fn finish(&mut self, end: StreamEnded) {
        self.progress.see(end);
        self.leave();
    }

    /// Takes nothing more.
    pub(super) fn leave(&mut self) {
        self.open = None;
        self.queue.close();
        self.wanted = None;
    }

    fn begin(&mut self, batch: &Batch) {
        let header = batch.header();
        self.missed += self.next.map_or(0, |next| header.first.saturating_sub(next));
        self.next = Some(header.next());
        match batch.stream_end() {
            Ok(Some(end)) => self.finish(end.into()),
            Ok(None) => match batch.items() {
                Ok(items) => self.open = Some((items, batch.cost())),
                Err(malformed) => self.fail(malformed_batch(malformed)),
            },
            Err(malformed) => self.fail(malformed_batch(malformed)),
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.at_hand {
            self.progress.finish_item();
        }
    }
}

/// A batch that the producer made wrongly: the controller looks at headers only, so the receiver notices.
pub(super) fn malformed_batch(malformed: Malformed) -> Failure {
    Failure::BadArguments { message: malformed.to_string() }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::wire::{
        batch::Builder,
        item_stream::StreamEnd,
        limits::{STREAM_WINDOW_BYTES, STREAM_WINDOW_ITEMS},
    };

    struct Stream {
        batches: mpsc::UnboundedSender<Batch>,
        progress: Arc<Progress>,
        items: Items,
        left: Left,
    }

    fn stream() -> Stream {
        let (batches, queue) = mpsc::unbounded_channel();
        let progress = Arc::new(Progress::default());
        let (items, left) = Items::new(queue, progress.clone(), "producer".into());
        Stream { batches, progress, items, left }
    }

    impl Stream {
        fn send(&self, first: u64, items: &[&[u8]]) {
            let mut builder = Builder::default();
            for item in items {
                let pushed = builder.push(|out| {
                    out.extend_from_slice(item);
                    Ok::<_, Infallible>(())
                });
                pushed.unwrap();
            }
            self.batches.send(builder.close(first, 0)).unwrap();
        }

        async fn next(&mut self) -> Option<Vec<u8>> {
            std::future::poll_fn(|cx| self.items.poll_item(cx, <[u8]>::to_vec)).await
        }
    }

    #[tokio::test]
    async fn an_item_is_finished_when_the_next_is_asked_for() {
        let mut stream = stream();
        stream.send(0, &[b"one", b"two"]);
        assert_eq!(stream.next().await.as_deref(), Some(&b"one"[..]));
        assert_eq!((stream.progress.items(), stream.items.is_within_a_batch()), (0, true));
        assert_eq!(stream.next().await.as_deref(), Some(&b"two"[..]));
        assert_eq!((stream.progress.items(), stream.items.is_within_a_batch()), (1, false));
        stream.batches.send(Batch::end(&StreamEnd::Finished, 2, 0)).unwrap();
        assert_eq!(stream.items.end(), None);
        assert_eq!(stream.next().await, None);
        assert_eq!((stream.progress.items(), stream.items.end()), (2, Some(&StreamEnded::Finished)));
        assert_eq!(stream.next().await, None);
        stream.left.left().await;
        assert!(stream.batches.is_closed());
    }

    #[tokio::test]
    async fn gaps_between_batches_are_counted() {
        let mut stream = stream();
        stream.send(0, &[b"0"]);
        stream.send(4, &[b"4", b"5"]);
        stream.batches.send(Batch::end(&StreamEnd::Finished, 7, 0)).unwrap();
        let mut missed = Vec::new();
        while stream.next().await.is_some() {
            missed.push(stream.items.missed());
        }
        assert_eq!((missed, stream.items.missed()), (vec![0, 3, 3], 4));
    }

    #[tokio::test]
    async fn what_is_dropped_counts_what_was_taken() {
        let mut stream = stream();
        stream.send(0, &[b"one", b"two"]);
        stream.next().await;
        drop(stream.items);
        assert_eq!(stream.progress.items(), 1);
        stream.left.left().await;
    }

    #[tokio::test]
    async fn taking_nothing_grants_nothing() {
        let mut stream = stream();
        let window = Credit { items: STREAM_WINDOW_ITEMS, bytes: STREAM_WINDOW_BYTES };
        stream.send(0, &[b"one"]);
        stream.next().await;
        assert_eq!(stream.progress.grant(), window);
        stream.send(1, &[b"two"]);
        stream.next().await;
        assert_eq!(stream.progress.grant().items, window.items + 1);
    }

    #[tokio::test]
    async fn one_that_is_stopped_waits_once_and_ends() {
        let mut stream = stream();
        stream.send(0, &[b"one"]);
        stream.progress.stop(StreamEnded::Cancelled);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(stream.items.poll_item(&mut cx, drop_item).is_pending());
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.items.end(), Some(&StreamEnded::Cancelled));
    }

    #[tokio::test]
    async fn a_batch_that_lies_is_the_end() {
        let mut stream = stream();
        let mut builder = Builder::default();
        let _ = builder.push(|out| {
            out.push(1);
            Ok::<_, Infallible>(())
        });
        let mut bytes = builder.close(0, 0).pieces()[0].to_vec();
        let item = bytes.len() - 2;
        // The item says that it is longer than the batch.
        bytes[item] = 100;
        let mut cutter = batch::Cutter::default();
        cutter.push(bytes.into());
        stream.batches.send(cutter.next_batch().unwrap().unwrap()).unwrap();
        assert_eq!(stream.next().await, None);
        assert!(matches!(stream.progress.failure(), Some(Failure::BadArguments { .. })));
    }

    fn drop_item(_: &[u8]) {}
}
