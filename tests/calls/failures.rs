//! What goes wrong, and the typed error for each of it. The node that it happened on goes on serving every time.

use std::{
    fmt::{Debug, Display},
    time::Duration,
};

use daffi::{CallError, Global, callback, callbacks};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    common::{event, meet, soon},
    pair,
    probe::{Probe, tell},
    served,
    stubs::{bg, broadcast, fg, one_way},
};

/// How large a payload may be: 256 MiB.
const LIMIT: u64 = 256 << 20;

/// The error, which surely says that the callback did not run, or does not.
#[track_caller]
fn error<T: Debug, E: Debug + Display>(result: Result<T, CallError<E>>, retryable: bool) -> CallError<E> {
    let error = result.expect_err("the call fails");
    assert_eq!(error.is_retryable(), retryable, "{error}");
    error
}

async fn assert_serves(caller: &Global) {
    assert_eq!(fg::add(1, 2).on(caller).await, Ok(3), "the node goes on serving async callbacks");
    assert_eq!(fg::add_blocking(1, 2).on(caller).await, Ok(3), "the node goes on serving blocking callbacks");
}

/// Stubs that do not fit what they call, or call what is not there.
mod wrong {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn subtract(a: i64, b: i64) -> i64;

    pub(crate) mod types {
        use daffi::fetcher;

        #[fetcher]
        pub(crate) async fn add(a: i64, b: &str) -> i64;

        #[fetcher]
        pub(crate) async fn add_blocking(a: i64, b: f64) -> i64;
    }

    pub(crate) mod result {
        use daffi::fetcher;

        #[fetcher]
        pub(crate) async fn add(a: i64, b: i64) -> String;
    }
}

#[tokio::test]
async fn an_unknown_callback_is_an_error_that_lists_the_known_ones() {
    let pair = pair(callbacks![served::add_blocking, served::add]).await;
    let known = vec!["add".into(), "add_blocking".into()];
    let expected = CallError::NoCallback { name: "subtract".into(), node: None, known };
    let unknown = error(wrong::subtract(1, 2).on(&pair.caller).await, true);
    assert_eq!(unknown, expected);
    assert_eq!(unknown.to_string(), r#"no other node offers "subtract"; known callbacks: add, add_blocking"#);

    assert!(matches!(error(bg::who().on(&pair.caller).start().await, true), CallError::NoCallback { .. }));
    assert!(matches!(error(one_way::note(1, "").on(&pair.caller).await, true), CallError::NoCallback { .. }));
    assert!(matches!(error(broadcast::who().on(&pair.caller).await, true), CallError::NoCallback { .. }));
    // A node's own callbacks are not for its own calls.
    let alone = error(fg::add(1, 2).on(&pair.server).await, true);
    assert_eq!(alone.to_string(), r#"no other node offers "add"; known callbacks: none"#);
    assert_serves(&pair.caller).await;
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_an_error_and_the_callback_does_not_run() {
    let pair = pair(callbacks![served::add, served::add_blocking]).await;
    for call in [wrong::types::add(1, "two"), wrong::types::add_blocking(1, 2.5)] {
        match error(call.on(&pair.caller).await, false) {
            CallError::BadArguments { node, .. } => assert_eq!(node, "server"),
            other => panic!("expected bad arguments, got {other}"),
        }
        assert_serves(&pair.caller).await;
    }
}

#[tokio::test]
async fn a_result_that_does_not_fit_the_stub_is_an_error() {
    let pair = pair(callbacks![served::add, served::add_blocking]).await;
    let result = error(wrong::result::add(1, 2).on(&pair.caller).await, false);
    assert!(matches!(&result, CallError::BadReply { node, .. } if node == "server"), "{result}");
    assert_serves(&pair.caller).await;
}

#[callback]
async fn panics(text: Option<String>) {
    match text {
        Some(text) => panic!("{text}"),
        None => std::panic::panic_any(7),
    }
}

#[callback]
fn panics_blocking(text: Option<String>) {
    match text {
        Some(text) => panic!("{text}"),
        None => std::panic::panic_any(7),
    }
}

mod panicking {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn panics(text: Option<&str>);

    #[fetcher]
    pub(crate) async fn panics_blocking(text: Option<&str>);
}

#[tokio::test]
async fn a_panic_is_an_error_with_its_message() {
    let pair = pair(callbacks![panics, panics_blocking, served::add, served::add_blocking]).await;
    for (text, message) in [(Some("out of paper"), "out of paper"), (None, "no message")] {
        for call in [panicking::panics(text), panicking::panics_blocking(text)] {
            let panicked = error(call.on(&pair.caller).await, false);
            assert_eq!(panicked, CallError::Panicked { node: "server".into(), message: message.into() });
            assert_serves(&pair.caller).await;
        }
    }
}

/// Never encodes.
#[derive(Debug, PartialEq, Deserialize)]
struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("words fail me"))
    }
}

