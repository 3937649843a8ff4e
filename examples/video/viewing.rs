//! What a viewer tells of what it sees, for the producer's table and for programs.

use std::io::{self, Write};

use daffi_camera::{Lately, Summary};
use serde::{Deserialize, Serialize};

/// What a viewer has seen, in all and of late.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Viewing {
    /// Since it joined.
    pub(crate) total: Summary,
    /// Since somebody last asked.
    pub(crate) lately: Lately,
}

/// One viewer's part of the summary for programs.
#[derive(Serialize)]
struct Line<'a> {
    viewer: &'a str,
    frames: u64,
    in_order: bool,
    intact: bool,
    missed: u64,
    latency_p50_us: u64,
    latency_p99_us: u64,
}

impl Viewing {
    /// Prints it, for programs or for people.
    pub(crate) fn print(&self, viewer: &str, json: bool) -> io::Result<()> {
        writeln!(io::stdout(), "{}", if json { self.json(viewer) } else { self.sentence(viewer) })
    }

    fn json(&self, viewer: &str) -> String {
        let Summary { frames, in_order, intact, missed, latency_p50_us, latency_p99_us, .. } = self.total;
        let line = Line { viewer, frames, in_order, intact, missed, latency_p50_us, latency_p99_us };
        serde_json::to_string(&line).expect("a struct of numbers can be written as JSON")
    }

    fn sentence(&self, viewer: &str) -> String {
        let Summary { frames, in_order, intact, missed, latency_p50_us, latency_p99_us, .. } = self.total;
        let order = if in_order { "in order" } else { "NOT IN ORDER" };
        let intact = if intact { "intact" } else { "DAMAGED" };
        let millis = |micros: u64| micros as f64 / 1e3;
        format!(
            "{viewer}: {frames} frames, {order}, {intact}, {missed} missed, latency p50 {:.1} ms, p99 {:.1} ms",
            millis(latency_p50_us),
            millis(latency_p99_us),
        )
    }
}
