//! What is printed: lines of JSON for programs, tables for people.

use crate::{figures::Line, rounds::Measured};

/// Each line as JSON.
pub(crate) fn json(measured: &Measured) {
    // Numbers and text of our own: there is nothing that JSON could not hold.
    measured.lines.iter().for_each(|line| println!("{}", serde_json::to_string(line).unwrap_or_default()));
}

/// A table for each work and number of receivers.
pub(crate) fn tables(measured: &Measured) {
    for (_, lines) in measured.by_heading() {
        if let Some(first) = lines.first() {
            head(first);
        }
        lines.into_iter().for_each(row);
    }
}

fn head(line: &Line) {
    let &Line { work, receivers, in_flight, unit, meaning, .. } = line;
    let parts = line.cpu_s_per_unit_of.parts;
    let in_flight = in_flight.map(|calls| format!(", {calls} in flight")).unwrap_or_default();
    println!("{work} to {receivers}{in_flight}: {meaning}");
    println!(
        "{:<16}  {:>34}  {:>9}  {:>9}  {:>42}  {:>6}  {:>9}  {:>4}  {:<4} version",
        "system",
        format!("{unit}, median [min..max]"),
        "p50 µs",
        "p99 µs",
        format!("CPU µs each: {}", parts.join(" + ")),
        "lost",
        "of",
        "runs",
        "TLS",
    );
}

fn row(line: &Line) {
    let Line { system, median, min, max, runs, version, count, .. } = line;
    let [a, b, c] = line.cpu_s_per_unit_of.cpu.0.map(|s| s * 1e6);
    let value = format!("{median:.0} [{min:.0}..{max:.0}]");
    let cpu = format!("{:.2}: {a:.2} + {b:.2} + {c:.2}", line.cpu_s_per_unit * 1e6);
    let [p50, p99] = [line.p50_us, line.p99_us].map(|us| us.map(|us| format!("{us:.1}")).unwrap_or_default());
    let lost = line.lost.map(|lost| lost.to_string()).unwrap_or_default();
    let tls = if line.tls { "yes" } else { "no" };
    println!(
        "{system:<16}  {value:>34}  {p50:>9}  {p99:>9}  {cpu:>42}  {lost:>6}  {count:>9}  {runs:>4}  {tls:<4} {version}"
    );
    if let Some(slow) = line.slow {
        let [p50, p99, max] = [slow.age_p50_us, slow.age_p99_us, slow.age_max_us].map(|us| us / 1e3);
        println!(
            "{:<16}  the slow one took {} items, of an age of {p50:.1} ms (p99 {p99:.1}, at most {max:.1})",
            "", slow.items
        );
    }
}
