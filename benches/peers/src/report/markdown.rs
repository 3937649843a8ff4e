//! The text of the measured part.

use std::fmt::Write;

use super::{
    conditions::Conditions,
    goals::{self, Outcome},
    numbers::{shown, with_commas},
};
use crate::{
    figures::Line,
    rounds::{Failure, Measured},
};

/// What a work is, for those who have not read the program.
const WORKS: [(&str, &str); 7] = [
    ("tiny", "Items of 64 bytes, as many as are taken, lossless."),
    ("frames", "Frames of 172,800 bytes (320 x 180 pixels in RGB), as many as are taken, lossless."),
    ("big-frames", "Frames of 1 MiB, as many as are taken, lossless."),
    ("live", "Frames of 172,800 bytes at 60 a second: their age when they come."),
    (
        "slow-receiver",
        "Frames of 256 KiB at 60 a second to three receivers, of which one reads 2 MB a second; `-alone` is without that one.",
    ),
    ("calls", "An echo of 16 bytes, one call after the other."),
    ("calls-64", "The same with 64 calls in flight from one caller."),
];

/// All that goes between the markers. The plots are in this directory.
pub(super) fn of(conditions: &Conditions, measured: &Measured, directory: &str) -> String {
    let mut text = format!("## Beside the peers\n\n{}\n\n{}\n\n", conditions.told(), versions(&measured.lines));
    text += &goals(&measured.lines);
    for (work, lines) in measured.by_work() {
        text += &section(work, &lines, directory);
    }
    text + &failures(&measured.failures)
}

/// Each system with its version, in the order of the first that was measured.
fn versions(lines: &[Line]) -> String {
    let mut said = Vec::<&str>::new();
    for line in lines {
        if !said.contains(&line.version.as_str()) {
            said.push(&line.version);
        }
    }
    format!("Versions: {}.", said.join("; "))
}

fn goals(lines: &[Line]) -> String {
    let mut text = String::from("### Goals\n\n| work | to | daffi is to be | seen | |\n|---|---|---|---|---|\n");
    for Outcome { work, receivers, goal, seen, reached } in goals::outcomes(&lines.iter().collect::<Vec<_>>()) {
        let verdict = match (seen, reached) {
            (None, _) => "not measured",
            (Some(_), true) => "reached",
            (Some(_), false) => "missed",
        };
        let seen = seen.map(shown).unwrap_or_default();
        push(&mut text, format_args!("| {work} | {receivers} | {goal} | {seen} | {verdict} |"));
    }
    text + "\n"
}

