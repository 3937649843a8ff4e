//! What was aimed at, as ratios, and whether it was reached.

use crate::figures::Line;

/// One line of the list of goals.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) work: &'static str,
    pub(super) receivers: u32,
    pub(super) goal: String,
    /// What was measured, if everything that it takes was.
    pub(super) seen: Option<f64>,
    pub(super) reached: bool,
}

/// Ours divided by theirs, and what that is to be.
struct Ratio {
    work: &'static str,
    receivers: &'static [u32],
    /// Those of whom the best counts.
    theirs: &'static [&'static str],
    bound: Bound,
    /// How the goal is told.
    told: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

const OURS: &str = "daffi";

const BOTH: &[u32] = &[1, 2];

const RATIOS: [Ratio; 15] = [
    ratio("tiny", BOTH, &["zenoh-tcp", "zenoh-quic", "nats"], AtLeast(5.0), "the best of zenoh and NATS"),
    ratio("tiny", BOTH, &["tonic-hop"], AtLeast(3.0), "a gRPC relay"),
    ratio("tiny", BOTH, &["daffi-3"], AtLeast(30.0), "daffi 3"),
    ratio("frames", BOTH, &["raw-quinn"], AtLeast(0.85), "a bare QUIC relay with the same settings"),
    ratio("frames", BOTH, &["zenoh-tcp"], AtLeast(1.0), "zenoh over TCP in the clear"),
    ratio("frames", BOTH, &["zenoh-tls", "nats-tls"], AtLeast(2.0), "the best of zenoh and NATS over TLS"),
    ratio("frames", BOTH, &["zenoh-quic"], AtLeast(5.0), "zenoh over QUIC"),
    ratio("big-frames", BOTH, &["raw-quinn"], AtLeast(0.85), "a bare QUIC relay with the same settings"),
    ratio("big-frames", BOTH, &["zenoh-tcp"], AtLeast(1.0), "zenoh over TCP in the clear"),
    ratio("big-frames", BOTH, &["zenoh-tls", "nats-tls"], AtLeast(2.0), "the best of zenoh and NATS over TLS"),
    ratio("big-frames", BOTH, &["zenoh-quic"], AtLeast(5.0), "zenoh over QUIC"),
    ratio(
        "live",
        &[2],
        &["zenoh-tcp", "zenoh-quic", "nats", "nats-tls", "daffi-3"],
        AtMost(1.0),
        "the p99 of the best of zenoh, NATS and daffi 3",
    ),
    ratio("slow-receiver", &[3], &["daffi-alone"], AtMost(1.2), "the fast ones' p99 without the slow one"),
    ratio("calls", &[1], &["nats-tls"], AtMost(0.8), "the p50 of NATS over TLS"),
    ratio("calls-64", &[1], &["nats"], AtLeast(3.0), "NATS in the clear"),
];

/// How old the items of the slow receiver may be.
const SLOW_AGE_S: f64 = 0.25;

/// All goals.
pub(super) fn outcomes(lines: &[&Line]) -> Vec<Outcome> {
    let ratios = RATIOS
        .iter()
        .flat_map(|ratio| ratio.receivers.iter().map(|&receivers| ratio.outcome(receivers, lines)).collect::<Vec<_>>());
    let mut outcomes: Vec<_> = ratios.chain([nothing_lost(lines), fresh(lines)]).collect();
    // Those of a work stand together.
    outcomes.sort_by_key(|outcome| RATIOS.iter().position(|ratio| ratio.work == outcome.work));
    outcomes
}

const fn ratio(
    work: &'static str,
    receivers: &'static [u32],
    theirs: &'static [&'static str],
    bound: Bound,
    told: &'static str,
) -> Ratio {
    Ratio { work, receivers, theirs, bound, told }
}

impl Ratio {
    fn outcome(&self, receivers: u32, lines: &[&Line]) -> Outcome {
        let &Self { work, theirs, bound, told, .. } = self;
        let of = |system: &str| {
            let line = lines.iter().find(|line| {
                // Without the slow one there is one less.
                line.work == work && line.system == system && (line.receivers == receivers || system == "daffi-alone")
            });
            line.map(|line| line.median)
        };
        let all = theirs.iter().filter_map(|system| of(system));
        let best = match bound {
            AtLeast(_) => all.reduce(f64::max),
            AtMost(_) => all.reduce(f64::min),
        };
        let seen = of(OURS).zip(best).map(|(ours, theirs)| ours / theirs);
        let (goal, reached) = match bound {
            AtLeast(least) => (format!("at least {least} × {told}"), seen.is_some_and(|seen| seen >= least)),
            AtMost(most) => (format!("at most {most} × {told}"), seen.is_some_and(|seen| seen <= most)),
        };
        Outcome { work, receivers, goal, seen, reached }
    }
}

