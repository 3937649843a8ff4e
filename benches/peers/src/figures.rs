//! What a measurement gives: of one run, and of all.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::statistics::{median, range, rounded};

/// What one run of one system gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// In the unit of the heading; what systems are compared by.
    pub(crate) value: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// How many items did not arrive, at all receivers but the slow one together; of calls nothing.
    pub(crate) lost: Option<u64>,
    /// What came to the receiver that is slow, if there is one.
    pub(crate) slow: Option<Slow>,
    /// CPU seconds of each part for one unit of work.
    pub(crate) cpu: Cpu,
}

/// What came to a slow receiver.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Slow {
    pub(crate) age_p50_us: f64,
    pub(crate) age_p99_us: f64,
    pub(crate) age_max_us: f64,
    pub(crate) items: u64,
}

/// CPU seconds by part, in the order of [`Heading::parts`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cpu(pub(crate) [f64; 3]);

/// What all runs of a measurement have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    pub(crate) work: &'static str,
    pub(crate) receivers: u32,
    /// How many units of work a run has.
    pub(crate) count: u32,
    /// Of calls: how many at a time.
    pub(crate) in_flight: Option<u32>,
    /// The unit of [`Run::value`].
    pub(crate) unit: &'static str,
    /// What [`Run::value`] is, in words.
    pub(crate) meaning: &'static str,
    /// Whose CPU time it is.
    pub(crate) parts: [&'static str; 3],
}

/// What all runs of a system gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) work: &'static str,
    pub(crate) receivers: u32,
    pub(crate) system: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) unit: &'static str,
    #[serde(skip)]
    pub(crate) meaning: &'static str,
    /// As all that follows, unless said otherwise: the median of the runs.
    pub(crate) cpu_s_per_unit: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_us: Option<f64>,
    /// Of all runs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<Slow>,
    pub(crate) cpu_s_per_unit_of: CpuOf,
    pub(crate) runs: usize,
    pub(crate) count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<u32>,
    pub(crate) tls: bool,
    pub(crate) version: String,
}

/// CPU seconds with the names of the parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuOf {
    pub(crate) parts: [&'static str; 3],
    pub(crate) cpu: Cpu,
}

impl Line {
    /// Of at least one run.
    pub(crate) fn new(heading: &Heading, system: String, tls: bool, version: &str, runs: &[Run]) -> Self {
        let &Heading { work, receivers, count, in_flight, unit, meaning, parts } = heading;
        let values: Vec<_> = runs.iter().map(|run| run.value).collect();
        let (min, max) = range(&values);
        let slow: Vec<_> = runs.iter().filter_map(|run| run.slow).collect();
        Self {
            work,
            receivers,
            system,
            median: rounded(median(&values), 1),
            min: rounded(min, 1),
            max: rounded(max, 1),
            unit,
            meaning,
            cpu_s_per_unit: rounded(median_of(runs, |run| Some(run.cpu.total())).unwrap_or_default(), 9),
            p50_us: median_of(runs, |run| run.p50_us).map(|us| rounded(us, 1)),
            p99_us: median_of(runs, |run| run.p99_us).map(|us| rounded(us, 1)),
            lost: runs.iter().map(|run| run.lost).sum(),
            slow: Slow::median_of(&slow),
            cpu_s_per_unit_of: CpuOf { parts, cpu: Cpu::median_of(runs) },
            runs: runs.len(),
            count,
            in_flight,
            tls,
            version: version.to_owned(),
        }
    }
}

impl Slow {
    fn median_of(all: &[Self]) -> Option<Self> {
        let of = |value: fn(&Self) -> f64| median_of(all, |slow| Some(value(slow)));
        Some(Self {
            age_p50_us: rounded(of(|slow| slow.age_p50_us)?, 1),
            age_p99_us: rounded(of(|slow| slow.age_p99_us)?, 1),
            age_max_us: rounded(of(|slow| slow.age_max_us)?, 1),
            items: of(|slow| slow.items as f64)? as u64,
        })
    }
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] - before.0[part]))
    }

    pub(crate) fn of_one_in(self, count: u32) -> Self {
        Self(self.0.map(|seconds| seconds / f64::from(count)))
    }

    fn total(self) -> f64 {
        self.0.iter().sum()
    }

    fn median_of(runs: &[Run]) -> Self {
        Self(std::array::from_fn(|part| rounded(median_of(runs, |run| Some(run.cpu.0[part])).unwrap_or_default(), 9)))
    }
}

impl Serialize for CpuOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parts.len()))?;
        for (part, seconds) in self.parts.iter().zip(self.cpu.0) {
            map.serialize_entry(part, &seconds)?;
        }
        map.end()
    }
}

/// Of those that have such a value; nothing, if none has.
fn median_of<T>(all: &[T], value: impl Fn(&T) -> Option<f64>) -> Option<f64> {
    let values: Vec<_> = all.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| median(&values))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const CALLS: Heading = Heading {
        work: "calls",
        receivers: 1,
        count: 100,
        in_flight: Some(1),
        unit: "us",
        meaning: "a p50",
        parts: ["caller", "router", "responder"],
    };

    #[test]
    fn a_line_has_what_programs_look_for() {
        let run = |value: f64| Run {
            value,
            p50_us: Some(value),
            p99_us: Some(2.0 * value),
            cpu: Cpu([value * 1e-6, value * 2e-6, 0.0]),
            ..Run::default()
        };
        let line = Line::new(&CALLS, "raw-tcp".into(), false, "1", &[run(30.0), run(10.0), run(20.04)]);
        let expected = serde_json::json!({
            "work": "calls", "receivers": 1, "system": "raw-tcp", "median": 20.0, "min": 10.0, "max": 30.0, "unit": "us",
            "cpu_s_per_unit": 0.00006012, "p50_us": 20.0, "p99_us": 40.1,
            "cpu_s_per_unit_of": {"caller": 0.00002004, "router": 0.00004008, "responder": 0.0},
            "runs": 3, "count": 100, "in_flight": 1, "tls": false, "version": "1",
        });
        assert_eq!(serde_json::to_value(&line).unwrap(), expected);
    }

    #[test]
    fn what_does_not_apply_is_left_out_and_losses_add_up() {
        let heading = Heading { work: "tiny", receivers: 2, in_flight: None, ..CALLS };
        let run = Run { value: 1.0, lost: Some(3), ..Run::default() };
        let line = Line::new(&heading, "nats".into(), false, "1", &[run.clone(), run]);
        let line = serde_json::to_value(&line).unwrap();
        assert_eq!(line["lost"], 6);
        let fields = line.as_object().unwrap();
        assert!(!["p50_us", "p99_us", "in_flight", "slow"].iter().any(|field| fields.contains_key(*field)), "{line}");
    }
}
