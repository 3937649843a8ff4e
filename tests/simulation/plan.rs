//! What happens in a run: made from its seed, before anything runs, so that it can be printed and cut short.

use std::{fmt, time::Duration};

use daffi::{OnSlow, limits};
use fastrand::Rng;

use crate::{ms, rules::Forbidden};

/// How long things begin to happen. What has begun by then may end later.
const SPAN: u64 = 20_000;

/// A node, by its place among the nodes.
pub(crate) type Place = usize;

/// What happens in a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How long each node's callbacks take for an item.
    pub(crate) speeds: Vec<Duration>,
    pub(crate) delay: Duration,
    /// The controller's limit.
    pub(crate) silence: Duration,
    /// What the controller's rules forbid at first.
    pub(crate) forbidden: Forbidden,
    pub(crate) steps: Vec<Step>,
}

/// Something that happens, and when.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Call(Call),
    Stream(Stream),
    Results(Results),
    Schedule(Schedule),
    /// All links from now on.
    Delay(Duration),
    /// One link from now on: what goes another way overtakes it.
    Slow(Place, Duration),
    Loss(Place, f64),
    Cut(Place),
    CutAll,
    Partition(Place, Duration),
    /// The controller crashes, and is there again after so long.
    CrashController(Duration),
    /// It stops with this grace, and is there again so long after.
    StopController(Duration, Duration),
    /// The process is gone without a word, and after so long another has its name.
    Crash(Place, Duration),
    /// The process leaves with this grace, and so long after another has its name.
    Leave(Place, Duration, Duration),
    /// The controller's rules forbid this from now on.
    Rules(Forbidden),
    /// One that has not the token tries to join.
    Stranger,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) from: Place,
    pub(crate) to: To,
    /// How long the callback takes.
    pub(crate) takes: Duration,
    pub(crate) timeout: Duration,
    /// When the caller loses patience.
    pub(crate) dropped: Option<Duration>,
    pub(crate) retries: bool,
    pub(crate) idempotent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    One(Place),
    Next,
    All,
}

#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) id: u64,
    pub(crate) from: Place,
    pub(crate) items: u64,
    /// How long the source takes for an item.
    pub(crate) every: Duration,
    pub(crate) on_slow: OnSlow,
    pub(crate) live: bool,
    pub(crate) form: Form,
    pub(crate) stall: Duration,
    pub(crate) dropped: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Items,
    /// Each goes in fragments.
    Large,
    /// A callback takes the whole stream.
    Whole,
}

#[derive(Debug, Clone)]
pub(crate) struct Results {
    pub(crate) id: u64,
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) items: u64,
    pub(crate) every: Duration,
    /// After how many items the caller has enough.
    pub(crate) enough: Option<u64>,
}

/// Calls by the clock.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) id: u64,
    pub(crate) from: Place,
    pub(crate) every: Duration,
    /// How long each takes.
    pub(crate) takes: Duration,
    /// After how long it is cancelled.
    pub(crate) lasts: Duration,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nodes = rng.usize(3..=5);
        let speeds = (0..nodes).map(|_| ms(pick(&mut rng, &[0, 0, 1, 2, 5, 30]))).collect();
        let delay = ms(pick(&mut rng, &[0, 1, 3, 20]));
        let silence = pick(&mut rng, &[500, 1_000, 5_000, 10_000, 0, 0, 0, 0]);
        let silence = if silence == 0 { limits::SILENCE } else { ms(silence) };
        let forbidden = if rng.u8(0..3) == 0 { Forbidden::some(&mut rng, nodes) } else { Forbidden::default() };
        let mut steps = Vec::new();
        for id in 0..rng.u64(8..=16) {
            steps.push(Step { at: ms(rng.u64(0..SPAN)), what: work(&mut rng, id, nodes) });
        }
        // Some runs are calm enough that everything has to come through.
        let calm = rng.bool();
        for _ in 0..rng.u64(2..=if calm { 5 } else { 12 }) {
            steps.push(Step { at: ms(rng.u64(0..SPAN)), what: fault(&mut rng, nodes, calm) });
        }
        steps.sort_by_key(|step| step.at);
        Self { seed, speeds, delay, silence, forbidden, steps }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.speeds.len()
    }

    /// The controller's config file, when it forbids this.
    pub(crate) fn config(&self, forbidden: &Forbidden) -> String {
        let rules = forbidden.config(self.nodes());
        format!("{rules}[limits]\nsilence = '{}ms'\n", self.silence.as_millis())
    }

    /// How many streams of large items there are.
    pub(crate) fn large_streams(&self) -> u64 {
        let large = |step: &&Step| matches!(&step.what, What::Stream(stream) if stream.form == Form::Large);
        self.steps.iter().filter(large).count() as u64
    }

    /// Whether a stream between these, during this time, has to get through: nothing was broken for nearly as long as a stream waits.
    pub(crate) fn is_bearable(&self, nodes: &[Place], from: Duration, to: Duration) -> bool {
        let mut broken: Vec<_> = self.steps.iter().filter_map(|step| step.breaks(nodes, self.silence)).collect();
        broken.sort();
        let mut spells: Vec<(Duration, Duration)> = Vec::new();
        for (from, to) in broken {
            match spells.last_mut() {
                // A node that was about to come back may have to begin anew.
                Some(last) if from < last.1 + SETTLES => last.1 = last.1.max(to),
                _ => spells.push((from, to)),
            }
        }
        let during = spells.iter().filter(|spell| spell.0 <= to && from <= spell.1 + SETTLES);
        during.into_iter().all(|(from, to)| *to - *from <= BEARABLE)
    }
}

