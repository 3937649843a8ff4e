//! Schedules (PERIOD): a call again and again, or at given times.
//!
//! A schedule runs in the process that made it. Each firing is a call of its own, so it goes to the next node in turn that offers
//! the callback at that moment, and a node that goes away takes no schedule with it. The schedule ends when it is
//! cancelled, when its times are over, or when its node stops.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    call::options,
    context::Place,
    contract::Stub,
    error::{CallError, Never},
    outgoing::{Codec, Modifier, Outgoing, Request},
    runtime::Op,
    stub::{DecodeError, EncodedArgs},
};
use crate::clock::Clock;

/// A call to be repeated (PERIOD): say when, with [`every`](Self::every) or [`at`](Self::at).
#[derive(Debug)]
#[must_use = "a schedule does nothing until it is told when and started"]
pub struct PeriodCall<T, E = Never> {
    pub(super) request: Request,
    codec: Codec<T, E>,
}

impl<T: Send + 'static, E: std::fmt::Display + Send + 'static> PeriodCall<T, E> {
    options!(common);
    options!(timeout);
    options!(one);
    options!(retry);

    /// At once and then every `period`, measured from the first firing, so that it does not drift. A firing that falls into
    /// the run of the one before is left out and counted.
    pub fn every(self, period: Duration) -> ScheduledCall<T, E> {
        ScheduledCall { call: self, times: Times::Every(period.max(Duration::from_millis(1))) }
    }

    /// Once at each of these times; those that are past fire at once. One that is absurdly far away is waited for, as any other.
    pub fn at(self, times: impl IntoIterator<Item = SystemTime>) -> ScheduledCall<T, E> {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        ScheduledCall { call: self, times: Times::At(times.into()) }
    }
}

/// A call with its times: [`start`](Self::start) it.
#[derive(Debug)]
#[must_use = "a schedule does nothing until it is started"]
pub struct ScheduledCall<T, E = Never> {
    call: PeriodCall<T, E>,
    times: Times,
}

#[derive(Debug, Clone)]
enum Times {
    Every(Duration),
    At(VecDeque<SystemTime>),
}

impl<T: Send + 'static, E: std::fmt::Display + Send + 'static> ScheduledCall<T, E> {
    /// Starts the schedule. Done once it runs, whether or not somebody offers the callback yet.
    ///
    /// # Errors
    ///
    /// [`CallError`], if there is no node to run it or the arguments cannot be encoded.
    pub fn start(self) -> Op<Result<Schedule, CallError>> {
        let Self { call: PeriodCall { request, codec }, times } = self;
        let started = request.check().and_then(|()| Place::here().resolve(request.node.clone())).map(|(node, _)| {
            // A schedule outlives the callback that starts it: it takes over neither its deadline nor its cancellation.
            let request = Request { node: Some(node.clone()), ..request };
            begin(&node, request, codec, times)
        });
        Op::new(async { started })
    }
}

/// A schedule that runs. Dropping it lets it run on; [`Node::schedules`](super::Node::schedules) finds it again.
#[derive(Debug, Clone)]
pub struct Schedule {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: u64,
    callback: String,
    node: String,
    period: Option<Duration>,
    cancelled: CancellationToken,
    ended: CancellationToken,
    fired: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Schedule {
    /// The callback that it calls.
    pub fn callback(&self) -> &str {
        &self.shared.callback
    }

    /// The node in whose process it runs; it ends with that node.
    pub fn runs_on(&self) -> &str {
        &self.shared.node
    }

    /// Its period; `None` if it has given times.
    pub fn period(&self) -> Option<Duration> {
        self.shared.period
    }

    /// How often it has fired: a firing counts when its call begins, whatever becomes of it. Of these one at most is under way.
    pub fn fired(&self) -> u64 {
        self.shared.fired.load(Ordering::Relaxed)
    }

    /// How many firings have ended with an error; [`last_error`](Self::last_error) says why.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// How many firings were left out because the one before still ran.
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }

    /// Why the last firing failed that did.
    pub fn last_error(&self) -> Option<String> {
        self.shared.error().clone()
    }

    /// Ends it, and cancels the firing that runs.
    pub fn cancel(&self) {
        self.shared.cancelled.cancel();
    }

