//! Scheduled calls (PERIOD): when they fire, where they run, and what ends them.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use daffi::{CallError, Schedule, callback, callbacks};

use crate::{
    common::{event, meet, soon},
    in_a_plain_thread, pair,
    probe::{Probe, tell},
    served,
    stubs::period,
};

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_schedule_fires_at_once_and_again_until_it_is_cancelled() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note, served::note_blocking]).await;
    for call in [period::note(probe.key, "tick"), period::note_blocking(probe.key, "tick")] {
        let schedule = call.on(&pair.caller).every(SHORT).start().await.unwrap();
        for _ in 0..5 {
            probe.hears(&["tick"]).await;
        }
        schedule.cancel();
        soon(schedule.ended()).await;
        let fired = schedule.fired();
        assert!(fired >= 5, "{fired}");
        assert_eq!((schedule.failed(), schedule.last_error()), (0, None));
        // Several periods of another schedule later it has not fired again.
        probe.told_already();
        let other = period::note(probe.key, "other").on(&pair.caller).every(SHORT * 2).start().await.unwrap();
        for _ in 0..3 {
            probe.hears(&["other"]).await;
        }
        other.cancel();
        soon(other.ended()).await;
        probe.told_already();
        assert_eq!(schedule.fired(), fired);
    }
}

#[tokio::test]
async fn a_schedule_says_where_it_runs_and_what_it_calls_and_is_listed_while_it_runs() {
    let probe = Probe::new();
    let pair = pair(callbacks![served::note]).await;
    let hour = Duration::from_secs(3_600);
    let first = period::note(probe.key, "a").on(&pair.caller).every(hour).start().await.unwrap();
    let far = SystemTime::now() + hour;
    let second = period::note_blocking(probe.key, "b").on(&pair.caller).at([far]).start().await.unwrap();
    for schedule in [&first, &second] {
        assert_eq!(schedule.runs_on(), "caller");
    }
    assert_eq!((first.callback(), first.period()), ("note", Some(hour)));
    assert_eq!((second.callback(), second.period()), ("note_blocking", None));

    assert_eq!(names(&pair.caller.schedules()), ["note", "note_blocking"]);
    assert_eq!(names(&pair.server.schedules()), [""; 0]);
    // What is found in the list is the schedule itself, also when the handle was dropped.
    drop(second);
    pair.caller.schedules().iter().filter(|schedule| schedule.callback() == "note_blocking").for_each(Schedule::cancel);
    while pair.caller.schedules().len() > 1 {
        tokio::task::yield_now().await;
    }
    first.cancel();
    soon(first.ended()).await;
    assert_eq!(names(&pair.caller.schedules()), [""; 0]);
}

fn names(schedules: &[Schedule]) -> Vec<&str> {
    let mut names: Vec<_> = schedules.iter().map(Schedule::callback).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_schedule_with_given_times_ends_when_they_are_over() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note, served::note_blocking]).await;
    let now = SystemTime::now();
    let last = now + Duration::from_millis(300);
    for call in [period::note(probe.key, "once"), period::note_blocking(probe.key, "once")] {
        // In any order; what is past fires at once.
        let times = [last, now - Duration::from_secs(60), now + Duration::from_millis(150)];
        let schedule = call.on(&pair.caller).at(times).start().await.unwrap();
        soon(schedule.ended()).await;
        assert!(SystemTime::now() >= last);
        assert_eq!((schedule.fired(), schedule.failed(), schedule.skipped()), (3, 0, 0));
        assert_eq!(probe.told_already(), ["once"; 3]);
        assert_eq!(names(&pair.caller.schedules()), [""; 0]);
    }
}

#[tokio::test]
async fn schedules_need_no_runtime() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note, served::note_blocking]).await;
    let (caller, key) = (pair.caller.clone(), probe.key);
    let (every, at) = in_a_plain_thread(move || {
        let every = period::note(key, "every").on(&caller).every(SHORT).start().wait().unwrap();
        let at = period::note_blocking(key, "at").on(&caller).at([SystemTime::now()]).start().wait().unwrap();
        at.ended().wait();
        (every, at)
    })
    .await;
    assert_eq!(at.fired(), 1);
    let (mut once, mut ticks) = (0, 0);
    while once < 1 || ticks < 3 {
        match &*probe.told().await {
            "at" => once += 1,
            "every" => ticks += 1,
            other => panic!("{other}"),
        }
    }
    in_a_plain_thread(move || {
        every.cancel();
        every.ended().wait();
    })
    .await;
}

#[tokio::test]
async fn a_schedule_ends_when_its_node_stops() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note]).await;
    let hour = Duration::from_secs(3_600);
    let waiting = period::note(probe.key, "tick").on(&pair.caller).every(hour).start().await.unwrap();
    probe.hears(&["tick"]).await;
    pair.caller.stop().await;
    soon(waiting.ended()).await;

    let other = pair.controller.node("other", []).await;
    let waiting = period::note(probe.key, "tock").on(&other).every(hour).start().await.unwrap();
    probe.hears(&["tock"]).await;
    drop(other);
    soon(waiting.ended()).await;
}

#[tokio::test]
async fn cancelling_a_schedule_stops_the_firing_that_runs() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::hold]).await;
    let schedule = period::hold(probe.key).on(&pair.caller).every(SHORT).start().await.unwrap();
    probe.hears(&["hold began"]).await;
    schedule.cancel();
    probe.hears(&["hold is gone"]).await;
    soon(schedule.ended()).await;
    assert_eq!(schedule.fired(), 1);
}

