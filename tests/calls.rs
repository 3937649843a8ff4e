//! Calls over real QUIC, with all nodes in one process: what each execution modifier promises, when a call ends, which error it
//! ends with, and where it goes.
//!
//! The tests run side by side in one process, so each of them starts its own controller and names the node of every call.

mod common;

#[path = "calls/cancellation.rs"]
mod cancellation;
#[path = "calls/choosing.rs"]
mod choosing;
#[path = "calls/clocks.rs"]
mod clocks;
#[path = "calls/contexts.rs"]
mod contexts;
#[path = "calls/contracts.rs"]
mod contracts;
#[path = "calls/dynamic.rs"]
mod dynamic;
#[path = "calls/failures.rs"]
mod failures;
#[path = "calls/limits.rs"]
mod limits;
#[path = "calls/modifiers.rs"]
mod modifiers;
#[path = "calls/payloads.rs"]
mod payloads;
#[path = "calls/pipelines.rs"]
mod pipelines;
#[path = "calls/probe.rs"]
mod probe;
#[path = "calls/retries.rs"]
mod retries;
#[path = "calls/routing.rs"]
mod routing;
#[path = "calls/schedules.rs"]
mod schedules;
#[path = "calls/served.rs"]
mod served;
#[path = "calls/stubs.rs"]
mod stubs;
#[path = "calls/timeouts.rs"]
mod timeouts;
#[path = "calls/values.rs"]
mod values;

use common::Controller;
use daffi::Global;
use daffi_core::node::Callback;

/// Somebody who calls and offers nothing, and somebody who is called.
struct Pair {
    caller: Global,
    server: Global,
    controller: Controller,
}

/// The two of them, with these callbacks at the server.
async fn pair(callbacks: impl IntoIterator<Item = Callback>) -> Pair {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks).await;
    let caller = controller.node("caller", []).await;
    Pair { caller, server, controller }
}

/// Runs this where there is no async runtime.
async fn in_a_plain_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(run);
    let joined = tokio::task::spawn_blocking(|| thread.join()).await.expect("joining does not panic");
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
