//! What became of it, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::block::Sum;

/// What became of the file.
pub(crate) struct Summary {
    pub(crate) sent: Sum,
    pub(crate) copies: Vec<Copied>,
    pub(crate) seconds: f64,
    pub(crate) peak_rss_mib: PeakRss,
}

/// One receiver's copy, or why there is none.
pub(crate) struct Copied {
    pub(crate) receiver: String,
    pub(crate) sum: Result<Sum, String>,
}

/// The most memory that each kind of process had at any time, in MiB; of the receivers, the largest.
#[derive(Debug, Serialize)]
pub(crate) struct PeakRss {
    pub(crate) sender: Option<f64>,
    pub(crate) controller: Option<f64>,
    pub(crate) receiver: Option<f64>,
}

/// The last line.
#[derive(Serialize)]
struct Json<'a> {
    receivers: usize,
    bytes: u64,
    equal: bool,
    seconds: f64,
    peak_rss_mib: &'a PeakRss,
}

impl Summary {
    /// Whether all copies are equal to the file.
    pub(crate) fn is_equal(&self) -> bool {
        self.copies.iter().all(|copy| copy.sum.as_ref() == Ok(&self.sent))
    }

    /// Prints it.
    pub(crate) fn print(&self, json: bool) -> io::Result<()> {
        let Self { sent, copies, seconds, peak_rss_mib } = self;
        let mut out = io::stdout().lock();
        writeln!(out, "{:<12} {:>12} bytes  sha256 {}", "sender", sent.bytes, sent.sha256)?;
        for Copied { receiver, sum } in copies {
            match sum {
                Ok(sum) => {
                    let equal = if sum == sent { "equal" } else { "DIFFERENT" };
                    writeln!(out, "{receiver:<12} {:>12} bytes  sha256 {}  {equal}", sum.bytes, sum.sha256)?;
                }
                Err(error) => writeln!(out, "{receiver:<12} FAILED: {error}")?,
            }
        }
        let mib = sent.bytes as f64 / f64::from(1 << 20);
        writeln!(out, "{seconds:.2} s, {:.0} MiB/s to each of {}", mib / seconds, copies.len())?;
        let PeakRss { sender, controller, receiver } = peak_rss_mib;
        if let (Some(sender), Some(controller), Some(receiver)) = (sender, controller, receiver) {
            writeln!(out, "most memory: sender {sender} MiB, controller {controller} MiB, receiver {receiver} MiB")?;
        }
        if json {
            let line = Json {
                receivers: copies.len(),
                bytes: sent.bytes,
                equal: self.is_equal(),
                seconds: (seconds * 1e3).round() / 1e3,
                peak_rss_mib,
            };
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        }
        Ok(())
    }
}

/// The most memory that a process had at any time, where the system tells.
pub(crate) fn peak_rss_mib(process: u32) -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        let status = procfs::process::Process::new(process.try_into().ok()?).ok()?.status().ok()?;
        // In KiB; one digit after the point is enough.
        status.vmhwm.map(|kib| (kib as f64 / 102.4).round() / 10.0)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = process;
        None
    }
}
