//! The methods of values as callbacks, and client types.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use daffi::{Context, JoinError, callback, callbacks};

use crate::{
    common::{Controller, meet, soon},
    in_a_plain_thread, served,
};

#[derive(Debug, Default)]
struct Counter {
    count: AtomicI64,
}

#[callback]
impl Counter {
    #[callback]
    async fn bump(&self, by: i64) -> i64 {
        self.add(by)
    }

    #[callback(name = "bump_blocking")]
    fn bump_on_a_thread(&self, by: i64) -> Result<i64, String> {
        if by == 0 { Err("by nothing".into()) } else { Ok(self.add(by)) }
    }

    /// Those who ask hear who they are.
    #[callback]
    fn who(&self, cx: &Context, greeting: &str) -> String {
        format!("{greeting} {}, it is {}", cx.caller(), self.count.load(Ordering::Relaxed))
    }

    #[callback]
    fn unit() -> String {
        "apples".into()
    }

    fn add(&self, by: i64) -> i64 {
        self.count.fetch_add(by, Ordering::Relaxed) + by
    }
}

mod client {
    use daffi::fetcher;

    /// A remote counter.
    #[fetcher]
    pub(crate) trait Counter {
        /// Adds.
        async fn bump(by: i64) -> i64;
        async fn bump_blocking(by: i64) -> Result<i64, String>;
        fn who(greeting: &str) -> String;
        fn unit() -> String;
        #[fetcher(STREAM, name = "bump")]
        async fn bump_all(by: i64);
        #[fetcher(BROADCAST, name = "bump")]
        async fn bump_everywhere(by: i64) -> i64;
        #[fetcher(BG(no_return), name = "bump")]
        async fn bump_sometime(by: i64);
        #[fetcher(name = "add")]
        async fn hidden(by: i64) -> i64;
    }
}
use client::Counter as Client;

