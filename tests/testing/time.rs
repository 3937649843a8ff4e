//! A paused clock governs the controller and all nodes.

use std::{
    sync::{LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use daffi::{CallError, callback, callbacks, testing::Network};
use tokio::time::Instant;

use crate::{YEAR_2000, client, ms, remote, server, year_2000};

mod period {
    use daffi::fetcher;

    #[fetcher(PERIOD)]
    pub async fn note_the_time();

    #[fetcher(PERIOD)]
    pub async fn double(a: i64) -> i64;
}

static NOTED: LazyLock<Mutex<Vec<Instant>>> = LazyLock::new(Mutex::default);

#[callback]
async fn note_the_time() {
    NOTED.lock().unwrap().push(Instant::now());
}

#[callback]
fn block_for_a_moment() {
    std::thread::sleep(ms(30));
}

mod blocking {
    use daffi::fetcher;

    #[fetcher]
    pub async fn block_for_a_moment();
}

#[tokio::test(start_paused = true)]
async fn a_time_out_is_exact_and_takes_no_time_be_it_half_a_minute_or_a_year() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let start = net.now();
    let error = remote::never().on(&b).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { after } if after == daffi::limits::CALL_TIMEOUT), "{error:?}");
    assert_eq!(net.now().duration_since(start).unwrap(), ms(30_000));
    let year = ms(31_536_000_000);
    assert_eq!(remote::never().on(&b).timeout(year).await, Err(CallError::Timeout { after: year }));
    assert_eq!(net.now().duration_since(start).unwrap(), ms(30_000) + year);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_day_is_what_was_said_and_passes_with_the_clock() {
    let net = Network::new().starting_at(year_2000());
    assert_eq!(net.now(), year_2000());
    net.advance(ms(86_400_000)).await;
    assert_eq!(net.now(), year_2000() + ms(86_400_000));
    tokio::time::advance(ms(1)).await;
    assert_eq!(net.now(), year_2000() + ms(86_400_001));
}

#[tokio::test(start_paused = true)]
async fn schedules_at_given_times_go_by_the_networks_time_of_day() {
    let net = Network::new().starting_at(year_2000());
    let _a = net.node("a").callbacks(callbacks![note_the_time]).join().await.unwrap();
    let b = client(&net, &["a"]).await;
    let start = Instant::now();
    // Midnight is now, so the past fires at once; then in a second, in a year.
    let times = [0, 1_000, 31_536_000_000].map(|millis| year_2000() + ms(millis));
    let past = year_2000() - YEAR_2000;
    let at = times.into_iter().chain([past]);
    let schedule = period::note_the_time().on(&b).at(at).start().await.unwrap();
    schedule.ended().await;
    assert_eq!((schedule.fired(), schedule.last_error()), (4, None));
    let noted: Vec<_> = NOTED.lock().unwrap().iter().map(|at| (*at - start).as_millis()).collect();
    assert_eq!(noted, [0, 0, 1_000, 31_536_000_000]);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_never_comes_is_waited_for_until_the_schedule_is_cancelled() {
    let net = Network::new().starting_at(SystemTime::UNIX_EPOCH);
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let never = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX.unsigned_abs());
    let soon = SystemTime::UNIX_EPOCH + ms(1_000);
    let schedule = period::double(1).on(&b).at([never, soon]).start().await.unwrap();
    net.advance(ms(31_536_000_000) * 5).await;
    assert_eq!((schedule.fired(), b.schedules().len()), (1, 1));
    schedule.cancel();
    tokio::time::timeout(ms(1), schedule.ended()).await.expect("it ends like any other");
}

#[tokio::test(start_paused = true)]
async fn advancing_lets_everything_happen_at_its_time() {
    let net = Network::new();
    let start = Instant::now();
    let ticks = tokio::spawn(async move {
        let mut ticks = Vec::new();
        for _ in 0..3 {
            tokio::time::sleep(ms(100)).await;
            ticks.push(start.elapsed().as_millis());
        }
        ticks
    });
    net.advance(ms(1_000)).await;
    assert!(ticks.is_finished());
    assert_eq!(ticks.await.unwrap(), [100, 200, 300]);
    assert_eq!(start.elapsed().as_millis(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_millisecond_is_enough_for_what_takes_no_time() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    let call = tokio::spawn(remote::double(2).on(&b).into_future());
    net.advance(ms(1)).await;
    assert!(call.is_finished());
}

#[tokio::test(start_paused = true)]
async fn time_stands_still_while_a_sync_callback_runs() {
    let net = Network::new();
    let _a = net.node("a").callbacks(callbacks![block_for_a_moment]).join().await.unwrap();
    let b = client(&net, &["a"]).await;
    net.links().delay(ms(10));
    let start = Instant::now();
    blocking::block_for_a_moment().on(&b).timeout(ms(41)).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 40);
}
