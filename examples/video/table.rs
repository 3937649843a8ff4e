//! The table that shows how it goes.

use std::io::{IsTerminal, stderr};

use daffi_camera::Lately;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::producer::Seen;

/// On a terminal the table stays where it is, and its figures change. Elsewhere a table is printed for each time.
pub(crate) struct Table {
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
}

const HEAD: &str = "viewer          frames      fps   p50 ms   p99 ms   missed    Mbit/s";

impl Table {
    pub(crate) fn new() -> Self {
        Self { bars: stderr().is_terminal().then(|| (MultiProgress::new(), Vec::new())) }
    }

    pub(crate) fn show(&mut self, seen: &Seen) {
        let rows = seen.iter().map(|(viewer, viewing)| {
            let Lately { fps, bits_per_second, latency_p50_us, latency_p99_us } = viewing.lately;
            let millis = |micros: u64| micros as f64 / 1e3;
            format!(
                "{viewer:<12}{:>10}{fps:>9.1}{:>9.1}{:>9.1}{:>9}{:>10.1}",
                viewing.total.frames,
                millis(latency_p50_us),
                millis(latency_p99_us),
                viewing.total.missed,
                bits_per_second / 1e6,
            )
        });
        let lines: Vec<String> = std::iter::once(HEAD.to_owned()).chain(rows).collect();
        let Some((table, bars)) = &mut self.bars else {
            eprintln!("{}", lines.join("\n"));
            return;
        };
        while bars.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").expect("the template has but a message");
            bars.push(table.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (bar, line) in bars.iter().zip(lines) {
            bar.set_message(line);
            bar.tick();
        }
    }

    /// Leaves the last state on the screen.
    pub(crate) fn end(&mut self) {
        self.bars.iter().flat_map(|(_, bars)| bars).for_each(ProgressBar::abandon);
    }
}
