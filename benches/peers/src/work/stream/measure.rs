//! One run of a stream, and what its figures are.

use std::time::Duration;

use super::{
    Kind, Order, Scene, Sent,
    intake::{self, Seen},
    kind::Figure,
};
use crate::{
    Result,
    figures::{Run, Slow},
    rounds::{self, Entry},
    statistics::percentile,
    system::{self, System},
    topology::Topology,
};

/// When nothing was told for so long, something hangs: a lossless stream to a receiver that reads 2 MB/s takes 80 seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// All that take part in this work: each number of receivers, each system. `count` is told how many items a run of a system has
/// by default, and says how many it is to have.
///
/// # Errors
///
/// If a system that was asked for cannot do it.
pub(crate) fn entries(
    kind: Kind,
    count: impl Fn(u32) -> u32,
    receivers: Option<u32>,
    options: &rounds::Options,
) -> Result<Vec<Entry>> {
    let carries = |system: &&dyn System| system.streams().is_some_and(|streams| streams.carries(kind));
    let systems = match &options.systems {
        None => system::ALL.into_iter().filter(carries).collect(),
        Some(asked) => match asked.iter().find(|system| !carries(system)) {
            None => asked.clone(),
            Some(system) => return Err(format!("{} does not do {}", system.name(), kind.name()).into()),
        },
    };
    let each_receivers = receivers.as_slice();
    let each_receivers = if each_receivers.is_empty() { kind.receivers() } else { each_receivers };
    let mut entries = Vec::new();
    for &receivers in each_receivers {
        for &system in &systems {
            let scene = kind.scene(receivers);
            let slowness = system.streams().map_or(1, |streams| streams.slowness(kind));
            let count = count(kind.count() / slowness).max(1);
            entries.push(entry(system, system.name().to_owned(), count, scene));
            if scene.slow && receivers > 1 {
                // What the others would have if there were no slow one.
                let alone = Scene { slow: false, receivers: receivers - 1, ..scene };
                entries.push(entry(system, format!("{}-alone", system.name()), count, alone));
            }
        }
    }
    Ok(entries)
}

fn entry(system: &'static dyn System, name: String, count: u32, scene: Scene) -> Entry {
    let heading = scene.kind.heading(scene.receivers, count);
    Entry { system, name, heading, run: Box::new(move || run(system, &scene, count)) }
}

/// One run, in fresh processes.
fn run(system: &dyn System, scene: &Scene, count: u32) -> Result<Run> {
    let mut topology = Topology::of_streams(system, scene)?;
    stream(&mut topology, scene.kind.warm_up().min(count))?;
    let before = topology.cpu()?;
    let (sent, seen) = stream(&mut topology, count)?;
    let cpu = topology.cpu()?.since(before).of_one_in(count);
    let promises = system.streams().is_some_and(|streams| streams.lossless(scene.kind));
    for (number, seen) in seen.iter().enumerate() {
        check(number, seen, count, promises)?;
    }
    Ok(Run { cpu, ..figures(scene, count, sent, &seen) })
}

/// Streams so many items, and waits until they have come.
fn stream(topology: &mut Topology, count: u32) -> Result<(Sent, Vec<Seen>)> {
    topology.ask_others::<_, ()>(&intake::Order::Expect { count: count.into() }, PATIENCE)?;
    let sent = topology.run(&Order { count }, PATIENCE)?;
    let seen = topology.ask_others(&intake::Order::Finish, PATIENCE)?;
    Ok((sent, seen))
}

fn check(number: usize, seen: &Seen, count: u32, promises: bool) -> Result<()> {
    let &Seen { items, disordered, broken, .. } = seen;
    if disordered > 0 || broken > 0 {
        return Err(format!("to receiver {number} came {disordered} items out of order and {broken} damaged").into());
    }
    if items == 0 || promises && items != u64::from(count) {
        return Err(format!("to receiver {number} came {items} items of {count}").into());
    }
    Ok(())
}