impl Display for Unspeakable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unspeakable")
    }
}

#[callback]
async fn unspeakable(key: u64) -> Unspeakable {
    tell(key, "ran");
    Unspeakable
}

#[callback]
fn unspeakable_error(key: u64) -> Result<u32, Unspeakable> {
    tell(key, "ran");
    Err(Unspeakable)
}

mod speechless {
    use daffi::fetcher;

    use super::Unspeakable;

    #[fetcher]
    pub(crate) async fn unspeakable(key: u64) -> Unspeakable;

    #[fetcher]
    pub(crate) async fn unspeakable_error(key: u64) -> Result<u32, Unspeakable>;

    pub(crate) mod argument {
        use daffi::fetcher;

        use super::Unspeakable;

        #[fetcher]
        pub(crate) async fn add(a: Unspeakable, b: i64) -> i64;
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_encoded_is_an_error() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![unspeakable, unspeakable_error, served::add, served::add_blocking]).await;
    match error(speechless::unspeakable(probe.key).on(&pair.caller).await, false) {
        CallError::BadResult { node, message } => assert_eq!((&*node, &*message), ("server", "words fail me")),
        other => panic!("expected a bad result, got {other}"),
    }
    let failed = error(speechless::unspeakable_error(probe.key).on(&pair.caller).await, false);
    assert!(matches!(failed, CallError::BadResult { .. }), "{failed}");
    assert_eq!((probe.told().await, probe.told().await), ("ran".into(), "ran".into()));
    assert_serves(&pair.caller).await;
}

#[tokio::test]
async fn arguments_that_cannot_be_encoded_are_an_error_of_the_caller() {
    let pair = pair(callbacks![served::add, served::add_blocking]).await;
    let unsent = error(speechless::argument::add(Unspeakable, 1).on(&pair.caller).await, false);
    assert_eq!(unsent, CallError::Encode { message: "words fail me".into() });
    assert_serves(&pair.caller).await;
}

#[callback]
fn zeros(count: u64) -> Vec<u8> {
    vec![0; count as usize]
}

#[callback]
fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

mod large {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn zeros(count: u64) -> Vec<u8>;

    #[fetcher]
    pub(crate) async fn length(bytes: &[u8]) -> u64;
}

#[tokio::test]
async fn what_is_too_large_is_an_error_that_says_how_large_it_may_be() {
    let pair = pair(callbacks![zeros, length, served::add, served::add_blocking]).await;
    let size = LIMIT + (1 << 20);
    match error(large::zeros(size).on(&pair.caller).await, false) {
        CallError::TooLarge { what: "the result", size: said, limit: LIMIT } => assert!(said >= size),
        other => panic!("expected too large a result, got {other}"),
    }
    assert_serves(&pair.caller).await;
    match error(large::length(&vec![0; size as usize]).on(&pair.caller).await, false) {
        CallError::TooLarge { what: "the arguments", size: said, limit: LIMIT } => assert!(said >= size),
        other => panic!("expected too large arguments, got {other}"),
    }
    assert_serves(&pair.caller).await;
}

#[tokio::test]
async fn callbacks_that_never_answer_hold_up_nobody() {
    let probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::hold_blocking, served::add, served::add_blocking]).await;
    for _ in 0..20 {
        for call in [fg::hold(probe.key), fg::hold_blocking(probe.key)] {
            let late = error(call.on(&pair.caller).timeout(Duration::from_millis(20)).await, false);
            assert!(matches!(late, CallError::Timeout { .. }), "{late}");
        }
    }
    assert_serves(&pair.caller).await;
}

/// An error of the application.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum MathError {
    DivisionByZero,
    Overflow { a: i64, b: i64 },
}

