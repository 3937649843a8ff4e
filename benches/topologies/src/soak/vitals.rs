//! What each process has in use, and whether that grows.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

use crate::{process::Process, report::rounded};

/// What is seen before is the start: buffers, threads and connections come to their size.
const WARM_UP: f64 = 20.0;

/// A process that was seen for less time says nothing about growth.
const LONG: f64 = 60.0;

/// What a process may have more in the last third of its time than in the first, both on average. The queues of a stream that was held
/// up take a few windows of 4 MiB, for some seconds; what is free is given back.
const MAY_GROW: f64 = 8.0;

/// Descriptors: a socket that is being replaced while its process is looked at.
const MAY_OPEN: usize = 8;

const MIB: f64 = (1 << 20) as f64;

#[derive(Debug, Clone, Copy)]
struct Look {
    second: f64,
    mib: f64,
    descriptors: usize,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// By name and process id.
    lives: BTreeMap<(String, i32), Life>,
}

#[derive(Debug)]
struct Life {
    began: Instant,
    cpu: f64,
    looks: Vec<Look>,
}

impl Vitals {
    /// Looks at a process. One that has just ended is passed over.
    pub(super) fn note(&mut self, name: &str, process: &Process) {
        let (Ok(memory), Ok(descriptors), Ok(cpu)) = (process.memory(), process.open_files(), process.cpu_seconds())
        else {
            return;
        };
        let life = self.lives.entry((name.to_owned(), process.id())).or_insert_with(|| Life {
            began: Instant::now(),
            cpu,
            looks: Vec::new(),
        });
        life.cpu = cpu;
        let second = life.began.elapsed().as_secs_f64();
        life.looks.push(Look { second, mib: memory as f64 / MIB, descriptors });
    }

    /// What it comes to, for each process that was there long enough.
    pub(super) fn growth(&self) -> Vec<Growth> {
        self.lives.iter().filter_map(|((name, _), life)| Growth::of(name, &life.looks)).collect()
    }

    /// CPU seconds by name, of all processes that had it.
    pub(super) fn cpu_seconds(&self) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::<String, f64>::new();
        for ((name, _), life) in &self.lives {
            let sum = all.entry(name.clone()).or_default();
            *sum = rounded(*sum + life.cpu, 2);
        }
        all
    }
}

/// How much more a process had in use in the end than soon after its start.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Growth {
    pub(super) name: String,
    seconds: f64,
    /// On average, in the first and the last third of the time.
    first_mib: f64,
    last_mib: f64,
    /// By the line that fits best.
    kib_per_s: f64,
    /// The most there were, in the first and the last third of the time.
    first_descriptors: usize,
    last_descriptors: usize,
}

impl Growth {
    /// Nothing, if it was not there long enough.
    fn of(name: &str, looks: &[Look]) -> Option<Self> {
        let warm = &looks[looks.iter().position(|look| look.second >= WARM_UP)?..];
        let seconds = warm.last()?.second - warm.first()?.second;
        let third = warm.len() / 3;
        if seconds < LONG || third == 0 {
            return None;
        }
        let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
        let mean = |looks: &[Look]| rounded(looks.iter().map(|look| look.mib).sum::<f64>() / looks.len() as f64, 2);
        let most = |looks: &[Look]| looks.iter().map(|look| look.descriptors).max().unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            seconds: rounded(seconds, 0),
            first_mib: mean(first),
            last_mib: mean(last),
            kib_per_s: rounded(slope(warm) * 1024.0, 2),
            first_descriptors: most(first),
            last_descriptors: most(last),
        })
    }

    pub(super) fn grew_mib(&self) -> f64 {
        rounded(self.last_mib - self.first_mib, 2)
    }

    pub(super) const fn more_descriptors(&self) -> usize {
        self.last_descriptors.saturating_sub(self.first_descriptors)
    }

    pub(super) fn grew_too_much(&self) -> bool {
        self.grew_mib() > MAY_GROW
    }

    pub(super) const fn opened_too_many(&self) -> bool {
        self.more_descriptors() > MAY_OPEN
    }

    /// What is too much, in words.
    pub(super) fn complaint(&self) -> Option<String> {
        let Self { name, first_mib, last_mib, first_descriptors, last_descriptors, .. } = self;
        if self.grew_too_much() {
            return Some(format!("{name} grew from {first_mib} to {last_mib} MiB, by more than {MAY_GROW}"));
        }
        self.opened_too_many().then(|| format!("{name} had {first_descriptors} files open and then {last_descriptors}"))
    }
}

/// Of the memory by time, in MiB per second, by least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len() as f64;
    let (x, y) = looks.iter().fold((0.0, 0.0), |(x, y), look| (x + look.second / count, y + look.mib / count));
    let (above, below) = looks.iter().fold((0.0, 0.0), |(above, below), look| {
        let away = look.second - x;
        (above + away * (look.mib - y), below + away * away)
    });
    if below == 0.0 { 0.0 } else { above / below }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(mib_per_s: f64) -> Vec<Look> {
        (0..200u32)
            .map(|second| Look { second: second.into(), mib: 10.0 + mib_per_s * f64::from(second), descriptors: 9 })
            .collect()
    }

    #[test]
    fn what_grows_is_complained_of_and_what_does_not_is_not() {
        let grows = Growth::of("a", &looks(0.25)).unwrap();
        assert_eq!((grows.kib_per_s, grows.grew_mib()), (256.0, 30.0));
        assert!(grows.complaint().unwrap().starts_with("a grew"));
        assert_eq!(Growth::of("a", &looks(0.0)).unwrap().complaint(), None);
    }

    #[test]
    fn descriptors_that_are_not_closed_are_complained_of() {
        let mut looks = looks(0.0);
        looks.last_mut().unwrap().descriptors = 9 + MAY_OPEN + 1;
        assert!(Growth::of("a", &looks).unwrap().complaint().unwrap().contains("files open"));
    }

    #[test]
    fn a_short_life_says_nothing() {
        assert!(Growth::of("a", &looks(1.0)[..70]).is_none());
    }
}