#[tokio::test]
async fn firings_that_overlap_the_one_before_are_left_out_and_counted() {
    let mut probe = Probe::new();
    let mut clock = Probe::new();
    let pair = pair(callbacks![served::hold, served::note]).await;
    let ticks = period::note(clock.key, "tick").on(&pair.caller).every(SHORT).start().await.unwrap();
    let schedule = period::hold(probe.key).on(&pair.caller).every(SHORT).start().await.unwrap();
    probe.hears(&["hold began"]).await;
    // The other schedule tells when five periods are over.
    clock.told_already();
    for _ in 0..6 {
        clock.told().await;
    }
    assert_eq!(probe.told_already(), [""; 0], "no second firing runs beside the first");
    assert_eq!(schedule.fired(), 1);
    ticks.cancel();
    probe.open();
    probe.hears(&["hold is gone"]).await;
    probe.hears(&["hold began"]).await;
    assert!(schedule.skipped() >= 4, "{}", schedule.skipped());
    schedule.cancel();
}

#[tokio::test]
async fn a_failed_firing_is_counted_and_the_schedule_goes_on() {
    let mut probe = Probe::new();
    let pair = pair([]).await;
    let schedule = period::note(probe.key, "tick").on(&pair.caller).every(SHORT).start().await.unwrap();
    let hour = Duration::from_secs(3_600);
    let never = period::hold(probe.key).on(&pair.caller).timeout(SHORT).every(hour).start().await.unwrap();
    // Nobody offers it yet: the firings fail.
    while schedule.failed() < 3 {
        tokio::task::yield_now().await;
    }
    let said = schedule.last_error().unwrap();
    assert!(said.contains(r#"no other node offers "note""#), "{said}");
    pair.server.offer(callbacks![served::note]).unwrap();
    probe.hears(&["tick"]).await;
    let failed = schedule.failed();
    probe.hears(&["tick"]).await;
    assert_eq!(schedule.failed(), failed);
    schedule.cancel();
    never.cancel();
    soon(never.ended()).await;
    assert_eq!(never.failed(), 1);
}

#[tokio::test]
async fn a_schedule_moves_on_to_the_nodes_that_are_there() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![served::note]).await;
    let schedule = period::note(probe.key, "tick").on(&pair.caller).every(SHORT).start().await.unwrap();
    probe.hears(&["tick"]).await;
    let mut events = pair.caller.events();
    drop(pair.server);
    event(&mut events, |event| matches!(event, daffi::Event::NodeLeft { .. }).then_some(())).await;
    let next = pair.controller.node("next", callbacks![served::note]).await;
    meet(&[&pair.caller, &next]).await;
    probe.told_already();
    probe.hears(&["tick"]).await;
    schedule.cancel();
}

/// Starts a schedule, and returns.
#[callback]
async fn remind(key: u64) {
    period::note(key, "reminded").every(SHORT).start().await.expect("it runs in a node");
}

mod starter {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn remind(key: u64);
}

#[tokio::test]
async fn a_schedule_outlives_the_callback_that_started_it() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![remind]).await;
    let other = pair.controller.node("other", callbacks![served::note]).await;
    meet(&[&pair.server, &other]).await;
    starter::remind(probe.key).on(&pair.caller).await.unwrap();
    for _ in 0..3 {
        probe.hears(&["reminded"]).await;
    }
    assert_eq!(pair.server.schedules()[0].runs_on(), "server");
}

#[tokio::test]
async fn a_schedule_whose_arguments_cannot_be_sent_does_not_start() {
    let pair = pair(callbacks![served::note]).await;
    let large = "x".repeat((256 << 20) + 1);
    let refused = period::note(1, &large).on(&pair.caller).every(SHORT).start().await;
    assert!(matches!(refused, Err(CallError::TooLarge { .. })), "{refused:?}");
    assert_eq!(names(&pair.caller.schedules()), [""; 0]);
}

/// Tells when it ran, in microseconds.
#[callback]
async fn clock(key: u64) {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    tell(key, START.elapsed().as_micros().to_string());
}

mod drift {
    use daffi::fetcher;

    #[fetcher(PERIOD)]
    pub(crate) async fn clock(key: u64);
}

/// The n-th firing comes n periods after the first, however late those between came.
///
/// A busy machine delays single firings by any time; what shows a drift is that even the most punctual ones come later and later.
#[tokio::test]
async fn a_schedule_does_not_drift() {
    const PERIOD: f64 = 50_000.0;
    const FIRINGS: usize = 21;
    let pair = pair(callbacks![clock]).await;
    for _ in 0..5 {
        let mut probe = Probe::new();
        let period = Duration::from_micros(PERIOD as u64);
        let schedule = drift::clock(probe.key).on(&pair.caller).every(period).start().await.unwrap();
        let mut times = Vec::new();
        for _ in 0..FIRINGS {
            times.push(probe.told().await.parse::<f64>().unwrap());
        }
        schedule.cancel();
        if schedule.skipped() > 0 {
            // The machine stood still for longer than a period: the n-th firing is not that of the n-th period.
            continue;
        }
        // How late each is, against the first.
        let late: Vec<_> = times.iter().enumerate().map(|(n, time)| time - times[0] - n as f64 * PERIOD).collect();
        let most_punctual = |late: &[f64]| late.iter().copied().fold(f64::INFINITY, f64::min);
        let (early, later) = (most_punctual(&late[1..7]), most_punctual(&late[FIRINGS - 6..]));
        // Some 15 periods apart.
        let mean = PERIOD + (later - early) / 15.0;
        assert!((mean / PERIOD - 1.0).abs() < 0.03, "{mean} µs, lateness {late:?}");
        return;
    }
    panic!("this machine is too busy: each of five schedules skipped a firing");
}
