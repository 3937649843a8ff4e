//! Calls over real QUIC from a runtime whose clock a test has paused: the deadlines of calls are the system's time, as the network is.

use std::time::{Duration, Instant};

use daffi::{CallError, callbacks};

use crate::{common::soon, pair, probe::Probe, served, stubs::fg};

const HOUR: Duration = Duration::from_secs(3_600);

/// How late a deadline may be on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_paused_clock_changes_no_deadline() {
    let probe = Probe::new();
    let pair = pair(callbacks![served::hold, served::add]).await;
    let caller = &pair.caller;
    let limit = Duration::from_millis(200);

    tokio::time::pause();
    // It is ahead of the system's.
    tokio::time::advance(HOUR).await;
    let began = Instant::now();
    let late = fg::hold(probe.key).on(caller).timeout(limit).await;
    assert!(matches!(late, Err(CallError::Timeout { after }) if after >= limit && after < LATE), "{late:?}");
    assert!(began.elapsed() >= limit && began.elapsed() < LATE, "{:?}", began.elapsed());

    // It is behind the system's: it stands still while time passes.
    tokio::time::resume();
    soon(fg::hold(probe.key).on(caller).timeout(limit).into_future()).await.unwrap_err();
    tokio::time::pause();
    let enough = 10 * limit;
    std::thread::sleep(enough + limit);
    assert_eq!(fg::add(1, 2).on(caller).timeout(enough).await, Ok(3));
}
