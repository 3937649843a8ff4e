//! A network on which a plan happens.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use daffi::{Event, JoinError, JoinToken, Node, limits, testing::Network};
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    calls,
    ledger::{Ledger, Process},
    ms,
    plan::{Place, Plan, What},
    rules::{Forbidden, History, Verdict},
    service::Service,
    streams,
};

/// How long everything may take to be as before, once nothing is broken any more: a silent peer is noticed, a handshake begun in the
/// wrong moment fails, the longest pause passes, and a name may have to become free first.
const RECOVERS: Duration = Duration::from_secs(30);

/// How long work may go on after that: the longest time-out of a call, a stream's items at the slowest place, what waits for who does
/// not come back, and all of that for a stream that is behind another.
const WORKS: Duration = Duration::from_secs(120);

/// A network on which a plan happens. Clones are the same.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ledger: Ledger,
    rules: History,
    net: Network,
    seats: Arc<Mutex<Vec<Option<Seat>>>>,
    work: Arc<Mutex<Vec<Task>>>,
    controller_is_up: Arc<AtomicBool>,
    /// When the first step could be.
    began: Arc<OnceLock<Duration>>,
}

/// What runs, in words, and a way to wait for it.
type Task = (String, JoinHandle<()>);

/// A process that lives.
struct Seat {
    process: Process,
    node: Node,
    /// What it does.
    work: Vec<AbortHandle>,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        // Neither the system's time nor its random numbers take part.
        fastrand::seed(plan.seed);
        let net = Network::new().seed(plan.seed).starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
        let net = net.config(&plan.config(&plan.forbidden));
        net.links().delay(plan.delay);
        let seats = (0..plan.nodes()).map(|_| None).collect();
        Self {
            rules: History::new(plan.forbidden.clone()),
            plan: Arc::new(plan),
            ledger: Ledger::new(),
            net,
            seats: Arc::new(Mutex::new(seats)),
            work: Arc::default(),
            controller_is_up: Arc::new(AtomicBool::new(true)),
            began: Arc::default(),
        }
    }

    /// Everything, from the first node to the last check.
    pub(crate) async fn run(&self) {
        for place in 0..self.plan.nodes() {
            self.join(place).await;
        }
        let began = Instant::now();
        let _ = self.began.set(self.ledger.now());
        for step in &self.plan.steps {
            sleep_until(began + step.at).await;
            self.ledger.note(format_args!("{:?}", step.what));
            self.happen(&step.what);
        }
        sleep(ms(1)).await;
        self.recover().await;
        self.finish().await;
    }

    /// When the plan began, in the time of the ledger.
    pub(crate) fn began(&self) -> Duration {
        self.began.get().copied().unwrap_or_default()
    }

    fn happen(&self, what: &What) {
        let world = self.clone();
        match what.clone() {
            What::Call(call) => self.work(call.from, |node| calls::call(world, node, call)),
            What::Results(call) => self.work(call.from, |node| calls::results(world, node, call)),
            What::Schedule(schedule) => self.work(schedule.from, |node| calls::schedule(world, node, schedule)),
            What::Stream(stream) => {
                let Some(process) = self.process(stream.from) else { return };
                self.work(stream.from, |node| streams::stream(world, node, process, stream));
            }
            What::Delay(delay) => {
                self.net.links().delay(delay);
            }
            What::Slow(place, delay) => {
                self.net.link(name(place)).delay(delay);
            }
            What::Loss(place, loss) => {
                self.net.link(name(place)).loss(loss);
            }
            What::Cut(place) => {
                self.net.link(name(place)).cut();
            }
            What::CutAll => {
                self.net.links().cut();
            }
            What::Partition(place, time) => {
                self.net.link(name(place)).partition();
                self.later(time, async move {
                    world.net.link(name(place)).heal();
                });
            }
            What::CrashController(time) => self.without_controller(async move {
                world.net.crash_controller();
                sleep(time).await;
            }),
            What::StopController(grace, time) => self.without_controller(async move {
                world.net.stop_controller(grace).await;
                sleep(time).await;
            }),
            What::Crash(place, away) => {
                let Some(seat) = self.leave(place) else { return };
                self.net.link(name(place)).partition();
                seat.work.iter().for_each(AbortHandle::abort);
                drop(seat);
                self.later(away, async move {
                    world.net.link(name(place)).heal();
                    world.join(place).await;
                });
            }
            What::Leave(place, grace, away) => {
                let Some(seat) = self.leave(place) else { return };
                self.later(Duration::ZERO, async move {
                    let bound = grace + world.plan.silence + ms(2_000);
                    let stopped = timeout(bound, seat.node.stop(grace)).await;
                    world.ledger.check(stopped.is_ok(), || format!("node {place} did not stop within {bound:?}"));
                    drop(seat);
                    sleep(away).await;
                    world.join(place).await;
                });
            }
            What::Rules(forbidden) => self.forbid(forbidden),
            What::Stranger => self.later(Duration::ZERO, async move {
                let refused = world.stranger().await;
                let holds = matches!(refused, Some(JoinError::WrongToken { .. } | JoinError::Unreachable { .. }));
                world.ledger.check(holds, || format!("a stranger: {refused:?}"));
            }),
        }
    }

    /// Why one is not let in that has not the token.
    async fn stranger(&self) -> Option<JoinError> {
        let stranger = self.net.node("stranger").callbacks([]).token(JoinToken::generate([0; 32]).to_string());
        let refused = stranger.connect_timeout(limits::SILENCE).join().await.err();
        self.ledger.note(format_args!("a stranger: {refused:?}"));
        refused
    }

    /// Has the controller read rules that forbid this.
    fn forbid(&self, forbidden: Forbidden) {
        self.net.reload_controller(&self.plan.config(&forbidden));
        self.rules.change(self.ledger.now(), forbidden);
    }

    /// Since when, in the time of the ledger, a node is not allowed any more what it once was.
    pub(crate) fn forbidden_since(&self, place: Place, callback: &'static str) -> Option<Duration> {
        self.rules.forbidden_since(place, callback)
    }

    /// Whether a node has been allowed since then, in the time of the ledger, to call a callback or send streams to it.
    pub(crate) fn allowed_since(&self, then: Duration, place: Place, callback: &'static str) -> Verdict {
        self.rules.since(then, place, callback)
    }

    /// Begins the work of a process, if there is one.
    fn work<F>(&self, place: Place, work: impl FnOnce(Node) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(seat) = &mut self.seats()[place] {
            let task = tokio::spawn(work(seat.node.clone()));
            seat.work.push(task.abort_handle());
            self.work.lock().unwrap().push((format!("work of node {place}"), task));
        }
    }

    fn later(&self, after: Duration, what: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(async move {
            sleep(after).await;
            what.await;
        });
        self.work.lock().unwrap().push(("a fault's end".into(), task));
    }

    /// Takes the controller away and brings it back after this; does nothing if it is away.
    fn without_controller(&self, what: impl Future<Output = ()> + Send + 'static) {
        if self.controller_is_up.swap(false, Ordering::Relaxed) {
            let world = self.clone();
            self.later(Duration::ZERO, async move {
                what.await;
                world.net.restart_controller();
                world.controller_is_up.store(true, Ordering::Relaxed);
            });
        }
    }

    /// Starts a process, and tries until its name is free.
    async fn join(&self, place: Place) {
        let process = self.ledger.born(&name(place));
        let each = self.plan.speeds[place];
        let joined = timeout(RECOVERS * 4, async {
            loop {
                let service = Service { ledger: self.ledger.clone(), process, each };
                match self.net.node(name(place)).serve(service).join().await {
                    Ok(node) => return node,
                    Err(error) => self.ledger.note(format_args!("node {place}: {error}")),
                }
                sleep(ms(200)).await;
            }
        });
        match joined.await {
            Ok(node) => {
                self.ledger.note(format_args!("node {place} is process {process}"));
                self.watch(process, &node);
                self.seats()[place] = Some(Seat { process, node, work: Vec::new() });
            }
            Err(_) => self.ledger.fault(format!("node {place} could not join")),
        }
    }

    /// Notes what a node tells. Nobody here breaks the protocol, so nobody may be found to.
    fn watch(&self, process: Process, node: &Node) {
        let (ledger, ended) = (self.ledger.clone(), node.join());
        tokio::spawn(async move {
            let ended = ended.await;
            ledger.check(!ledger.lives(process), || format!("process {process} ended: {ended:?}"));
        });
        let (ledger, mut events) = (self.ledger.clone(), node.events());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                ledger.note(format_args!("process {process}: {event:?}"));
                if let Event::Disconnected { reason } = event {
                    let blamed = ["Malformed", "Limit"].iter().any(|code| reason.contains(code));
                    ledger.check(!blamed, || format!("process {process}: {reason}"));
                    let closed = reason == "the connection was closed by this side" && ledger.lives(process);
                    ledger.check(!closed, || format!("process {process} closed its connection"));
                }
            }
        });
    }

    /// The process is no more.
    fn leave(&self, place: Place) -> Option<Seat> {
        let seat = self.seats()[place].take()?;
        self.ledger.died(seat.process);
        Some(seat)
    }

    fn process(&self, place: Place) -> Option<Process> {
        self.seats()[place].as_ref().map(|seat| seat.process)
    }

    /// Waits until all is as it was, and all work is done.
    async fn recover(&self) {
        loop {
            // What brings back links, processes and the controller may take its time.
            let faults: Vec<_> = {
                let mut work = self.work.lock().unwrap();
                work.extract_if(.., |(what, _)| what == "a fault's end").collect()
            };
            if faults.is_empty() {
                break;
            }
            for (_, fault) in faults {
                self.ends(fault, "a fault").await;
            }
        }
        self.net.links().heal().loss(0.0).delay(ms(1));
        self.ledger.note(format_args!("nothing is broken any more"));
        // Until then some may not have noticed what broke last.
        sleep(self.plan.silence).await;
        let agreed = timeout(RECOVERS, async {
            while !self.agrees() {
                sleep(ms(10)).await;
            }
        });
        let agreed = agreed.await.is_ok();
        self.ledger.check(agreed, || format!("the nodes do not see each other: {:?}", self.directories()));
        let work = std::mem::take(&mut *self.work.lock().unwrap());
        let over = Instant::now() + WORKS;
        for (what, task) in work {
            let ended = timeout_at(over, task).await;
            self.ledger.check(ended.is_ok(), || format!("{what} does not end"));
        }
    }

    async fn ends(&self, task: JoinHandle<()>, what: &str) {
        let ended = timeout(RECOVERS * 5, task).await;
        self.ledger.check(ended.is_ok(), || format!("{what} does not end"));
    }

    /// Whether all see the same, and that is everybody with everything.
    fn agrees(&self) -> bool {
        let directories = self.directories();
        directories.len() == self.plan.nodes()
            && directories.iter().all(|directory| {
                directory.len() == self.plan.nodes() && directory.iter().all(|(_, callbacks)| *callbacks == CALLBACKS)
            })
    }

    fn directories(&self) -> Vec<Vec<(String, usize)>> {
        let seats = self.seats();
        let directory = |seat: &Seat| {
            let nodes = seat.node.nodes().into_iter();
            nodes.map(|node| (node.name.to_string(), node.callbacks.len())).collect()
        };
        seats.iter().flatten().map(directory).collect()
    }

    /// Looks whether everything works again, and whether anything was left behind.
    async fn finish(&self) {
        let nodes: Vec<_> = {
            let seats = self.seats();
            let seats = seats.iter().enumerate();
            seats
                .filter_map(|(place, seat)| seat.as_ref().map(|seat| (place, seat.process, seat.node.clone())))
                .collect()
        };
        for (place, from, node) in &nodes {
            for (_, to, other) in &nodes {
                if from != to {
                    calls::last(self, *place, node, other.name(), *to).await;
                }
            }
        }
        let refused = self.stranger().await;
        let holds = matches!(refused, Some(JoinError::WrongToken { .. }));
        self.ledger.check(holds, || format!("a stranger at the end: {refused:?}"));
        // Those who wait for a producer that does not come back.
        sleep(WORKS).await;
        let running = self.ledger.running();
        self.ledger.check(running.is_empty(), || format!("callbacks still run for {running:?}"));
        calls::check_all(self);
        streams::check_all(self);
        let stops = Instant::now();
        self.net.stop_controller(WORKS).await;
        let took = stops.elapsed();
        self.ledger
            .check(took < ms(1_000), || format!("the controller has something left to finish: it took {took:?}"));
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Option<Seat>>> {
        self.seats.lock().unwrap()
    }
}

/// How many callbacks each process offers.
const CALLBACKS: usize = 5;

/// The name of the node at this place.
pub(crate) fn name(place: Place) -> String {
    format!("n{place}")
}
