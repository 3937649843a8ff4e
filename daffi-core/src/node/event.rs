//! What happens around a node, as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::broadcast;

/// How many events a slow reader may be behind before it misses some.
pub(crate) const BACKLOG: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This node has joined its controller, for the first time or again.
    Connected,
    /// This node has lost its controller.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The controller is about to stop.
    ControllerStopping,
    /// Another node has joined.
    NodeJoined {
        /// Its name.
        node: String,
    },
    /// Another node is gone.
    NodeLeft {
        /// Its name.
        node: String,
        /// Why: it left, or it was lost.
        reason: String,
    },
    /// A node offers further callbacks.
    CallbacksOffered {
        /// Its name.
        node: String,
        /// The callbacks' names.
        callbacks: Vec<String>,
    },
    /// The controller's rules do not allow callbacks that this node has offered since it joined. The node offers them no more.
    OffersRefused {
        /// The callbacks' names.
        callbacks: Vec<String>,
        /// Why, in words.
        reason: String,
    },
    /// A node has come during a live stream that this node sends, and gets it from here on.
    ReceiverJoined {
        /// The callback that takes the items.
        callback: String,
        /// The receiver's name.
        node: String,
    },
    /// A receiver is too slow for a stream that may go on without some of its items. Told to the producer and to the receiver, at most
    /// four times a second.
    ItemsDropped {
        /// The callback that takes the items.
        callback: String,
        /// The node that produces them.
        producer: String,
        /// The node that does not get them.
        receiver: String,
        /// How many of the stream's items did not reach it up to now.
        dropped: u64,
    },
    /// A receiver has left a stream that this node sends, before its end.
    ReceiverLeft {
        /// The callback that takes the items.
        callback: String,
        /// The receiver's name.
        node: String,
        /// Why.
        reason: String,
    },
    /// A stream that this node received has ended.
    StreamEnded {
        /// The callback that took the items.
        callback: String,
        /// The node that produced them.
        producer: String,
        /// How many items the callback returned from, without an error.
        delivered: u64,
        /// How many items did not come, between those that did: this node was too slow for them.
        missed: u64,
        /// How it ended.
        end: StreamEnded,
    },
    /// A call of this node failed and is tried again, as `.retry(..)` asked.
    Retried {
        /// The callback that is called.
        callback: String,
        /// Which attempt begins; the first that is announced is the second.
        attempt: u32,
        /// Why the one before failed.
        error: String,
    },
    /// The reader of the events was too slow and missed this many.
    Missed(u64),
}

/// How a stream ended at a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnded {
    /// The source had no more items.
    Finished,
    /// The source failed.
    SourceFailed {
        /// What it said.
        message: String,
    },
    /// The caller dropped the call.
    Cancelled,
    /// The controller took this node off the stream, because it finished no item for as long as the producer allows.
    Stalled,
    /// The controller's rules have changed while the stream was under way, and allow it no more.
    NotAllowed,
    /// The producer's process or its connection is gone.
    ProducerLost,
    /// Another receiver failed, and the caller wanted all or none.
    OtherReceiverFailed,
    /// The callback failed on an item.
    CallbackFailed {
        /// How.
        message: String,
    },
    /// The callback, which takes the whole stream, returned before its end.
    CallbackReturned,
    /// The time of the call is over that the stream answers.
    Deadline,
    /// This node lost its own connection.
    Disconnected,
}

/// The events of a node from the moment this was made. A reader that is too slow gets [`Event::Missed`].
pub struct Events {
    receiver: Pin<Box<dyn Stream<Item = Event> + Send + Sync>>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(broadcast::error::RecvError::Lagged(count)) => Some((Event::Missed(count), receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
        Self { receiver: Box::pin(stream) }
    }

    /// The next event; `None` once the node is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.receiver.as_mut().poll_next(cx)).await
    }

    /// Blocks the thread until the next event.
    pub fn wait_next(&mut self) -> Option<Event> {
        pollster::block_on(self.next())
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.as_mut().poll_next(cx)
    }
}
