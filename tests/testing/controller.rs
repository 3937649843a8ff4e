//! The end of a controller, and what comes after it.

use daffi::{CallError, Event, limits, testing::Network};
use tokio::time::Instant;

use crate::{client, ms, remote, server, until};

/// How long a node waits at most between two attempts to join.
const PAUSE: std::time::Duration = ms(2_000);

#[tokio::test(start_paused = true)]
async fn a_crash_is_noticed_by_its_silence() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let mut events = b.events();
    let start = Instant::now();
    let crash = async { net.crash_controller() };
    let (call, ()) = tokio::join!(remote::never().on(&b).into_future(), crash);
    assert_eq!(call, Err(CallError::ControllerLost));
    assert_eq!(start.elapsed(), limits::SILENCE);
    until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;

    let none = remote::double(1).on(&b).await.unwrap_err();
    assert!(matches!(none, CallError::NotConnected { .. }), "{none:?}");
    net.advance(ms(60_000)).await;
    net.restart_controller();
    let restarted = Instant::now();
    b.wait_process("a").await.unwrap();
    assert!(restarted.elapsed() <= PAUSE, "{:?}", restarted.elapsed());
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_restarted_at_once_is_found_when_the_old_one_was_missed() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let mut events = b.events();
    let start = Instant::now();
    net.restart_controller();
    until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
    assert_eq!(start.elapsed(), limits::SILENCE);
    b.wait_process("a").await.unwrap();
    assert!(start.elapsed() <= limits::SILENCE + PAUSE, "{:?}", start.elapsed());
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stops_lets_calls_finish_and_tells_the_nodes() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let mut events = b.events();
    net.links().delay(ms(20));
    let start = Instant::now();
    let stop = async {
        net.advance(ms(30)).await;
        net.stop_controller(ms(5_000)).await;
    };
    let (call, ()) = tokio::join!(remote::double(1).on(&b).into_future(), stop);
    assert_eq!(call, Ok(2));
    until(&mut events, |event| matches!(event, Event::ControllerStopping)).await;
    until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
    assert!(start.elapsed() < limits::SILENCE, "nodes are told: {:?}", start.elapsed());

    net.restart_controller();
    b.wait_process("a").await.unwrap();
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_can_be_ended_again() {
    let net = Network::new();
    net.crash_controller();
    net.crash_controller();
    net.stop_controller(ms(5_000)).await;
    net.restart_controller();
    net.stop_controller(ms(5_000)).await;
    net.restart_controller();
    let _a = server(&net, "a").await;
}
