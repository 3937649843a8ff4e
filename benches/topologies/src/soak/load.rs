//! What goes on between the processes of a soak: it keeps streams and calls going, and enters those that have ended.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, Instant, SystemTime},
};

use tokio::time::{sleep, sleep_until};

use super::{
    ledger::{Kill, Ledger},
    system::{CALLEE, CALLER, PRODUCERS, RECEIVERS, System, WITNESS},
    talk::{CallerOrder, Finished, Kind, ProducerOrder, ReceiverOrder, Seen, Streams, Tally},
    verdict::{Account, Verdict},
};
use crate::Result;

/// How long a stream may take to go on after a fault: its nodes come back with pauses of up to two seconds, on a machine with few cores.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is told how far it is, and how often a stream of large items begins.
const TELL: Duration = Duration::from_secs(10);
const LARGE: Duration = Duration::from_secs(5);

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often to ask whether a stream has ended.
const ASK: Duration = Duration::from_millis(50);

const KINDS: [Kind; 3] = [Kind::Steady, Kind::Live, Kind::Large];

/// After a receiver was killed, the steady stream goes on without it for so many faults; the next one has it again.
const WITHOUT: u32 = 3;

/// How long the last streams may take to their end.
const FAREWELL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Load {
    pub(super) system: System,
    pub(super) measures: Measures,
    ledger: Ledger,
    begun: Instant,
    told: Instant,
    large: Instant,
    faults: u64,
    /// Faults since a receiver of the steady stream was killed.
    without: Option<u32>,
    /// The kinds without end of which a stream is under way.
    endless: HashSet<Kind>,
    /// The number of the last stream.
    last: u64,
}

/// How long things took.
#[derive(Debug, Default)]
pub(super) struct Measures {
    /// From the restart of a controller to the next item at the witness.
    pub(super) resume: Vec<Duration>,
    /// From the death of a node until another one is told.
    pub(super) notice: Vec<Duration>,
    /// From the restart of a receiver to its first item of the live stream.
    pub(super) rejoin: Vec<Duration>,
}

impl Load {
    pub(super) async fn start() -> Result<Self> {
        let now = Instant::now();
        let mut load = Self {
            system: System::start().await?,
            measures: Measures::default(),
            ledger: Ledger::default(),
            begun: now,
            told: now,
            large: now,
            faults: 0,
            without: None,
            endless: HashSet::new(),
            last: 0,
        };
        load.begin(Kind::Live).await?;
        load.begin(Kind::Steady).await?;
        load.system.ask::<_, ()>(CALLER, &CallerOrder::Go).await?;
        load.goes_on().await?;
        load.begun = Instant::now();
        Ok(load)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn begin_fault(&mut self, fault: &impl fmt::Display) {
        self.faults += 1;
        self.without = self.without.map(|faults| faults + 1);
        eprintln!("soak: {:5.1} s: fault {}: {fault}", self.elapsed().as_secs_f64(), self.faults);
    }

    /// What the receiver saw was last `collected` from then on, in milliseconds of the time of day.
    pub(super) fn has_killed(&mut self, node: &str, collected: u64) {
        self.ledger.killed(node, Kill { collected, when: now() });
        self.without = self.without.or(Some(0));
    }

    pub(super) fn complain(&mut self, complaint: String) {
        eprintln!("soak: {complaint}");
        self.ledger.complaints.push(complaint);
    }

    /// Lets time pass. Looks at the processes, and asks them nothing: one may stand still.
    pub(super) async fn wait(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.system.look();
            sleep_until(end.min(Instant::now() + LOOK).into()).await;
        }
    }

