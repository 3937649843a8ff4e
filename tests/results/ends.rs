//! How a stream of results ends before its time, and that its source does too.

use std::{sync::LazyLock, time::Duration};

use daffi::{CallError, Context, callback, callbacks, fetcher};
use futures_util::{Stream, StreamExt, stream};

use crate::{MUCH, Pair, Tap, rest, within};

static ITERATOR: LazyLock<Tap> = LazyLock::new(Tap::new);
static STREAM: LazyLock<Tap> = LazyLock::new(Tap::new);
static WAITING: LazyLock<Tap> = LazyLock::new(Tap::new);
static OPENING: LazyLock<Tap> = LazyLock::new(Tap::new);
static TIMED: LazyLock<Tap> = LazyLock::new(Tap::new);
static LATE: LazyLock<Tap> = LazyLock::new(Tap::new);
static INNER: LazyLock<Tap> = LazyLock::new(Tap::new);

mod serve {
    use super::*;

    #[callback]
    pub(super) fn iterator() -> impl Iterator<Item = u64> {
        ITERATOR.open()
    }

    #[callback]
    pub(super) async fn stream_() -> impl Stream<Item = u64> {
        stream::iter(STREAM.open())
    }

    /// Two items, and then it waits for ever with the rest in its hand.
    #[callback]
    pub(super) async fn waiting() -> impl Stream<Item = u64> {
        let numbers = stream::iter(WAITING.open()).enumerate();
        numbers.then(|(at, n)| async move {
            if at == 2 {
                std::future::pending::<()>().await;
            }
            n
        })
    }

    #[callback]
    pub(super) async fn opening() -> impl Stream<Item = u64> {
        let held = OPENING.open();
        std::future::pending::<()>().await;
        stream::iter(held)
    }

    #[callback]
    pub(super) fn panicking(n: u64) -> impl Iterator<Item = u64> {
        (0..).inspect(move |at| assert!(*at < n, "out of film"))
    }

    #[callback]
    pub(super) async fn panicking_stream(n: u64) -> impl Stream<Item = u64> {
        stream::iter(panicking(n))
    }

    #[callback]
    pub(super) fn panics_at_once() -> impl Iterator<Item = u64> {
        if true {
            panic!("no camera");
        }
        0..1
    }

    #[callback]
    pub(super) fn timed(cx: Context) -> impl Iterator<Item = u64> {
        assert!(cx.remaining().is_some());
        TIMED.open()
    }

    #[callback]
    pub(super) fn words() -> impl Iterator<Item = String> {
        ["one", "two"].into_iter().map(String::from)
    }

    #[callback]
    pub(super) async fn opening_too() -> impl Stream<Item = u64> {
        let held = LATE.open();
        std::future::pending::<()>().await;
        stream::iter(held)
    }

    #[callback]
    pub(super) async fn inner() -> impl Stream<Item = u64> {
        stream::iter(INNER.open())
    }

    /// Its results are those of another call, which belongs to the one that it answers.
    #[callback]
    pub(super) async fn outer() -> Result<impl Stream<Item = Result<u64, String>>, String> {
        let numbers = ask::inner().to("inner").await.map_err(|error| error.to_string())?;
        Ok(numbers.map(|number| number.map_err(|error| error.to_string())))
    }
}

mod ask {
    use super::*;

    #[fetcher]
    pub(super) async fn iterator() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn stream_() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn waiting() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn opening() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn opening_too() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn panicking(n: u64) -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn panicking_stream(n: u64) -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn panics_at_once() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn timed() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn words() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn inner() -> impl Stream<Item = u64>;
    #[fetcher]
    pub(super) async fn outer() -> Result<impl Stream<Item = u64>, String>;
}

#[tokio::test]
async fn dropping_the_results_stops_the_source_at_once() {
    let pair = Pair::of(callbacks![serve::iterator, serve::stream_, serve::waiting]).await;
    let mut iterator = ask::iterator().on(&pair.caller).await.unwrap();
    assert_eq!(iterator.next().await, Some(Ok(0)));
    drop(iterator);
    ITERATOR.is_closed().await;

    // Untouched.
    drop(ask::stream_().on(&pair.caller).await.unwrap());
    STREAM.is_closed().await;

    // Whatever it waits for.
    let mut waiting = ask::waiting().on(&pair.caller).await.unwrap();
    assert_eq!((waiting.next().await, waiting.next().await), (Some(Ok(0)), Some(Ok(1))));
    drop(waiting);
    WAITING.is_closed().await;
}