    /// Waits until it has ended: cancelled, its times over, or its node stopped.
    pub fn ended(&self) -> Op<()> {
        let ended = self.shared.ended.clone();
        Op::new(async move { ended.cancelled().await })
    }
}

impl Shared {
    fn error(&self) -> MutexGuard<'_, Option<String>> {
        // It is replaced whole.
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The schedules of a node.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    running: Mutex<BTreeMap<u64, Schedule>>,
    next: AtomicU64,
}

impl Schedules {
    pub(crate) fn all(&self) -> Vec<Schedule> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Schedule>> {
        // Single insertions and removals: a panic leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin<T, E>(node: &Arc<Inner>, request: Request, codec: Codec<T, E>, times: Times) -> Schedule
where
    T: Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let shared = Arc::new(Shared {
        id: node.schedules.next.fetch_add(1, Ordering::Relaxed),
        callback: request.callback.to_string(),
        node: node.name.clone(),
        period: if let Times::Every(period) = times { Some(period) } else { None },
        cancelled: node.stopping.child_token(),
        ended: CancellationToken::new(),
        fired: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
        last_error: Mutex::new(None),
    });
    let schedule = Schedule { shared: shared.clone() };
    node.schedules.lock().insert(shared.id, schedule.clone());
    let (owner, clock) = (Arc::downgrade(node), node.clock);
    // It decodes results and prints errors, which is the user's code.
    node.runtimes.work.spawn(async move {
        tokio::select! {
            () = run(&shared, &request, codec, times, clock) => {}
            () = shared.cancelled.cancelled() => {}
        }
        if let Some(owner) = owner.upgrade() {
            owner.schedules.lock().remove(&shared.id);
        }
        shared.ended.cancel();
    });
    schedule
}

async fn run<T, E: std::fmt::Display>(
    shared: &Shared,
    request: &Request,
    codec: Codec<T, E>,
    mut times: Times,
    clock: Clock,
) {
    let began = Instant::now();
    let mut turn = 0;
    while let Some(Wake { at, fires }) = times.next(began, &mut turn, shared, clock) {
        tokio::time::sleep_until(at).await;
        if !fires {
            continue;
        }
        shared.fired.fetch_add(1, Ordering::Relaxed);
        let result = match Outgoing::new(Box::new(request.clone()), Modifier::Period, Place::here()) {
            Ok(outgoing) => outgoing.one(codec).await.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = result {
            tracing::warn!(callback = %shared.callback, error, "a scheduled call failed");
            shared.failed.fetch_add(1, Ordering::Relaxed);
            *shared.error() = Some(error);
        }
    }
}

/// When a schedule wakes up next, and whether it fires then or only looks again.
struct Wake {
    at: Instant,
    fires: bool,
}

/// How long a schedule sleeps at most before it looks again: one can write down times that no timer reaches.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 86_400);

impl Times {
    /// When to fire next; `None` if never again.
    fn next(&mut self, began: Instant, turn: &mut u64, shared: &Shared, clock: Clock) -> Option<Wake> {
        let now = Instant::now();
        match self {
            Self::Every(period) => {
                let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
                let elapsed = u64::try_from(now.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX);
                // The turns that the last firing ran over are left out; before the first there was none.
                let due = if *turn == 0 { 0 } else { elapsed.div_ceil(nanos) };
                shared.skipped.fetch_add(due.saturating_sub(*turn), Ordering::Relaxed);
                let this = due.max(*turn);
                *turn = this + 1;
                let at = began.checked_add(Duration::from_nanos(this.checked_mul(nanos)?))?;
                Some(Wake { at, fires: true })
            }
            Self::At(times) => {
                let wait = times.front()?.duration_since(clock.now()).unwrap_or_default();
                let fires = wait <= LONGEST_SLEEP;
                if fires {
                    times.pop_front();
                }
                Some(Wake { at: now + wait.min(LONGEST_SLEEP), fires })
            }
        }
    }
}

/// A PERIOD call, for the macros.
pub const fn period<T, E>(
    stub: &'static Stub,
    args: EncodedArgs,
    value: fn(&[u8]) -> Result<T, DecodeError>,
    error: fn(&[u8]) -> Result<E, DecodeError>,
) -> PeriodCall<T, E> {
    PeriodCall { request: Request::of(stub, args), codec: Codec::new(value, error) }
}
