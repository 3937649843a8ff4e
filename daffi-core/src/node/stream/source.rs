//! What a stream can be made of: iterators, which may block, and async streams.

use std::{
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::Handle;

use super::slot::{Slot, Stop};
use crate::{
    node::{
        context::Scope,
        invoke::panic_message,
        runtime::run_blocking,
        stub::{BoxFuture, EncodeError},
    },
    wire::item_stream::StreamEnd,
};

/// Anything that gives the items of a stream: an iterator (or what turns into one), or an async
/// [`Stream`]. An iterator may block: it runs on a thread for that.
///
/// `K` tells the two apart and is inferred. For a source that can fail see [`fallible`].
///
/// [`Stream`]: https://docs.rs/futures-core/latest/futures_core/stream/trait.Stream.html
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of `{T}` items",
    label = "needs to be an iterator or an async stream of `{T}`",
    note = "a STREAM takes an `IntoIterator` or a `futures::Stream` that is `Send + 'static`; wrap one of `Result`s in `daffi::fallible`"
)]
pub trait Source<T, K>: Send + 'static {
    /// Ties the source to the encoding of its items, and to what tells with which of them a receiver can begin.
    #[doc(hidden)]
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, starts: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static;
}

/// Iterators, for the type system.
#[doc(hidden)]
#[derive(Debug)]
pub enum Blocking {}

/// Async streams, for the type system.
#[doc(hidden)]
#[derive(Debug)]
pub enum Async {}

/// Iterators of results, for the type system.
#[doc(hidden)]
#[derive(Debug)]
pub enum FallibleBlocking {}

/// Async streams of results, for the type system.
#[doc(hidden)]
#[derive(Debug)]
pub enum FallibleAsync {}

/// A source that can fail, made by [`fallible`].
#[derive(Debug, Clone)]
pub struct Fallible<S>(S);

/// Makes a source of an iterator or async stream of `Result`s: the first error ends the stream with
/// [`CallError::SourceFailed`](crate::node::CallError::SourceFailed), after the items before it.
pub const fn fallible<S>(source: S) -> Fallible<S> {
    Fallible(source)
}

/// Sources that say with which items a receiver can begin, for the type system.
#[doc(hidden)]
#[derive(Debug)]
pub struct Starting<K>(PhantomData<K>);

/// A source that says with which of its items a receiver can begin, made by [`starting`].
#[derive(Debug, Clone)]
pub struct StartingAt<S, P> {
    source: S,
    starts: P,
}

/// Says with which items of a source a receiver can begin: key frames of a video, whole states between changes. A receiver that was
/// too slow for some items goes on with the next of these, and one that comes late begins with one. Without this they can begin with
/// any; the first item of a stream always counts as one.
///
/// Works on every source, one made by [`fallible`] included: `starting(frames, |frame| frame.is_key())`.
pub const fn starting<T, K, S, P>(source: S, starts: P) -> StartingAt<S, P>
where
    S: Source<T, K>,
    P: FnMut(&T) -> bool + Send + 'static,
{
    StartingAt { source, starts }
}

impl<T, K, S, Q> Source<T, Starting<K>> for StartingAt<S, Q>
where
    T: 'static,
    K: 'static,
    S: Source<T, K>,
    Q: FnMut(&T) -> bool + Send + 'static,
{
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, mut also: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static,
    {
        let mut starts = self.starts;
        self.source.into_feed(encode, move |item| starts(item) && also(item))
    }
}

/// A source that knows how to put its items into a slot.
#[doc(hidden)]
pub struct Feed(Kind);

enum Kind {
    /// To be run on a thread that may block.
    Blocking(RunBlocking),
    /// To be run as a task.
    Async(RunAsync),
}

type RunBlocking = Box<dyn FnOnce(&Slot) -> Result<(), Stop> + Send>;
type RunAsync = Box<dyn FnOnce(Slot) -> BoxFuture<Result<(), Stop>> + Send>;

