//! What the viewers tell of what they see, for the producer's table and for programs.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, Write},
};

use daffi_camera::{Arrivals, Lately, Summary};
use serde::{Deserialize, Serialize};

/// What a viewer has seen, in all and of late.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Viewing {
    /// Since it joined.
    pub(crate) total: Summary,
    /// Since somebody last asked.
    pub(crate) lately: Lately,
}

/// What each viewer said last.
pub(crate) type Seen = BTreeMap<String, Viewing>;

/// What became of the video.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) seen: Seen,
    /// What went wrong, if something did.
    pub(crate) failure: Option<String>,
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

/// It has seen nothing yet.
impl Default for Viewing {
    fn default() -> Self {
        Self { total: Arrivals::new().summary(), lately: Lately::default() }
    }
}

impl Viewing {
    /// Prints it, for programs or for people.
    pub(crate) fn print(&self, viewer: &str, json: bool) -> io::Result<()> {
        let line = if json { self.json(viewer) } else { self.sentence(viewer) };
        writeln!(io::stdout(), "{line}")
    }

    fn json(&self, viewer: &str) -> String {
        let Summary { frames, in_order, intact, missed, latency_p50_us, latency_p99_us, .. } = self.total;
        let line = Line { viewer, frames, in_order, intact, missed, latency_p50_us, latency_p99_us };
        serde_json::to_string(&line).expect("a struct of numbers can be written as JSON")
    }

    fn sentence(&self, viewer: &str) -> String {
        let Summary { frames, in_order, intact, missed, latency_p50_us, latency_p99_us, .. } = self.total;
        if frames == 0 {
            return format!("{viewer}: no frame arrived");
        }
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

impl Outcome {
    /// Prints what the viewers have seen; an error if something went wrong, or if one has not seen all whole and in order.
    pub(crate) fn conclude(self, json: bool) -> Result<(), Box<dyn Error>> {
        for (viewer, viewing) in &self.seen {
            viewing.print(viewer, json)?;
        }
        let well = self.seen.values().all(|viewing| viewing.total.in_order && viewing.total.intact);
        match self.failure {
            Some(failure) => Err(failure.into()),
            None if well => Ok(()),
            None => Err("not all frames arrived whole and in order".into()),
        }
    }
}
