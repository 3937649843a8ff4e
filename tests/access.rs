//! Who is let in and who may do what, over real QUIC: certificates, rules, changed tokens, and those who try all the same.

mod common;

#[path = "access/certificates.rs"]
mod certificates;
#[path = "access/controllers.rs"]
mod controllers;
#[path = "access/environment.rs"]
mod environment;
#[path = "access/issued.rs"]
mod issued;
#[allow(dead_code, reason = "the tests of joining use the rest")]
#[path = "joining/raw.rs"]
mod raw;
#[path = "access/reload.rs"]
mod reload;
#[path = "access/rules.rs"]
mod rules;
#[path = "access/streams.rs"]
mod streams;
#[path = "access/tokens.rs"]
mod tokens;

use std::sync::atomic::{AtomicUsize, Ordering};

use daffi::{CallError, Global, JoinError, Never, Right, StartError, callback, fetcher};

use common::Controller;

/// Says who it is, and counts how often it was asked.
#[callback]
fn open() -> u64 {
    OPENED.fetch_add(1, Ordering::Relaxed);
    7
}

/// A callback that no test allows.
#[callback]
fn shut() {
    panic!("a forbidden call has reached its callback");
}

static OPENED: AtomicUsize = AtomicUsize::new(0);

mod ask {
    use super::*;

    #[fetcher]
    pub(crate) async fn open() -> u64;
    #[fetcher]
    pub(crate) async fn shut();
}

mod ask_all {
    use super::*;

    #[fetcher(BROADCAST)]
    pub(crate) async fn open() -> u64;
    #[fetcher(BROADCAST)]
    pub(crate) async fn shut();
}

/// The reason for which a node did not join.
#[track_caller]
fn refusal(started: Result<Global, StartError>) -> JoinError {
    match started {
        Err(StartError::Join(error)) => error,
        other => panic!("expected the node to be refused, got {other:?}"),
    }
}

/// That the rules forbid it, and that the error says to whom and what.
#[track_caller]
fn assert_forbidden<T: std::fmt::Debug>(
    result: Result<T, CallError<Never>>,
    [who, whom, what]: [&str; 3],
    missing: Right,
) {
    match result.unwrap_err() {
        error @ CallError::NotAllowed { .. } => {
            let said = error.to_string();
            assert!(!error.is_retryable(), "{said}");
            assert!([who, whom, what].iter().all(|word| said.contains(&format!("{word:?}"))), "{said}");
            let CallError::NotAllowed { caller, node, callback, right } = error else { unreachable!("seen above") };
            assert_eq!((&*caller, &*node, &*callback, right), (who, whom, what, missing));
        }
        other => panic!("expected the rules to forbid it, got {other}"),
    }
}

/// Nobody is there but these.
async fn assert_only(controller: &Controller, names: &[&str]) {
    let seen = controller.node("after", []).await;
    let mut there: Vec<_> = seen.nodes().into_iter().map(|node| node.name).filter(|name| name != "after").collect();
    there.sort();
    assert_eq!(there, names);
    seen.stop().await;
}