    /// Lets time pass, and tells how far it is.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<()> {
        self.wait(time).await;
        if self.told.elapsed() < TELL {
            return Ok(());
        }
        self.told = Instant::now();
        let mut items = 0;
        for (receiver, kind) in RECEIVERS.iter().flat_map(|name| KINDS.map(|kind| (name, kind))) {
            items += self.system.ask::<_, u64>(receiver, &ReceiverOrder::Count(kind)).await?;
        }
        let calls: Tally = self.system.ask(CALLER, &CallerOrder::Tell).await?;
        eprintln!(
            "soak: {:5.0} s: {} faults, {items} items at the receivers that are there, {} calls, {} of them failed, {} streams ended",
            self.elapsed().as_secs_f64(),
            self.faults,
            calls.made,
            calls.failed(),
            self.ledger.streams,
        );
        Ok(())
    }

    /// Waits until the witness gets further items of the steady stream: how long it took. Nothing, and a complaint, if it takes too long.
    pub(super) async fn goes_on(&mut self) -> Result<Option<Duration>> {
        let since = Instant::now();
        let kind = Kind::Steady;
        let before: u64 = self.system.ask(WITNESS, &ReceiverOrder::Count(kind)).await?;
        let order = ReceiverOrder::Await { kind, beyond: before, millis: PATIENCE.as_millis() as u64 };
        if self.system.ask::<_, u64>(WITNESS, &order).await? > before {
            return Ok(Some(since.elapsed()));
        }
        self.complain(format!("the steady stream did not go on within {PATIENCE:?}"));
        Ok(None)
    }

    /// Enters what has ended, and begins what is due.
    pub(super) async fn keep_going(&mut self) -> Result<()> {
        self.collect().await?;
        if self.without.is_some_and(|faults| faults >= WITHOUT) {
            self.without = None;
            self.end(&[Kind::Steady]).await?;
        }
        for kind in [Kind::Live, Kind::Steady] {
            if !self.endless.contains(&kind) {
                self.begin(kind).await?;
                self.goes_on().await?;
            }
        }
        if self.large.elapsed() >= LARGE {
            self.large = Instant::now();
            self.begin(Kind::Large).await?;
        }
        Ok(())
    }

    /// Enters the streams that have ended; how many are under way.
    pub(super) async fn collect(&mut self) -> Result<u64> {
        let mut running = 0;
        for producer in PRODUCERS {
            let streams = self.system.ask(producer, &ProducerOrder::Tell).await?;
            running += self.enter(streams).await?;
        }
        Ok(running)
    }

    async fn enter(&mut self, streams: Streams) -> Result<u64> {
        for finished in streams.finished {
            let seen = self.seen(&finished).await?;
            self.ledger.enter(&finished, &seen);
            self.endless.remove(&finished.kind);
        }
        Ok(streams.running)
    }

    async fn seen(&mut self, finished: &Finished) -> Result<HashMap<String, Seen>> {
        let mut all = HashMap::new();
        for receiver in RECEIVERS {
            let seen: Vec<Seen> = self.system.ask(receiver, &ReceiverOrder::Take(vec![finished.stream])).await?;
            all.extend(seen.first().map(|seen| (receiver.to_owned(), *seen)));
        }
        Ok(all)
    }

    async fn begin(&mut self, kind: Kind) -> Result<()> {
        self.last += 1;
        if kind != Kind::Large {
            self.endless.insert(kind);
        }
        let receivers = RECEIVERS.map(str::to_owned).into();
        self.order(kind, &ProducerOrder::Begin { kind, stream: self.last, receivers }).await
    }

    /// Ends the streams of these kinds, and waits until they have.
    async fn end(&mut self, kinds: &[Kind]) -> Result<()> {
        for kind in kinds {
            self.order(*kind, &ProducerOrder::End(*kind)).await?;
        }
        let since = Instant::now();
        while kinds.iter().any(|kind| self.endless.contains(kind)) {
            if since.elapsed() > FAREWELL {
                self.complain(format!("not all streams of {kinds:?} ended within {FAREWELL:?}"));
                break;
            }
            sleep(ASK).await;
            self.collect().await?;
        }
        Ok(())
    }

    async fn order(&mut self, kind: Kind, order: &ProducerOrder) -> Result<()> {
        let streams = self.system.ask(PRODUCERS[usize::from(kind != Kind::Steady)], order).await?;
        self.enter(streams).await.map(drop)
    }

    /// Lets everything come to its end, and says what became of it.
    pub(super) async fn finish(mut self, seed: u64) -> Result<Verdict> {
        let seconds = self.elapsed().as_secs_f64();
        let calls = self.system.ask(CALLER, &CallerOrder::Stop).await?;
        let ran = self.system.ask(CALLEE, &()).await?;
        self.end(&[Kind::Steady, Kind::Live]).await?;
        let since = Instant::now();
        while self.collect().await? > 0 && since.elapsed() < FAREWELL {
            sleep(ASK).await;
        }
        let Self { system, measures, ledger, faults, .. } = self;
        let vitals = system.finish().await?;
        let account = Account { seconds, seed, faults, ledger, calls, ran, measures, vitals };
        Ok(Verdict::of(account))
    }
}

/// In milliseconds of the time of day.
pub(super) fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