#[tokio::test]
async fn the_methods_of_a_value_are_called_on_it() {
    let controller = Controller::start().await;
    let counter = Arc::new(Counter::default());
    let server = controller.builder("server").serve(counter.clone()).start().await.unwrap();
    let caller = controller.node("caller", []).await;
    meet(&[&server, &caller]).await;

    let client = Client::new().on(&caller);
    assert_eq!(client.bump(2).await, Ok(2));
    assert_eq!(client.bump_blocking(3).await, Ok(5));
    assert_eq!(client.bump_blocking(0).await, Err(daffi::CallError::App("by nothing".into())));
    assert_eq!(client.who("hello").await.as_deref(), Ok("hello caller, it is 5"));
    assert_eq!(client.unit().to("server").await.as_deref(), Ok("apples"));
    assert!(client.bump_all(1..=4).await.unwrap().is_complete());
    assert_eq!(client.bump_everywhere(1).await.unwrap()[0].result, Ok(16));
    assert_eq!(counter.count.load(Ordering::Relaxed), 16, "whoever keeps an Arc has a hand on it");

    let hidden = client.hidden(1).await.unwrap_err().to_string();
    assert!(
        hidden.starts_with(r#"no other node offers "add"; known callbacks: bump, bump_blocking, unit, who"#),
        "{hidden}"
    );
    let waited = in_a_plain_thread({
        let client = client.clone();
        move || (client.bump_sometime(4).wait(), client.bump(0).wait())
    });
    // Nobody waits for the one, so the other may overtake it.
    assert!(matches!(waited.await, (Ok(()), Ok(16 | 20))));
    let arrived = async {
        while client.bump(0).await != Ok(20) {
            tokio::task::yield_now().await;
        }
    };
    soon(arrived).await;
}

#[tokio::test]
async fn several_values_of_one_type_have_names() {
    let controller = Controller::start().await;
    let builder = controller.builder("server").callbacks(callbacks![served::add]);
    let server = builder.serve(Counter::default()).serve_as("left", Counter::default()).start().await.unwrap();
    server.serve_as("right", Counter { count: 100.into() }).unwrap();
    let caller = controller.node("caller", []).await;
    caller.wait_function("right.bump").timeout(crate::common::PATIENCE).await.unwrap();

    let client = Client::new().on(&caller).to("server");
    let (left, right) = (client.clone().under("left"), client.clone().under("right"));
    assert_eq!((left.bump(1).await, right.bump(1).await, client.bump(5).await), (Ok(1), Ok(101), Ok(5)));
    assert!(right.bump_all([1, 2]).await.unwrap().is_complete());
    assert_eq!(right.bump(0).await, Ok(104));
    assert_eq!(crate::stubs::fg::add(1, 2).on(&caller).await, Ok(3), "functions are offered beside values");

    let nowhere = Client::default().on(&caller).to("nobody").bump(1).await.unwrap_err();
    assert!(matches!(nowhere, daffi::CallError::NoNode { .. }), "{nowhere}");
}

#[tokio::test]
async fn a_name_that_is_taken_or_is_none_is_an_error_and_nothing_is_offered() {
    let controller = Controller::start().await;
    let server = controller.builder("server").serve(Counter::default()).start().await.unwrap();
    let caller = controller.node("caller", []).await;
    meet(&[&server, &caller]).await;
    let JoinError::DuplicateCallback { name, first, second } = server.serve(Counter::default()).unwrap_err() else {
        panic!("a duplicate");
    };
    assert_eq!(name, "bump");
    assert!(first.starts_with("tests/calls/values.rs:") && second.starts_with("tests/calls/values.rs:"));

    let error = server.serve_as("le ft", Counter::default()).unwrap_err();
    assert!(matches!(&error, JoinError::InvalidCallbackName { name, .. } if name == "le ft.bump"), "{error}");
    let twice = controller.builder("twice").serve(Counter::default()).serve(Counter::default());
    assert!(soon(twice.start()).await.is_err());
    assert_eq!(caller.nodes().iter().find(|node| node.name == "server").unwrap().callbacks.len(), 4);
}

/// Names on the wire that are no Rust names, and options that stay with the stub.
mod named {
    use daffi::{callback, fetcher};

    #[callback(name = "arith.mean-of.2")]
    pub(super) fn mean(a: f64, b: f64) -> f64 {
        (a + b) / 2.0
    }

    #[fetcher(name = "arith.mean-of.2", of = mean)]
    pub(super) async fn average(a: f64, b: f64) -> f64;
}

#[tokio::test]
async fn names_on_the_wire_are_independent_of_those_in_the_source() {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![named::mean]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&server, &caller]).await;
    assert_eq!(named::average(1.0, 2.0).on(&caller).await, Ok(1.5));
    assert_eq!(named::mean(3.0, 5.0), 4.0, "it is a function still");
}

/// The quickest way: on the I/O thread.
#[callback(inline)]
fn next(number: u64) -> u64 {
    assert_eq!(std::thread::current().name(), Some("daffi-server"));
    number + 1
}

#[callback(inline)]
async fn next_async(number: u64) -> u64 {
    assert_eq!(std::thread::current().name(), Some("daffi-server"));
    tokio::task::yield_now().await;
    number + 1
}

mod inline {
    use daffi::fetcher;

    #[fetcher]
    pub(super) async fn next(number: u64) -> u64;

    #[fetcher]
    pub(super) async fn next_async(number: u64) -> u64;

    #[fetcher(STREAM, name = "next_async")]
    pub(super) async fn next_all(number: u64);
}

#[tokio::test]
async fn an_inline_callback_runs_on_the_io_thread_of_its_node() {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![next, next_async]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&server, &caller]).await;
    for number in 0..100 {
        assert_eq!(inline::next(number).on(&caller).await, Ok(number + 1));
        assert_eq!(inline::next_async(number).on(&caller).await, Ok(number + 1));
    }
    let report = inline::next_all(0..3).on(&caller).await.unwrap();
    assert!(!report.is_complete(), "a stream is work, and work has threads of its own");
}