#[tokio::test]
async fn dropping_the_call_before_the_stream_begins_stops_the_callback() {
    let pair = Pair::of(callbacks![serve::opening]).await;
    let call = tokio::spawn(ask::opening().on(&pair.caller).into_future());
    OPENING.is_open().await;
    call.abort();
    OPENING.is_closed().await;
}

#[tokio::test]
async fn a_panic_comes_after_the_items_before_it() {
    let pair = Pair::of(callbacks![serve::panicking, serve::panicking_stream, serve::panics_at_once]).await;
    for n in [0, 5, 50_000] {
        for call in [ask::panicking(n), ask::panicking_stream(n)] {
            let mut items = rest(&mut within(MUCH, call.on(&pair.caller)).await.unwrap()).await;
            let Some(Err(CallError::SourceFailed { message, sent })) = items.pop() else { panic!("{items:?}") };
            assert!(message.contains("out of film"), "{message}");
            assert_eq!(sent, n);
            assert!(items.into_iter().eq((0..n).map(Ok)));
        }
    }
    let panicked = ask::panics_at_once().on(&pair.caller).await.unwrap_err();
    assert!(matches!(&panicked, CallError::Panicked { message, .. } if message == "no camera"), "{panicked:?}");
}

#[tokio::test]
async fn the_callers_deadline_ends_both_sides() {
    let pair = Pair::of(callbacks![serve::timed, serve::opening]).await;
    let limit = Duration::from_millis(300);
    let mut numbers = ask::timed().on(&pair.caller).timeout(limit).await.unwrap();
    let mut items = rest(&mut numbers).await;
    let Some(Err(CallError::Timeout { after })) = items.pop() else { panic!("it is endless") };
    assert!(after >= limit);
    let count = items.len() as u64;
    assert!(items.into_iter().eq((0..count).map(Ok)), "what came in time came in order");
    TIMED.is_closed().await;

    // One that is not taken from.
    let idle = ask::timed().on(&pair.caller).timeout(limit).await.unwrap();
    TIMED.is_closed().await;
    drop(idle);
}

#[tokio::test]
async fn a_stream_that_does_not_begin_takes_the_nodes_default_timeout() {
    let controller = crate::common::Controller::start().await;
    let callee = controller.node("callee", callbacks![serve::opening_too]).await;
    let caller = controller.builder("caller").call_timeout(Duration::from_millis(200)).start().await.unwrap();
    crate::common::meet(&[&caller, &callee]).await;
    let error = within(MUCH, ask::opening_too().on(&caller)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    LATE.is_closed().await;
}

#[tokio::test]
async fn an_item_of_another_type_is_the_last() {
    let pair = Pair::of(callbacks![serve::words]).await;
    let mut words = ask::words().on(&pair.caller).await.unwrap();
    let items = rest(&mut words).await;
    assert!(matches!(items.as_slice(), [Err(CallError::BadReply { node, .. })] if node == "callee"), "{items:?}");
}

#[tokio::test]
async fn what_a_source_asks_of_others_ends_with_it() {
    let pair = Pair::of(callbacks![serve::outer]).await;
    let inner = pair.controller.node("inner", callbacks![serve::inner]).await;
    crate::common::meet(&[&pair.caller, &pair.callee, &inner]).await;
    let mut numbers = ask::outer().on(&pair.caller).to("callee").await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    drop(numbers);
    INNER.is_closed().await;

    // The deadline is passed on.
    let limit = Duration::from_millis(300);
    let mut numbers = ask::outer().on(&pair.caller).to("callee").timeout(limit).await.unwrap();
    let last = rest(&mut numbers).await.pop();
    assert!(matches!(last, Some(Err(CallError::Timeout { .. } | CallError::App(_)))), "{last:?}");
    INNER.is_closed().await;
}