fn section(work: &str, lines: &[&Line], directory: &str) -> String {
    let told = WORKS.iter().find(|(name, _)| *name == work).map_or("", |(_, told)| told);
    let Some(first) = lines.first() else { return String::new() };
    let parts = first.cpu_s_per_unit_of.parts.join(" + ");
    let unit = if first.unit == "us" { "µs" } else { first.unit };
    let ages = lines.iter().any(|line| line.p99_us.is_some());
    let slow = lines.iter().any(|line| line.slow.is_some());
    let loses = lines.iter().any(|line| line.lost.is_some());
    let columns = [
        (true, "system".to_owned()),
        (true, "to".to_owned()),
        (true, format!("{unit}, median (range)")),
        (ages, "p50 µs".to_owned()),
        (ages, "p99 µs".to_owned()),
        (true, format!("CPU µs of one: {parts}")),
        (loses, "lost".to_owned()),
        (slow, "slow one: items, age p50 and most".to_owned()),
        (true, "of".to_owned()),
        (true, "TLS".to_owned()),
    ];
    let shown_columns: Vec<_> = columns.iter().filter(|(has, _)| *has).map(|(_, name)| name.as_str()).collect();
    let mut text =
        format!("### {work}\n\n{told} Figures are {}.\n\n![{work}]({directory}/{work}.svg)\n\n", first.meaning);
    push(&mut text, format_args!("| {} |", shown_columns.join(" | ")));
    push(&mut text, format_args!("|{}", "---|".repeat(shown_columns.len())));
    for line in lines {
        let cells = cells(line);
        let cells = cells.iter().zip(&columns).filter(|(_, (has, _))| *has).map(|(cell, _)| cell.as_str());
        push(&mut text, format_args!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
    text + "\n"
}

/// All that there may be of a line, in the order of the columns.
fn cells(line: &Line) -> [String; 10] {
    let us = |us: Option<f64>| us.map(shown).unwrap_or_default();
    let cpu = line.cpu_s_per_unit_of.cpu.0.map(|seconds| shown(seconds * 1e6));
    let slow = line.slow.map(|slow| {
        let [p50, most] = [slow.age_p50_us, slow.age_max_us].map(|us| shown(us / 1e3));
        format!("{}, {p50} ms, {most} ms", slow.items)
    });
    [
        line.system.clone(),
        line.receivers.to_string(),
        format!("{} ({} to {})", shown(line.median), shown(line.min), shown(line.max)),
        us(line.p50_us),
        us(line.p99_us),
        format!("{}: {}", shown(line.cpu_s_per_unit * 1e6), cpu.join(" + ")),
        line.lost.map(|lost| lost.to_string()).unwrap_or_default(),
        slow.unwrap_or_default(),
        with_commas(&line.count.to_string()),
        if line.tls { "yes" } else { "no" }.to_owned(),
    ]
}

fn failures(failures: &[Failure]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let mut text = String::from("### Not measured\n\n");
    for Failure { work, receivers, system, error } in failures {
        push(&mut text, format_args!("- {system} at {work} to {receivers}: {error}"));
    }
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Text in memory takes every line.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{Cpu, Heading, Run, Slow},
        work::stream::Kind,
    };

    fn line(work: &'static str, system: &str, run: Run) -> Line {
        let parts = ["sender", "router", "receivers"];
        let heading = Heading { work, receivers: 3, count: 600, in_flight: None, unit: "us", meaning: "ages", parts };
        Line::new(&heading, system.into(), true, "some 1.0", &[run])
    }

    #[test]
    fn a_work_has_a_table_with_the_columns_that_apply() {
        let cpu = Cpu([1e-6, 2e-6, 3.5e-6]);
        let slow = Slow { age_p50_us: 9_800.0, age_p99_us: 38_000.0, age_max_us: 38_900.0, items: 23 };
        let run =
            Run { value: 6_710.0, p50_us: Some(1_546.0), p99_us: Some(6_710.0), lost: Some(4), slow: Some(slow), cpu };
        let lines =
            vec![line("slow-receiver", "daffi", run), line("tiny", "nats", Run { value: 2.0, ..Run::default() })];
        let failure = Failure { work: "tiny", receivers: 2, system: "zenoh-tcp".into(), error: "it fell over".into() };
        let measured = Measured { lines, failures: vec![failure] };
        let text = of(&Conditions::now(5, false), &measured, "plots");
        let row = "| daffi | 3 | 6,710 (6,710 to 6,710) | 1,546 | 6,710 | 6.50: 1.00 + 2.00 + 3.50 | 4 | 23, 9.80 ms, 38.9 ms \
                   | 600 | yes |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| nats | 3 | 2.00 (2.00 to 2.00) | 0: 0 + 0 + 0 | 600 | yes |"), "{text}");
        assert!(text.contains("![slow-receiver](plots/slow-receiver.svg)"), "{text}");
        assert!(text.contains("Versions: some 1.0.\n"), "{text}");
        assert!(text.contains("- zenoh-tcp at tiny to 2: it fell over\n"), "{text}");
        assert!(
            text.contains("| slow-receiver | 3 | the slow one's items at most 0.25 s old (s) | 0.04 | reached |"),
            "{text}"
        );
    }

    #[test]
    fn every_work_is_told() {
        for kind in Kind::ALL {
            assert!(WORKS.iter().any(|(name, _)| *name == kind.name()), "{}", kind.name());
        }
    }
}
