//! Small calls through a router and back: how long one takes, and how many go at a time.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    Result,
    figures::{Heading, Run},
    role::{Orders, tell},
    rounds::{self, Entry},
    statistics::percentile,
    system::{self, System},
    topology::Topology,
};

/// How many bytes a call carries, and its answer.
pub(crate) const LENGTH: usize = 16;

/// Enough for connections and allocators to have come to their pace.
const WARM_UP: u32 = 2_000;

/// One call after the other.
pub(crate) const SEQUENTIAL: Calls = Calls { name: "calls", count: 20_000, in_flight: 1, figure: Figure::P50 };

/// As many at a time as a busy service has.
pub(crate) const IN_FLIGHT_64: Calls = Calls { name: "calls-64", count: 64_000, in_flight: 64, figure: Figure::Rate };

/// Calls of 16 bytes that come back as they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    name: &'static str,
    count: u32,
    in_flight: u32,
    figure: Figure,
}

/// What systems are compared by.
#[derive(Debug, Clone, Copy)]
enum Figure {
    P50,
    Rate,
}

/// What a caller is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) count: u32,
    pub(crate) in_flight: u32,
}

/// What it tells of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    seconds: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Calls {
    /// All that take part. `count` is told how many calls a run has by default, and says how many it is to have.
    ///
    /// # Errors
    ///
    /// If a system that was asked for makes no calls.
    pub(crate) fn entries(self, count: impl Fn(u32) -> u32, options: &rounds::Options) -> Result<Vec<Entry>> {
        let this = Self { count: count(self.count).max(1), ..self };
        let systems = match &options.systems {
            None => system::ALL.into_iter().filter(|system| system.calls().is_some()).collect(),
            Some(asked) => match asked.iter().find(|system| system.calls().is_none()) {
                None => asked.clone(),
                Some(system) => return Err(format!("{} does not do {}", system.name(), self.name).into()),
            },
        };
        let entry = |system: &'static dyn System| {
            let run = Box::new(move || this.run(system));
            Entry { system, name: system.name().to_owned(), heading: this.heading(), run }
        };
        Ok(systems.into_iter().map(entry).collect())
    }

    const fn heading(&self) -> Heading {
        let &Self { name: work, count, in_flight, figure } = self;
        let (unit, meaning) = match figure {
            Figure::P50 => ("us", "the median of the runs' p50s"),
            Figure::Rate => ("calls/s", "the median of the runs' rates"),
        };
        let parts = ["caller", "router", "responder"];
        Heading { work, receivers: 1, count, in_flight: Some(in_flight), unit, meaning, parts }
    }

    /// One run of one system, in fresh processes.
    fn run(&self, system: &dyn System) -> Result<Run> {
        let &Self { count, in_flight, .. } = self;
        let mut topology = Topology::of_calls(system)?;
        topology.run::<_, Outcome>(&Order { count: WARM_UP, in_flight }, patience(WARM_UP))?;
        let before = topology.cpu()?;
        let Outcome { seconds, p50_us, p99_us } = topology.run(&Order { count, in_flight }, patience(count))?;
        let cpu = topology.cpu()?.since(before).of_one_in(count);
        let value = match self.figure {
            Figure::P50 => p50_us,
            Figure::Rate => f64::from(count) / seconds,
        };
        Ok(Run { value, p50_us: Some(p50_us), p99_us: Some(p99_us), cpu, ..Run::default() })
    }
}

/// When calls take 10 ms on average, something hangs: the slowest peer takes a twentieth of it.
fn patience(count: u32) -> Duration {
    Duration::from_secs(30) + Duration::from_millis(10) * count
}

/// Carries out a caller's orders with `call`, as many at a time as they want.
pub(crate) async fn carry_out<F, A>(
    mut orders: Orders,
    call: impl Fn([u8; LENGTH]) -> F + Clone + Send + 'static,
) -> Result<()>
where
    F: Future<Output = Result<A>> + Send + 'static,
    A: AsRef<[u8]>,
{
    tell(&())?;
    while let Some(order) = orders.next().await? {
        tell(&all_calls(order, &call).await?)?;
    }
    Ok(())
}

async fn all_calls<F, A>(order: Order, call: &(impl Fn([u8; LENGTH]) -> F + Clone + Send + 'static)) -> Result<Outcome>
where
    F: Future<Output = Result<A>> + Send + 'static,
    A: AsRef<[u8]>,
{
    let next = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..order.in_flight {
        let (next, call) = (next.clone(), call.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= order.count {
                    return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times);
                }
                let bytes = payload(number);
                let begun = Instant::now();
                let answer = call(bytes).await?;
                times.push(begun.elapsed());
                check(number, answer.as_ref())?;
            }
        });
    }
    let mut times = Vec::new();
    while let Some(called) = callers.join_next().await {
        times.extend(called??);
    }
    Ok(Outcome::new(begun.elapsed(), &times))
}

/// What call `number` of a run carries: no two the same.
pub(crate) fn payload(number: u32) -> [u8; LENGTH] {
    let number = u64::from(number);
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].copy_from_slice(&(!number).to_le_bytes());
    bytes
}

/// Whether that is the answer to call `number`.
pub(crate) fn check(number: u32, answer: &[u8]) -> Result<()> {
    if answer == payload(number) { Ok(()) } else { Err(format!("call {number} was answered {answer:?}").into()) }
}

impl Outcome {
    pub(crate) fn new(took: Duration, times: &[Duration]) -> Self {
        let times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        Self { seconds: took.as_secs_f64(), p50_us: percentile(&times, 50), p99_us: percentile(&times, 99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_answer_is_noticed() {
        check(7, &payload(7)).unwrap();
        check(7, &payload(8)).unwrap_err();
        check(7, &payload(7)[..LENGTH - 1]).unwrap_err();
    }

    #[tokio::test]
    async fn every_call_is_made_once_and_no_more_than_allowed_at_a_time() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let under_way = Arc::new(AtomicU32::new(0));
        let (log, now) = (seen.clone(), under_way.clone());
        let call = move |bytes: [u8; LENGTH]| {
            let (log, now) = (log.clone(), now.clone());
            async move {
                assert!(now.fetch_add(1, Relaxed) < 4);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Relaxed);
                log.lock().unwrap().push(bytes);
                Ok(bytes)
            }
        };
        all_calls(Order { count: 50, in_flight: 4 }, &call).await.unwrap();
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).map(payload).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_wrong_answer_fails_the_run() {
        let call = |_| async { Ok([0; LENGTH]) };
        let error = all_calls(Order { count: 5, in_flight: 1 }, &call).await.unwrap_err();
        assert!(error.to_string().starts_with("call 0 was answered"), "{error}");
    }
}
