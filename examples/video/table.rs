//! The table that shows how it goes, and notes above it.

use std::{
    fmt::Display,
    io::{IsTerminal, stderr},
};

use daffi_camera::Lately;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::outcome::Viewing;

const HEAD: &str = "viewer          frames      fps   p50 ms   p99 ms   missed    Mbit/s";

/// On a terminal the table stays where it is, and its figures change. Elsewhere a table is printed for each time.
pub(crate) struct Table {
    notes: Notes,
    rows: Vec<ProgressBar>,
}

/// Prints without tearing the table, from any thread.
#[derive(Clone)]
pub(crate) struct Notes(Option<MultiProgress>);

impl Notes {
    pub(crate) fn say(&self, note: impl Display) {
        let told = self.0.as_ref().is_some_and(|table| table.println(note.to_string()).is_ok());
        if !told {
            eprintln!("{note}");
        }
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { notes: Notes(stderr().is_terminal().then(MultiProgress::new)), rows: Vec::new() }
    }

    /// Where to say something while the table is there.
    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Shows how it goes for these viewers.
    pub(crate) fn show<'a>(&mut self, viewers: impl Iterator<Item = (&'a String, &'a Viewing)>) {
        let rows = viewers.map(|(viewer, viewing)| {
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
        let Some(table) = &self.notes.0 else {
            eprintln!("{}", lines.join("\n"));
            return;
        };
        while self.rows.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").expect("the template has but a message");
            self.rows.push(table.add(ProgressBar::new_spinner().with_style(style)));
        }
        // A row is left over when a viewer has left.
        let lines = lines.into_iter().chain(std::iter::repeat(String::new()));
        for (row, line) in self.rows.iter().zip(lines) {
            row.set_message(line);
            row.tick();
        }
    }

    /// Leaves the last state on the screen.
    pub(crate) fn end(&mut self) {
        self.rows.iter().for_each(ProgressBar::abandon);
    }
}
