//! What a measurement gives, and how it is told.

use serde::Serialize;

use crate::system::System;

/// What one run of one system gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// In the unit of the heading; what systems are compared by.
    pub(crate) value: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU seconds of each part for one unit of work.
    pub(crate) cpu: Cpu,
}

/// CPU seconds by part.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cpu {
    pub(crate) caller: f64,
    pub(crate) router: f64,
    pub(crate) responder: f64,
}

/// What all systems of a measurement have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    pub(crate) work: &'static str,
    pub(crate) receivers: u32,
    /// How many units of work a run has, and of how many in flight.
    pub(crate) count: u32,
    pub(crate) in_flight: u32,
    /// The unit of [`Run::value`].
    pub(crate) unit: &'static str,
    /// What [`Run::value`] is, in words.
    pub(crate) meaning: &'static str,
}

/// What all runs of a system gave.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    work: &'static str,
    receivers: u32,
    system: &'static str,
    median: f64,
    min: f64,
    max: f64,
    unit: &'static str,
    /// As all that follows: the median of the runs.
    cpu_s_per_unit: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_s_per_unit_of: Cpu,
    runs: usize,
    count: u32,
    in_flight: u32,
    tls: bool,
    version: String,
}

impl Line {
    /// Of at least one run.
    pub(crate) fn new(heading: &Heading, system: &dyn System, version: &str, runs: &[Run]) -> Self {
        let &Heading { work, receivers, count, in_flight, unit, .. } = heading;
        let values = sorted(runs, |run| run.value);
        let median_of = |value: fn(&Run) -> f64| median(&sorted(runs, value));
        let cpu = |value: fn(&Run) -> f64| rounded(median_of(value), 9);
        Self {
            work,
            receivers,
            system: system.name(),
            median: rounded(median(&values), 1),
            min: rounded(values.first().copied().unwrap_or_default(), 1),
            max: rounded(values.last().copied().unwrap_or_default(), 1),
            unit,
            cpu_s_per_unit: cpu(|run| run.cpu.total()),
            p50_us: rounded(median_of(|run| run.p50_us), 1),
            p99_us: rounded(median_of(|run| run.p99_us), 1),
            cpu_s_per_unit_of: Cpu {
                caller: cpu(|run| run.cpu.caller),
                router: cpu(|run| run.cpu.router),
                responder: cpu(|run| run.cpu.responder),
            },
            runs: runs.len(),
            count,
            in_flight,
            tls: system.tls(),
            version: version.to_owned(),
        }
    }
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            caller: self.caller - before.caller,
            router: self.router - before.router,
            responder: self.responder - before.responder,
        }
    }

    pub(crate) fn of_one_in(self, count: u32) -> Self {
        let count = f64::from(count);
        Self { caller: self.caller / count, router: self.router / count, responder: self.responder / count }
    }

    fn total(self) -> f64 {
        self.caller + self.router + self.responder
    }
}

/// For programs: each line as JSON.
pub(crate) fn json(lines: &[Line]) {
    // Numbers and text of our own: there is nothing that JSON could not hold.
    lines.iter().for_each(|line| println!("{}", serde_json::to_string(line).unwrap_or_default()));
}

/// For people.
pub(crate) fn table(heading: &Heading, lines: &[Line]) {
    let &Heading { work, receivers, count, in_flight, unit, meaning } = heading;
    println!("{work}: {receivers} receiver, {count} a run, {in_flight} in flight; {meaning}");
    println!(
        "{:<10}  {:>30}  {:>9}  {:>9}  {:>38}  {:>4}  {:<4} version",
        "system",
        format!("{unit}, median [min..max]"),
        "p50 µs",
        "p99 µs",
        "CPU µs each: caller + router + responder",
        "runs",
        "TLS",
    );
    for line in lines {
        let Line { system, median, min, max, p50_us, p99_us, runs, version, .. } = line;
        let Cpu { caller, router, responder } = line.cpu_s_per_unit_of;
        let [total, caller, router, responder] = [line.cpu_s_per_unit, caller, router, responder].map(|s| s * 1e6);
        let value = format!("{median:.0} [{min:.0}..{max:.0}]");
        let cpu = format!("{total:.1}: {caller:.1} + {router:.1} + {responder:.1}");
        let tls = if line.tls { "yes" } else { "no" };
        println!("{system:<10}  {value:>30}  {p50_us:>9.1}  {p99_us:>9.1}  {cpu:>40}  {runs:>4}  {tls:<4} {version}");
    }
}

fn sorted(runs: &[Run], value: impl Fn(&Run) -> f64) -> Vec<f64> {
    let mut values: Vec<_> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values; of an even number of them the mean of the two in the middle, of none 0.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(value)) => *value,
        (_, None) => 0.0,
    }
}

/// To so many places behind the point: more would be noise.
fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::by_name;

    const HEADING: Heading =
        Heading { work: "calls", receivers: 1, count: 100, in_flight: 1, unit: "us", meaning: "a p50" };

    fn run(value: f64) -> Run {
        let cpu = Cpu { caller: value * 1e-6, router: value * 2e-6, responder: 0.0 };
        Run { value, p50_us: value, p99_us: 2.0 * value, cpu }
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0]), 1.5);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }

    #[test]
    fn a_line_has_what_programs_look_for() {
        let system = by_name("raw-tcp").unwrap();
        let line = Line::new(&HEADING, system, "1", &[run(30.0), run(10.0), run(20.04)]);
        let line = serde_json::to_value(&line).unwrap();
        let expected = serde_json::json!({
            "work": "calls", "receivers": 1, "system": "raw-tcp", "median": 20.0, "min": 10.0, "max": 30.0, "unit": "us",
            "cpu_s_per_unit": 0.00006012, "p50_us": 20.0, "p99_us": 40.1,
            "cpu_s_per_unit_of": {"caller": 0.00002004, "router": 0.00004008, "responder": 0.0},
            "runs": 3, "count": 100, "in_flight": 1, "tls": false, "version": "1",
        });
        assert_eq!(line, expected);
    }
}
