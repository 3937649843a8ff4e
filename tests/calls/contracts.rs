//! Stubs and callbacks that were written apart and do not agree: what cannot work is an error before anything runs, what may
//! be two spellings of one thing a warning that shows both.

use std::{
    io,
    sync::{Arc, Mutex},
};

use daffi::{CallError, callbacks};
use tracing_subscriber::fmt::MakeWriter;

use crate::{common::soon, pair, probe::Probe, served, stubs::fg};

/// Stubs of `note(key: u64, text: &str)` that pass one argument.
mod short {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn note(key: u64);

    pub(crate) mod bg {
        #[daffi::fetcher(BG)]
        pub(crate) async fn note(key: u64);
    }

    pub(crate) mod one_way {
        #[daffi::fetcher(BG(no_return))]
        pub(crate) async fn note(key: u64);
    }

    pub(crate) mod broadcast {
        #[daffi::fetcher(BROADCAST)]
        pub(crate) async fn note(key: u64);
    }

    pub(crate) mod stream {
        #[daffi::fetcher(STREAM)]
        pub(crate) async fn note(key: u64);
    }
}

#[tokio::test]
async fn a_wrong_number_of_arguments_is_an_error_before_anything_runs() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note]).await;
    let (key, caller) = (probe.key, &pair.caller);
    let mut errors = vec![
        short::note(key).on(caller).await.unwrap_err(),
        short::bg::note(key).on(caller).start().await.map(drop).unwrap_err(),
        short::one_way::note(key).on(caller).await.unwrap_err(),
        short::stream::note([key]).on(caller).await.map(drop).unwrap_err(),
    ];
    let replies = short::broadcast::note(key).on(caller).await.unwrap();
    errors.extend(replies.into_iter().map(|reply| reply.result.unwrap_err()));
    assert_eq!(errors.len(), 5);
    for error in errors {
        let CallError::Mismatch { why, stub: Some(stub), callback } = &error else {
            panic!("expected a mismatch, got {error}")
        };
        assert_eq!(*why, "the numbers of arguments differ");
        assert!(stub.starts_with("`note(key: u64)` at tests/calls/contracts.rs:"), "{stub}");
        let theirs = "`note(key: u64, text: &str)` of node \"server\" at tests/calls/served.rs:";
        assert!(callback.starts_with(theirs), "{callback}");
        assert!(!error.is_retryable(), "it would only repeat itself");
    }
    assert!(probe.told_already().is_empty(), "nothing ran");
}

/// Stubs of `add(a: i64, b: i64) -> i64` in other words.
mod other_words {
    use daffi::fetcher;

    pub(crate) type Number = i64;

    #[fetcher]
    pub(crate) async fn add(a: Number, b: i64) -> i64;

    pub(crate) mod names {
        #[daffi::fetcher]
        pub(crate) async fn add(b: i64, a: i64) -> i64;
    }

    pub(crate) mod result {
        #[daffi::fetcher]
        pub(crate) async fn add(a: i64, b: i64) -> i128;
    }
}

/// What was logged by the thread that has it as its subscriber.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn other_words_are_a_warning_that_shows_both_sides_once() {
    let pair = pair(callbacks![served::add]).await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let caller = &pair.caller;
    for _ in 0..3 {
        assert_eq!(soon(other_words::add(1, 2).on(caller).into_future()).await, Ok(3));
        assert_eq!(soon(other_words::names::add(1, 2).on(caller).into_future()).await, Ok(3));
        assert_eq!(soon(other_words::result::add(1, 2).on(caller).into_future()).await, Ok(3));
        assert_eq!(soon(fg::add(1, 2).on(caller).into_future()).await, Ok(3));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 3, "each stub once, and the one that agrees not at all: {log}");
    for (warning, what) in
        warnings.iter().zip(["types of the arguments", "names of the arguments", "types of the results"])
    {
        assert!(warning.contains(what), "{warning}");
        assert!(
            warning.contains("tests/calls/contracts.rs:") && warning.contains("tests/calls/served.rs:"),
            "{warning}"
        );
    }
}
