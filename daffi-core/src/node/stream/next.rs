//! Taking a stream item by item, in async code and without it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_core::Stream;

/// The next item of a stream: `.await` it, or `.wait()` where there is no async runtime; `None` at the end. Cancel safe: dropping
/// it loses no item.
#[derive(Debug)]
#[must_use = "it does nothing until it is awaited or waited for"]
pub struct Next<'a, S>(pub(super) &'a mut S);

impl<S: Stream + Unpin> Next<'_, S> {
    /// Blocks the thread until there is an item, or none any more. In async code it would hold up other tasks of the thread.
    pub fn wait(self) -> Option<S::Item> {
        // Most items have come with others already, and need no waker.
        match Pin::new(&mut *self.0).poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(item) => item,
            Poll::Pending => pollster::block_on(self),
        }
    }
}

impl<S: Stream + Unpin> Future for Next<'_, S> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(cx)
    }
}

/// The items of a stream as an iterator, which blocks the thread while it waits for one.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is iterated over"]
pub struct Iter<'a, S>(pub(super) &'a mut S);

impl<S: Stream + Unpin> Iterator for Iter<'_, S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        Next(self.0).wait()
    }
}