/// How long after a fault is over a node may take to be back: a handshake that was begun in the wrong moment, and a pause.
const SETTLES: Duration = Duration::from_millis(9_500);

/// What surely does no harm: with a handshake that was begun in the wrong moment it is below [`limits::RESUME`].
const BEARABLE: Duration = Duration::from_millis(3_000);

impl Step {
    /// From when to when this breaks the way between these nodes.
    fn breaks(&self, nodes: &[Place], silence: Duration) -> Option<(Duration, Duration)> {
        let at = self.at;
        match self.what {
            What::Cut(node) if nodes.contains(&node) => Some((at, at)),
            What::CutAll => Some((at, at)),
            What::Partition(node, time) if nodes.contains(&node) => Some((at, at + time)),
            What::CrashController(time) => Some((at, at + time.max(silence))),
            What::StopController(grace, time) => Some((at, at + grace + time)),
            _ => None,
        }
    }
}

fn work(rng: &mut Rng, id: u64, nodes: usize) -> What {
    let from = rng.usize(0..nodes);
    let other = (from + rng.usize(1..nodes)) % nodes;
    let maybe = |rng: &mut Rng| (rng.u8(0..6) == 0).then(|| ms(rng.u64(0..1_500)));
    match rng.u8(0..20) {
        0..8 => {
            let to = match rng.u8(0..4) {
                0 => To::Next,
                1 => To::All,
                _ => To::One(other),
            };
            let takes = ms(pick(rng, &[0, 5, 300, 3_000]));
            let timeout = ms(pick(rng, &[200, 2_000, 15_000]));
            let retries = rng.bool() && to != To::All;
            let idempotent = retries && rng.bool();
            What::Call(Call { id, from, to, takes, timeout, dropped: maybe(rng), retries, idempotent })
        }
        8..17 => {
            let form = match rng.u8(0..60) {
                0 => Form::Large,
                1..10 => Form::Whole,
                _ => Form::Items,
            };
            let (items, every) = match form {
                Form::Large => (rng.u64(1..=2), Duration::ZERO),
                _ => (pick(rng, &[0, 1, 5, 40, 150]), ms(pick(rng, &[0, 1, 10, 60, 300]))),
            };
            let on_slow = match rng.u8(0..5) {
                0 => OnSlow::DropOldest(rng.u32(1..10)),
                1 => OnSlow::KeepLatest,
                _ => OnSlow::Block,
            };
            let live = if on_slow == OnSlow::Block { rng.u8(0..4) == 0 } else { rng.u8(0..4) != 0 };
            let stall = ms(pick(rng, &[10_000, 10_000, 10_000, 1_500]));
            What::Stream(Stream { id, from, items, every, on_slow, live, form, stall, dropped: maybe(rng) })
        }
        17..19 => {
            let (items, every) = (pick(rng, &[0, 3, 50]), ms(pick(rng, &[0, 5, 200])));
            let enough = (rng.u8(0..4) == 0).then(|| rng.u64(0..10));
            What::Results(Results { id, from, to: other, items, every, enough })
        }
        _ => {
            let (every, takes) = (ms(pick(rng, &[20, 500, 3_000])), ms(pick(rng, &[0, 5, 700])));
            What::Schedule(Schedule { id, from, every, takes, lasts: ms(rng.u64(0..8_000)) })
        }
    }
}

fn fault(rng: &mut Rng, nodes: usize, calm: bool) -> What {
    let node = rng.usize(0..nodes);
    let short = ms(rng.u64(10..3_000));
    let time = if calm { short } else { ms(pick(rng, &[50, 1_000, 2_300, 2_500, 6_000, 12_000])) };
    match rng.u8(0..if calm { 14 } else { 18 }) {
        0 if rng.bool() => What::Delay(ms(pick(rng, &[0, 2, 15, 80]))),
        0 => What::Slow(node, ms(pick(rng, &[0, 5, 80, 400]))),
        1 => What::Loss(node, pick(rng, &[0, 2, 10, 30]) as f64 / 100.0),
        2..5 => What::Cut(node),
        5 => What::CutAll,
        6..9 => What::Partition(node, time),
        9 => What::CrashController(if calm { ms(rng.u64(0..2_000)) } else { time }),
        10 => What::CrashController(ms(0)),
        11 => What::StopController(ms(pick(rng, &[0, 100, 1_000])), short / 2),
        12 => What::Rules(Forbidden::some(rng, nodes)),
        13 => What::Stranger,
        14..16 => What::Crash(node, ms(pick(rng, &[0, 100, 3_000, 9_000]))),
        _ => What::Leave(node, ms(pick(rng, &[0, 500, 5_000])), ms(pick(rng, &[0, 10, 2_000]))),
    }
}

fn pick(rng: &mut Rng, of: &[u64]) -> u64 {
    of[rng.usize(0..of.len())]
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { speeds, delay, silence, forbidden, .. } = self;
        writeln!(f, "speeds {speeds:?}, delay {delay:?}, silence {silence:?}, {forbidden:?}")?;
        self.steps.iter().try_for_each(|Step { at, what }| writeln!(f, "{at:>10?} {what:?}"))
    }
}
