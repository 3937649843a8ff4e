//! A whole stream as the argument of a callback.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use serde_bytes::ByteBuf;

use super::{
    items::Items,
    next::{Iter, Next},
};
use crate::{
    node::{
        event::StreamEnded,
        stub::{Decode, decode_args},
    },
    wire::failure::Failure,
};

/// A stream that a callback takes as a whole: what it has as its one argument is called once for each stream, and begins with it.
///
/// ```ignore
/// #[callback]
/// fn show(mut items: Incoming<Frame>) -> Summary {
///     let mut window = Window::open(items.producer());
///     for frame in items.iter() {
///         window.show(frame);
///     }
///     Summary { ended: format!("{:?}", items.end()) }
/// }
/// ```
///
/// It is an async [`Stream`]; [`next`](Self::next) and [`iter`](Self::iter) need none of that. What the callback returns is the
/// result in the producer's report, whether or not it took all items: one that returns early leaves the stream.
///
/// An item is finished when the next is asked for, and while it is not, it counts against what the producer may send. So a
/// callback that takes its time slows the producer down, and one that asks for nothing for the producer's `stall_after` is taken off
/// the stream.
///
/// Once nobody wants the items any more, an async callback is dropped where it waits, unless it is marked `no_cancel`; that and
/// a sync one get `None` instead of further items, and [`end`](Self::end) says so. An item that is no `T` ends the stream here: the
/// producer is told that its items do not fit.
///
/// [`Stream`]: https://docs.rs/futures-core/latest/futures_core/stream/trait.Stream.html
pub struct Incoming<T> {
    items: Items,
    decode: fn(&[u8]) -> Result<T, Failure>,
}

impl<T> Incoming<T> {
    /// The next item; `None` at the end. Cancel safe.
    pub const fn next(&mut self) -> Next<'_, Self> {
        Next(self)
    }

    /// The items that are still to come, for sync callbacks: the iterator blocks the thread.
    pub const fn iter(&mut self) -> Iter<'_, Self> {
        Iter(self)
    }

    /// The name of the node that sends the stream.
    pub fn producer(&self) -> String {
        self.items.producer().to_owned()
    }

    /// How many items there were between those that came so far, by their numbers. None, unless the stream may drop items.
    pub const fn missed(&self) -> u64 {
        self.items.missed()
    }

    /// How the stream ended, once there was no next item.
    pub fn end(&self) -> Option<&StreamEnded> {
        self.items.end()
    }
}

impl<T> Stream for Incoming<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { items, decode } = &mut *self;
        Poll::Ready(match ready!(items.poll_item(cx, *decode)) {
            Some(Ok(item)) => Some(item),
            Some(Err(failure)) => {
                items.fail(failure);
                None
            }
            None => None,
        })
    }
}

impl<T> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("producer", &self.items.producer())
            .field("taken", &self.items.taken())
            .field("missed", &self.items.missed())
            .field("end", &self.items.end())
            .finish_non_exhaustive()
    }
}

/// The argument of a callback that takes a whole stream, for the macros.
pub const fn incoming<T: Decode>(items: Items) -> Incoming<T> {
    Incoming { items, decode: |item| decode_args::<(T,)>(item, 1).map(|(item,)| item) }
}

/// The same for items of bytes.
pub const fn incoming_bytes(items: Items) -> Incoming<Vec<u8>> {
    Incoming { items, decode: |item| decode_args::<(ByteBuf,)>(item, 1).map(|(item,)| item.into_vec()) }
}
