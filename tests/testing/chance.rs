//! Loss: nothing is missing, some things are late, and the same ones in each run.

use std::time::Duration;

use daffi::testing::Network;
use futures_util::stream;
use tokio::time::Instant;

use crate::{client, everywhere, ms, remote, server};

/// How long some broadcasts and streams take, one after the other, on a network of this seed.
async fn times(seed: u64) -> Vec<Duration> {
    let net = Network::new().seed(seed);
    let (_a, _c) = (server(&net, "a").await, server(&net, "c").await);
    let b = client(&net, &["a", "c"]).await;
    net.links().delay(ms(10)).loss(0.1);
    let mut times = Vec::new();
    for turn in 0..20 {
        let start = Instant::now();
        let replies = everywhere::double(turn).on(&b).await.unwrap();
        assert!(replies.len() == 2 && replies.iter().all(|reply| reply.result == Ok(turn * 2)), "{replies:?}");
        times.push(start.elapsed());
    }
    for length in [10, 1_000, 20_000] {
        let start = Instant::now();
        let report = remote::take(stream::iter(0..length)).on(&b).await.unwrap();
        assert!(report.is_complete() && report.receivers.len() == 2, "{report:?}");
        times.push(start.elapsed());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_times() {
    let first = times(7).await;
    for _ in 0..3 {
        assert_eq!(times(7).await, first);
    }
    assert_ne!(times(8).await, first);
    assert!(first.contains(&ms(40)), "some were not late: {first:?}");
    assert!(first.iter().any(|time| *time > ms(40)), "some were: {first:?}");
}

#[tokio::test(start_paused = true)]
async fn what_happens_on_one_link_changes_no_other() {
    let run = async |calls_of_the_other: i64| {
        let net = Network::new();
        let (_a, _c) = (server(&net, "a").await, server(&net, "c").await);
        let b = client(&net, &["a", "c"]).await;
        net.link("a").loss(0.3);
        net.link("c").loss(0.3);
        for turn in 0..calls_of_the_other {
            remote::double(turn).to("c").on(&b).await.unwrap();
        }
        let mut times = Vec::new();
        for turn in 0..20 {
            let start = Instant::now();
            remote::double(turn).to("a").on(&b).await.unwrap();
            times.push(start.elapsed());
        }
        times
    };
    assert_eq!(run(0).await, run(17).await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_packet_of_a_call_comes_a_probe_time_out_later() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    net.links().delay(ms(20));
    net.link("a").loss(0.3);
    let mut times = Vec::new();
    for turn in 0..40 {
        let start = Instant::now();
        remote::double(turn).on(&b).await.unwrap();
        times.push(start.elapsed().as_millis());
    }
    times.sort_unstable();
    times.dedup();
    // 80 ms; the call or its reply 40 + 1 + 25 ms later; both of them, or one twice.
    assert_eq!(times[..2], [80, 146], "{times:?}");
    // One that was lost four times and more comes half a second later each time.
    let rarely_lost = times.iter().take_while(|time| **time < 80 + 500);
    assert!(rarely_lost.into_iter().all(|time| (time - 80) % 66 == 0), "{times:?}");
}
