//! What a measurement gives, and how it is told.

use std::{fmt, process::ExitCode};

use serde::Serialize;

use crate::Result;

/// What one run gave. [`fmt::Display`] is for people, [`Serialize`] for programs.
pub(crate) trait Figures: Serialize + fmt::Display {
    /// What runs are compared by.
    fn rate(&self) -> f64;

    /// Whether everything arrived as it should have.
    fn is_right(&self) -> bool;
}

/// CPU time by part, of all receivers together. The kernel counts in ticks, mostly of 10 ms.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct CpuSeconds {
    pub(crate) sender: f64,
    pub(crate) controller: f64,
    pub(crate) receivers: f64,
}

impl CpuSeconds {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            sender: rounded(self.sender - before.sender, 2),
            controller: rounded(self.controller - before.controller, 2),
            receivers: rounded(self.receivers - before.receivers, 2),
        }
    }
}

impl fmt::Display for CpuSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sender, controller, receivers } = self;
        write!(f, "CPU s: sender {sender:.2}, controller {controller:.2}, receivers {receivers:.2}")
    }
}

/// To so many places behind the point: more would be noise.
pub(crate) fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

/// Tells what all runs gave; a failure if something did not arrive as it should have.
pub(crate) fn all<F: Figures>(runs: Result<Vec<F>>, json: bool) -> Result<ExitCode> {
    let mut runs = runs?;
    runs.iter().for_each(|run| println!("{run}"));
    let right = runs.iter().all(Figures::is_right);
    runs.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    let median = runs.get(runs.len() / 2).ok_or("there was no run")?;
    if runs.len() > 1 {
        println!("median of {}: {median}", runs.len());
    }
    if json {
        println!("{}", serde_json::to_string(median)?);
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