fn nothing_lost(lines: &[&Line]) -> Outcome {
    let ours = lines.iter().find(|line| line.work == "live" && line.system == OURS);
    let lost = ours.and_then(|line| line.lost);
    let seen = lost.map(|lost| lost as f64);
    Outcome { work: "live", receivers: 2, goal: "nothing dropped (items)".into(), seen, reached: lost == Some(0) }
}

fn fresh(lines: &[&Line]) -> Outcome {
    let ours = lines.iter().find(|line| line.work == "slow-receiver" && line.system == OURS);
    let seen = ours.and_then(|line| line.slow).map(|slow| slow.age_max_us / 1e6);
    Outcome {
        work: "slow-receiver",
        receivers: 3,
        goal: format!("the slow one's items at most {SLOW_AGE_S} s old (s)"),
        seen,
        reached: seen.is_some_and(|age| age <= SLOW_AGE_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{Cpu, Heading, Run, Slow},
        system,
        work::stream::Kind,
    };

    fn line(work: &'static str, receivers: u32, system: &str, value: f64) -> Line {
        let parts = ["sender", "router", "receivers"];
        let heading = Heading { work, receivers, count: 1, in_flight: None, unit: "", meaning: "", parts };
        let slow = Slow { age_p50_us: 1.0, age_p99_us: 2.0, age_max_us: 300_000.0, items: 3 };
        let run = Run { value, lost: Some(0), slow: Some(slow), cpu: Cpu::default(), ..Run::default() };
        Line::new(&heading, system.into(), false, "", &[run])
    }

    #[test]
    fn ratios_are_to_the_best_and_of_the_same_receivers() {
        let lines = [
            line("tiny", 1, "daffi", 10.0),
            line("tiny", 2, "daffi", 6.0),
            line("tiny", 1, "nats", 1.0),
            line("tiny", 1, "zenoh-tcp", 2.0),
            line("tiny", 2, "nats", 2.0),
            line("live", 2, "daffi", 30.0),
            line("live", 2, "nats", 40.0),
            line("live", 2, "zenoh-tcp", 20.0),
            line("slow-receiver", 3, "daffi", 11.0),
            line("slow-receiver", 2, "daffi-alone", 10.0),
        ];
        let outcomes = outcomes(&lines.iter().collect::<Vec<_>>());
        let of = |work, receivers, goal: &str| {
            let all = |outcome: &&Outcome| {
                (outcome.work, outcome.receivers) == (work, receivers) && outcome.goal.contains(goal)
            };
            outcomes.iter().find(all).map(|outcome| (outcome.seen, outcome.reached)).unwrap()
        };
        assert_eq!(of("tiny", 1, "best"), (Some(5.0), true));
        assert_eq!(of("tiny", 2, "best"), (Some(3.0), false));
        assert_eq!(of("tiny", 1, "gRPC"), (None, false), "what was not measured was not reached");
        assert_eq!(of("live", 2, "p99"), (Some(1.5), false));
        assert_eq!(of("live", 2, "nothing dropped"), (Some(0.0), true));
        assert_eq!(of("slow-receiver", 3, "without the slow one"), (Some(1.1), true));
        assert_eq!(of("slow-receiver", 3, "old"), (Some(0.3), false));
    }

    #[test]
    fn all_whom_goals_name_take_part() {
        for Ratio { work, theirs, .. } in &RATIOS {
            for name in theirs.iter().filter(|name| **name != "daffi-alone") {
                let system = system::by_name(name).unwrap();
                let takes_part = match Kind::ALL.into_iter().find(|kind| kind.name() == *work) {
                    Some(kind) => system.streams().is_some_and(|streams| streams.carries(kind)),
                    None => system.calls().is_some(),
                };
                assert!(takes_part, "{name} at {work}");
            }
        }
    }
}
