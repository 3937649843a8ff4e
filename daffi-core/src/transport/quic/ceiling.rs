//! A congestion window that can be lowered from outside, over loopback.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// What may be on its way over loopback while there is haste: two large datagrams. Beside a stream at full speed the median call
/// took 1.1 ms then, and 3.5 without a ceiling; the stream went at 429 MiB/s instead of 619. With one datagram nothing went at all.
const LOWERED: u64 = 128 << 10;

/// How much a connection may have on its way at most.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling(Arc<AtomicU64>);

impl Ceiling {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// The ceiling of a connection, if it has one.
    pub(crate) fn of(connection: &quinn::Connection) -> Option<Self> {
        let state = connection.congestion_state().into_any();
        state.downcast::<Capped>().ok().map(|capped| capped.ceiling.clone())
    }

    /// Lets little on its way; whether it was otherwise.
    pub(crate) fn lower(&self) -> bool {
        self.0.swap(LOWERED, Ordering::Relaxed) == u64::MAX
    }

    /// Lets as much on its way as the path bears. What waits goes with the next acknowledgement.
    pub(crate) fn raise(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Makes controllers with a ceiling.
#[derive(Debug)]
pub(super) struct CappedConfig(pub(super) Arc<CubicConfig>);

impl ControllerFactory for CappedConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Capped { inner: self.0.clone().build(now, current_mtu), ceiling: Ceiling::new() })
    }
}

struct Capped {
    inner: Box<dyn Controller>,
    ceiling: Ceiling,
}

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window().min(self.ceiling.0.load(Ordering::Relaxed))
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { inner: self.inner.clone_box(), ceiling: self.ceiling.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