impl Display for MathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::Overflow { a, b } => write!(f, "{a} / {b} overflows"),
        }
    }
}

#[callback]
async fn div(a: i64, b: i64) -> Result<i64, MathError> {
    match b {
        0 => Err(MathError::DivisionByZero),
        _ => a.checked_div(b).ok_or(MathError::Overflow { a, b }),
    }
}

mod math {
    use daffi::fetcher;

    use super::MathError;

    #[fetcher]
    pub(crate) async fn div(a: i64, b: i64) -> Result<i64, MathError>;

    pub(crate) mod without_error {
        use daffi::fetcher;

        #[fetcher]
        pub(crate) async fn div(a: i64, b: i64) -> i64;
    }
}

#[tokio::test]
async fn the_callbacks_own_error_arrives_as_it_was() {
    let pair = pair(callbacks![div, served::add, served::add_blocking]).await;
    assert_eq!(math::div(7, 2).on(&pair.caller).await, Ok(3));
    let zero = error(math::div(7, 0).on(&pair.caller).await, false);
    assert_eq!(zero, CallError::App(MathError::DivisionByZero));
    assert_eq!(zero.to_string(), "the callback returned an error: division by zero");
    let overflow = error(math::div(i64::MIN, -1).on(&pair.caller).await, false);
    assert_eq!(overflow, CallError::App(MathError::Overflow { a: i64::MIN, b: -1 }));

    assert_eq!(math::without_error::div(7, 2).on(&pair.caller).await, Ok(3));
    match error(math::without_error::div(7, 0).on(&pair.caller).await, false) {
        CallError::BadReply { message, .. } => {
            assert!(message.contains("this stub says that it has none"), "{message}");
        }
        other => panic!("expected a bad reply, got {other}"),
    }
    assert_serves(&pair.caller).await;
}

#[tokio::test]
async fn a_call_whose_node_is_lost_ends_and_says_that_it_may_have_run() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::add, served::add_blocking]).await;
    let lost = pair.controller.node("lost", callbacks![served::hold]).await;
    meet(&[&pair.caller, &lost]).await;
    let call = tokio::spawn(fg::hold(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "hold began");
    drop(lost);
    assert_eq!(error(soon(call).await.unwrap(), false), CallError::NodeLost { node: "lost".into() });
    assert_serves(&pair.caller).await;
}

#[tokio::test]
async fn a_call_ends_when_its_own_node_stops() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let call = tokio::spawn(fg::hold(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "hold began");
    pair.caller.stop_within(Duration::ZERO).await;
    assert_eq!(error(soon(call).await.unwrap(), false), CallError::ControllerLost);
    assert_eq!(probe.told().await, "hold is gone");
    let after = error(fg::hold(probe.key).on(&pair.caller).await, true);
    assert!(matches!(after, CallError::NotConnected { .. }), "{after}");
}

#[tokio::test]
async fn a_controller_that_stops_lets_calls_finish_and_begins_none() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::add]).await;
    let mut events = pair.caller.events();
    let running = tokio::spawn(fg::hold(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "hold began");
    let controller = pair.controller.global().clone();
    let stopped = tokio::spawn(controller.stop_within(Duration::from_secs(20)));
    event(&mut events, |event| (*event == daffi::Event::ControllerStopping).then_some(())).await;

    assert_eq!(error(fg::add(1, 2).on(&pair.caller).await, true), CallError::Stopping { who: "the controller".into() });
    for reply in broadcast::add(1, 2).on(&pair.caller).await.unwrap() {
        assert_eq!(reply.result, Err(CallError::Stopping { who: "the controller".into() }));
    }
    probe.open();
    assert_eq!(soon(running).await.unwrap(), Ok(probe.key));
    soon(stopped).await.unwrap();
}

#[tokio::test]
async fn a_call_ends_when_the_controller_is_lost() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let call = tokio::spawn(fg::hold(probe.key).on(&pair.caller).into_future());
    assert_eq!(probe.told().await, "hold began");
    pair.controller.global().stop_within(Duration::ZERO).await;
    assert_eq!(error(soon(call).await.unwrap(), false), CallError::ControllerLost);
    assert_eq!(probe.told().await, "hold is gone");
    let after = error(fg::hold(probe.key).on(&pair.caller).await, true);
    assert!(matches!(after, CallError::NotConnected { .. }), "{after}");
}
