//! What becomes of a packet: when it arrives, if it does.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::wire::limits;

/// The largest packet that every path of QUIC carries: RFC 9000, section 14.
pub(super) const PACKET: usize = 1_200;

/// The least that a sender adds to the round trip before it takes a packet for lost: `kGranularity`, RFC 9002, section 6.1.2.
const GRANULARITY: Duration = Duration::from_millis(1);

/// How long a receiver may take to acknowledge: `max_ack_delay`, RFC 9000, section 18.2.
const ACK_DELAY: Duration = Duration::from_millis(25);

/// What a link is like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Condition {
    pub(super) delay: Duration,
    /// The probability that a packet is lost.
    pub(super) loss: f64,
    /// Since when nothing gets through, if that is so.
    pub(super) partitioned: Option<Instant>,
    /// How often the link was cut.
    pub(super) cuts: u64,
}

/// The way of one connection's packets over its link.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) condition: watch::Receiver<Condition>,
    /// The process at the far end has crashed: what is sent now, either way, arrives nowhere.
    pub(super) crashed: CancellationToken,
    seed: u64,
    silence: Arc<OnceLock<Duration>>,
}

impl Path {
    pub(super) fn new(condition: watch::Receiver<Condition>, crashed: CancellationToken, seed: u64) -> Self {
        Self { condition, crashed, seed, silence: Arc::default() }
    }

    /// The chance of the packets that belong to this, which is different for each but the same in each run.
    pub(super) fn chance<const N: usize>(&self, of: [u64; N]) -> Rng {
        Rng::with_seed(mix(self.seed, of))
    }

    pub(super) fn delay(&self) -> Duration {
        self.condition.borrow().delay
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.condition.borrow().loss > 0.0
    }

    /// What the connection bears of silence from now on. Whoever says so first is right.
    pub(super) fn bear(&self, silence: Duration) {
        let _ = self.silence.set(silence);
    }

    /// After how much silence the connection ends, on both sides.
    pub(super) fn silence(&self) -> Duration {
        self.silence.get().copied().unwrap_or(limits::SILENCE)
    }

    /// When a packet arrives that is sent now, on a link that is not partitioned; `None` if never.
    pub(super) fn send(&self, chance: &mut Rng) -> Option<Instant> {
        if self.crashed.is_cancelled() {
            return None;
        }
        let Condition { delay, loss, .. } = *self.condition.borrow();
        let mut late = Duration::ZERO;
        let mut resend = delay * 2 + GRANULARITY + ACK_DELAY;
        while loss > 0.0 && chance.f64() < loss {
            late += resend;
            resend = (resend * 2).min(limits::KEEP_ALIVE.max(resend));
        }
        Some(Instant::now() + late + delay)
    }

    /// Whether what was to arrive then is there.
    pub(super) fn has(&self, arrival: Instant) -> bool {
        arrival <= Instant::now() && self.condition.borrow().partitioned.is_none()
    }

    /// Waits until it is there. Cancel safe.
    pub(super) async fn arrive(&self, arrival: Option<Instant>) {
        let Some(arrival) = arrival else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(arrival).await;
        if self.condition.clone().wait_for(|condition| condition.partitioned.is_none()).await.is_err() {
            // The network is gone, and nothing arrives any more.
            std::future::pending::<()>().await;
        }
    }
}

/// A seed that depends on another and on all of these numbers, their order included.
pub(super) fn mix(seed: u64, with: impl IntoIterator<Item = u64>) -> u64 {
    with.into_iter().fold(seed, |seed, part| Rng::with_seed(seed ^ part).u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(delay: u64, loss: f64, seed: u64) -> (watch::Sender<Condition>, Path) {
        let condition = Condition { delay: Duration::from_millis(delay), loss, ..Condition::default() };
        let (sender, receiver) = watch::channel(condition);
        (sender, Path::new(receiver, CancellationToken::new(), seed))
    }

    /// How long each of so many packets takes, in milliseconds.
    fn times(path: &Path, count: usize) -> Vec<u128> {
        let (mut chance, now) = (path.chance([1]), Instant::now());
        (0..count).map(|_| (path.send(&mut chance).unwrap() - now).as_millis()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_packet_comes_a_probe_timeout_later_and_twice_that_and_so_on() {
        let (_link, path) = path(10, 0.9, 0);
        let mut times = times(&path, 10_000);
        times.sort_unstable();
        times.dedup();
        // The round trip, 1 ms and 25 ms are 46 ms, then 92, 184, .. up to 500 ms.
        let expected = [10, 56, 148, 332, 700, 1_200, 1_700, 2_200, 2_700];
        assert_eq!(times[..expected.len()], expected);
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_packets_are_lost_as_was_said() {
        let (_link, path) = path(10, 0.25, 3);
        let times = times(&path, 100_000);
        let (lost, twice) = (times.iter().filter(|ms| **ms > 10).count(), times.iter().filter(|ms| **ms > 56).count());
        assert!((24_500..25_500).contains(&lost), "{lost}");
        assert!((5_950..6_550).contains(&twice), "{twice}");
    }

    #[tokio::test(start_paused = true)]
    async fn chance_is_the_same_for_the_same_seed_and_no_other() {
        let run = |seed| {
            let (_link, path) = path(10, 0.5, seed);
            times(&path, 100)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let (_link, path) = path(10, 0.5, 7);
        assert_ne!(path.chance([1, 2]).u64(..), path.chance([2, 1]).u64(..));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_arrives_that_is_sent_after_a_crash_or_while_there_is_a_partition() {
        let (link, path) = path(0, 0.0, 0);
        let sent = path.send(&mut path.chance([]));
        assert!(path.has(sent.unwrap()));
        link.send_modify(|condition| condition.partitioned = Some(Instant::now()));
        assert!(!path.has(sent.unwrap()));
        assert!(tokio::time::timeout(Duration::from_secs(60), path.arrive(sent)).await.is_err());
        link.send_modify(|condition| condition.partitioned = None);
        path.arrive(sent).await;
        path.crashed.cancel();
        assert_eq!(path.send(&mut path.chance([])), None);
    }
}