fn figures(scene: &Scene, count: u32, sent: Sent, seen: &[Seen]) -> Run {
    let (slow, others) = seen.split_at(usize::from(scene.slow));
    let each = |value: &dyn Fn(&Seen) -> f64| others.iter().map(value).collect::<Vec<_>>();
    let rate = |seen: &Seen| seen.items as f64 / (seen.last_ns.saturating_sub(sent.begun_ns) as f64 / 1e9);
    let least_rate = each(&rate).into_iter().fold(f64::INFINITY, f64::min);
    let worst_age = |percent| each(&|seen| age_us(seen, percent)).into_iter().fold(0.0, f64::max);
    let ages = scene.fps.map(|_| (worst_age(50), worst_age(99)));
    Run {
        value: match scene.kind.figure() {
            Figure::ItemsPerSecond => least_rate,
            Figure::MibPerSecond => least_rate * f64::from(scene.length) / f64::from(1 << 20),
            Figure::Age => worst_age(99),
        },
        p50_us: ages.map(|(p50, _)| p50),
        p99_us: ages.map(|(_, p99)| p99),
        lost: Some(others.iter().map(|seen| u64::from(count) - seen.items).sum()),
        slow: slow.first().map(|seen| Slow {
            age_p50_us: age_us(seen, 50),
            age_p99_us: age_us(seen, 99),
            age_max_us: age_us(seen, 100),
            items: seen.items,
        }),
        ..Run::default()
    }
}

fn age_us(seen: &Seen, percent: usize) -> f64 {
    let ages: Vec<_> = seen.ages_ns.iter().map(|ns| *ns as f64 / 1e3).collect();
    percentile(&ages, percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(items: u64, last_ns: u64, ages_ns: &[u64]) -> Seen {
        Seen { items, last_ns, ages_ns: ages_ns.to_vec(), ..Seen::default() }
    }

    #[test]
    fn a_rate_is_that_of_the_receiver_that_is_last() {
        let both = [seen(100, 3_000_000_000, &[]), seen(100, 2_000_000_000, &[])];
        let sent = Sent { begun_ns: 1_000_000_000 };
        let run = figures(&Kind::Tiny.scene(2), 100, sent, &both);
        assert_eq!((run.value, run.lost, run.p99_us), (50.0, Some(0), None));
        let run = figures(&Kind::BigFrames.scene(2), 101, sent, &both);
        assert_eq!((run.value, run.lost), (50.0, Some(2)));
    }

    #[test]
    fn ages_are_those_of_the_worst_and_the_slow_one_is_told_apart() {
        let all =
            [seen(2, 9, &[500_000, 900_000]), seen(3, 9, &[1_000, 2_000, 3_000]), seen(3, 9, &[1_000, 1_000, 4_000])];
        let run = figures(&Kind::SlowReceiver.scene(3), 3, Sent { begun_ns: 0 }, &all);
        assert_eq!((run.value, run.p50_us, run.p99_us, run.lost), (4.0, Some(2.0), Some(4.0), Some(0)));
        let slow = run.slow.unwrap();
        assert_eq!((slow.age_p50_us, slow.age_max_us, slow.items), (500.0, 900.0, 2));
    }

    #[test]
    fn what_a_system_promises_has_to_come() {
        check(0, &seen(3, 0, &[]), 3, true).unwrap();
        check(0, &seen(2, 0, &[]), 3, false).unwrap();
        let error = check(1, &seen(2, 0, &[]), 3, true).unwrap_err().to_string();
        assert_eq!(error, "to receiver 1 came 2 items of 3");
        check(0, &seen(0, 0, &[]), 3, false).unwrap_err();
        check(0, &Seen { broken: 1, ..seen(3, 0, &[]) }, 3, false).unwrap_err();
    }

    #[test]
    fn both_numbers_of_receivers_and_the_fast_ones_alone_take_part() {
        let options = |systems: Option<&[&str]>| rounds::Options {
            runs: 1,
            json: false,
            systems: systems.map(|names| names.iter().map(|name| system::by_name(name).unwrap()).collect()),
        };
        let of = |kind, receivers, systems: Option<&[&str]>| {
            let entries = entries(kind, |count| count, receivers, &options(systems)).unwrap();
            entries.into_iter().map(|entry| (entry.name, entry.heading.receivers)).collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Frames, None, Some(&["daffi"])), [("daffi".to_owned(), 1), ("daffi".to_owned(), 2)]);
        assert_eq!(of(Kind::Tiny, Some(7), Some(&["daffi"])), [("daffi".to_owned(), 7)]);
        assert!(of(Kind::Tiny, None, None).len() > 12);
        let slow = of(Kind::SlowReceiver, None, Some(&["daffi"]));
        assert_eq!(slow, [("daffi".to_owned(), 3), ("daffi-alone".to_owned(), 2)]);
        let refused = entries(Kind::SlowReceiver, |count| count, None, &options(Some(&["raw-tcp"])));
        let error = refused.err().unwrap().to_string();
        assert_eq!(error, "raw-tcp does not do slow-receiver");
    }
}