impl<T, I> Source<T, Blocking> for I
where
    T: 'static,
    I: IntoIterator<Item = T> + Send + 'static,
{
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, mut starts: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static,
    {
        Feed(Kind::Blocking(Box::new(move |slot| {
            for item in self {
                slot.put_blocking(starts(&item), |out| encode(&item, out))?;
            }
            Ok(())
        })))
    }
}

impl<T, S> Source<T, Async> for S
where
    T: 'static,
    S: Stream<Item = T> + Send + 'static,
{
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, mut starts: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static,
    {
        Feed(Kind::Async(Box::new(move |slot| {
            Box::pin(async move {
                let mut source = std::pin::pin!(self);
                loop {
                    slot.room().await;
                    let Some(item) = source.next().await else {
                        return Ok(());
                    };
                    slot.put(starts(&item), |out| encode(&item, out))?;
                }
            })
        })))
    }
}

impl<T, E, I> Source<T, FallibleBlocking> for Fallible<I>
where
    T: 'static,
    E: fmt::Display,
    I: IntoIterator<Item = Result<T, E>> + Send + 'static,
{
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, mut starts: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static,
    {
        Feed(Kind::Blocking(Box::new(move |slot| {
            for item in self.0 {
                match item {
                    Ok(item) => slot.put_blocking(starts(&item), |out| encode(&item, out))?,
                    Err(error) => return fail(slot, &error),
                }
            }
            Ok(())
        })))
    }
}

impl<T, E, S> Source<T, FallibleAsync> for Fallible<S>
where
    T: 'static,
    E: fmt::Display + Send,
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    fn into_feed<P>(self, encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodeError>, mut starts: P) -> Feed
    where
        P: FnMut(&T) -> bool + Send + 'static,
    {
        Feed(Kind::Async(Box::new(move |slot| {
            Box::pin(async move {
                let mut source = std::pin::pin!(self.0);
                loop {
                    slot.room().await;
                    match source.next().await {
                        None => return Ok(()),
                        Some(Ok(item)) => slot.put(starts(&item), |out| encode(&item, out))?,
                        Some(Err(error)) => return fail(&slot, &error),
                    }
                }
            })
        })))
    }
}

fn fail(slot: &Slot, error: &impl fmt::Display) -> Result<(), Stop> {
    slot.end(StreamEnd::SourceFailed { message: error.to_string() });
    Err(Stop::Failed)
}

impl Feed {
    /// Runs the source until it ends, fails, panics, or the slot is closed; the slot learns which. The calls that it makes belong to
    /// the callback that the scope is of.
    pub(super) fn start(self, slot: Slot, work: &Handle, scope: Option<Scope>) {
        match self.0 {
            Kind::Blocking(run) => {
                let run = move || {
                    let run = || catch_unwind(AssertUnwindSafe(|| run(&slot)));
                    let ended = match scope {
                        Some(scope) => scope.enter_sync(run),
                        None => run(),
                    };
                    conclude(&slot, ended.map_err(|panic| panic_message(&*panic)));
                };
                run_blocking(work, run);
            }
            Kind::Async(run) => {
                work.spawn(async move {
                    let running = AssertUnwindSafe(run(slot.clone())).catch_unwind();
                    let running = async {
                        match scope {
                            Some(scope) => scope.enter(running).await,
                            None => running.await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = slot.closed() => {}
                        ended = running => conclude(&slot, ended.map_err(|panic| panic_message(&*panic))),
                    }
                });
            }
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed")
    }
}

fn conclude(slot: &Slot, ended: Result<Result<(), Stop>, String>) {
    match ended {
        Ok(Ok(())) => slot.end(StreamEnd::Finished),
        Ok(Err(Stop::Closed | Stop::Failed)) => {}
        Err(message) => slot.end(StreamEnd::SourceFailed { message: format!("it panicked: {message}") }),
    }
}
