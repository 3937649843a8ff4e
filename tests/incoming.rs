//! Callbacks that take a whole stream, over real QUIC: what they see of it, what their result means, and how they end.

mod common;

#[path = "incoming/ends.rs"]
mod ends;
#[path = "incoming/items.rs"]
mod items;

use std::time::Duration;

use daffi::{Events, Global, StreamEnded};

/// For the tests that carry much: long enough for a loaded machine, and no longer than a test that hangs should take.
const MUCH: Duration = Duration::from_secs(120);

/// A controller, a node that sends streams, and one that takes them. The order is the one to be dropped in.
struct Pair {
    sender: Global,
    receiver: Global,
    controller: common::Controller,
}

impl Pair {
    async fn of(callbacks: impl IntoIterator<Item = daffi_core::node::Callback>) -> Self {
        let controller = common::Controller::start().await;
        let receiver = controller.node("receiver", callbacks).await;
        let sender = controller.node("sender", []).await;
        common::meet(&[&sender, &receiver]).await;
        Self { sender, receiver, controller }
    }
}

/// Waits for the end of a stream at a receiver: how many items were delivered, and how it ended.
async fn ended(events: &mut Events) -> (u64, StreamEnded) {
    common::event(events, |event| match event {
        daffi::Event::StreamEnded { delivered, end, .. } => Some((*delivered, end.clone())),
        _ => None,
    })
    .await
}

/// Fails a test that takes longer than it should, instead of letting it hang.
async fn within<F: IntoFuture>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("it ends in time")
}
