//! Callbacks that call other nodes: through which node their calls go, and what of a deadline and a cancellation reaches them.

use std::time::Duration;

use daffi::{CallError, callback, callbacks};

use crate::{
    common::{Controller, soon},
    in_a_plain_thread,
    probe::{Guard, Probe, tell},
    served,
    stubs::fg,
};

/// What the callbacks in the middle call with: so long that only the deadline or the cancellation of their caller can have ended
/// a call.
const HOURS: Duration = Duration::from_secs(10_000);

#[callback]
async fn sum(numbers: Vec<i64>) -> Result<i64, String> {
    let mut sum = 0;
    for number in numbers {
        sum = fg::add(sum, number).await.map_err(|error| error.to_string())?;
    }
    Ok(sum)
}

#[callback]
fn sum_blocking(numbers: Vec<i64>) -> Result<i64, String> {
    numbers.into_iter().try_fold(0, |sum, number| fg::add(sum, number).wait().map_err(|error| error.to_string()))
}

/// Calls `hold`, and gives whether that returned.
#[callback]
async fn relay(key: u64, millis: Option<u64>) -> bool {
    let _guard = Guard::new(key, "relay");
    fg::hold(key).timeout(millis.map_or(HOURS, Duration::from_millis)).await.is_ok()
}

/// The same, and tells what became of it, since nobody stops it.
#[callback]
fn relay_blocking(key: u64, millis: Option<u64>) -> bool {
    let _guard = Guard::new(key, "relay_blocking");
    let ended = fg::hold(key).timeout(millis.map_or(HOURS, Duration::from_millis)).wait();
    tell(key, how(&ended));
    ended.is_ok()
}

fn how(ended: &Result<u64, CallError>) -> &'static str {
    match ended {
        Ok(_) => "returned",
        // Its deadline has passed or its caller has: at a deadline the two come at the same time.
        Err(CallError::Timeout { .. } | CallError::Cancelled) => "given up",
        Err(_) => "failed",
    }
}

mod middle {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn sum(numbers: &[i64]) -> Result<i64, String>;

    #[fetcher]
    pub(crate) async fn sum_blocking(numbers: &[i64]) -> Result<i64, String>;

    #[fetcher]
    pub(crate) async fn relay(key: u64, millis: Option<u64>) -> bool;

    #[fetcher]
    pub(crate) async fn relay_blocking(key: u64, millis: Option<u64>) -> bool;

    pub(crate) mod bg {
        use daffi::fetcher;

        #[fetcher(BG)]
        pub(crate) async fn relay(key: u64, millis: Option<u64>) -> bool;
    }
}

/// Three nodes in a row: who calls, who passes it on, and who runs it.
struct Row {
    caller: daffi::Global,
    _middle: daffi::Global,
    _last: daffi::Global,
    _controller: Controller,
}

async fn row() -> Row {
    let controller = Controller::start().await;
    let last = controller.node("last", callbacks![served::add, served::hold]).await;
    let middle = controller.node("middle", callbacks![sum, sum_blocking, relay, relay_blocking]).await;
    let caller = controller.node("caller", []).await;
    Row { caller, _middle: middle, _last: last, _controller: controller }
}

#[tokio::test]
async fn a_callback_calls_other_nodes_through_the_node_that_received_it() {
    // Each row has a controller of its own, and only one of them can have the process's default node.
    let (one, two) = (row().await, row().await);
    for row in [&one, &two] {
        assert_eq!(middle::sum(&[1, 2, 3]).on(&row.caller).await, Ok(6));
        assert_eq!(middle::sum_blocking(&[1, 2, 3]).on(&row.caller).await, Ok(6));
    }
    let caller = two.caller.clone();
    in_a_plain_thread(move || {
        assert_eq!(middle::sum(&[1, 2, 3]).on(&caller).wait(), Ok(6));
        assert_eq!(middle::sum_blocking(&[1, 2, 3]).on(&caller).wait(), Ok(6));
    })
    .await;
}

#[tokio::test]
async fn calls_within_a_scope_go_through_its_node() {
    let (_one, two) = (row().await, row().await);
    let sum = two.caller.scope(async { middle::sum(&[4, 5]).await }).await;
    assert_eq!(sum, Ok(9));
}

#[tokio::test]
async fn the_deadline_travels_to_what_a_callback_calls() {
    let mut probe = Probe::new();
    let row = row().await;
    let late = middle::relay(probe.key, None).on(&row.caller).timeout(Duration::from_millis(500)).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    probe.hears(&["relay began", "hold began", "relay is gone", "hold is gone"]).await;

    let late = middle::relay_blocking(probe.key, None).on(&row.caller).timeout(Duration::from_millis(500)).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    probe.hears(&["relay_blocking began", "hold began", "given up", "relay_blocking is gone", "hold is gone"]).await;
}

#[tokio::test]
async fn of_two_deadlines_the_earlier_counts() {
    let mut probe = Probe::new();
    let row = row().await;
    assert_eq!(soon(middle::relay(probe.key, Some(100)).on(&row.caller).timeout(HOURS).into_future()).await, Ok(false));
    probe.hears(&["relay began", "hold began", "relay is gone", "hold is gone"]).await;
    assert_eq!(
        soon(middle::relay_blocking(probe.key, Some(100)).on(&row.caller).timeout(HOURS).into_future()).await,
        Ok(false)
    );
    probe.hears(&["relay_blocking began", "hold began", "given up", "relay_blocking is gone", "hold is gone"]).await;
}

#[tokio::test]
async fn dropping_a_call_stops_the_callback_and_what_it_called() {
    let mut probe = Probe::new();
    let row = row().await;
    let call = tokio::spawn(middle::relay(probe.key, None).on(&row.caller).timeout(HOURS).into_future());
    probe.hears(&["relay began", "hold began"]).await;
    call.abort();
    probe.hears(&["relay is gone", "hold is gone"]).await;

    let call = tokio::spawn(middle::relay_blocking(probe.key, None).on(&row.caller).timeout(HOURS).into_future());
    probe.hears(&["relay_blocking began", "hold began"]).await;
    call.abort();
    probe.hears(&["given up", "relay_blocking is gone", "hold is gone"]).await;
}

#[tokio::test]
async fn cancelling_a_background_call_stops_the_callback_and_what_it_called() {
    let mut probe = Probe::new();
    let row = row().await;
    let task = middle::bg::relay(probe.key, None).on(&row.caller).start().await.unwrap();
    probe.hears(&["relay began", "hold began"]).await;
    task.cancel();
    probe.hears(&["relay is gone", "hold is gone"]).await;
}

#[tokio::test]
async fn losing_the_caller_stops_the_callback_and_what_it_called() {
    let mut probe = Probe::new();
    let Row { caller, _middle, _last, _controller } = row().await;
    let task = middle::bg::relay(probe.key, None).on(&caller).start().await.unwrap();
    probe.hears(&["relay began", "hold began"]).await;
    drop(caller);
    probe.hears(&["relay is gone", "hold is gone"]).await;
    assert_eq!(soon(task).await, Err(CallError::ControllerLost));
}
