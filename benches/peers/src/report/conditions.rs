//! Under what conditions it was measured.

use std::{fs, thread};

use time::{OffsetDateTime, macros::format_description};

/// What a reader has to know of the machine and the hour.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) runs: u32,
    pub(super) brief: bool,
    date: String,
    cores: usize,
    processor: String,
    kernel: String,
    /// How many processes ran or wanted to, on average of a minute, before it began.
    load: String,
}

impl Conditions {
    pub(super) fn now(runs: u32, brief: bool) -> Self {
        let date = OffsetDateTime::now_utc().format(format_description!("[day padding:none] [month repr:long] [year]"));
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            runs,
            brief,
            // A date with a day, a month and a year has all that the format wants.
            date: date.unwrap_or_default(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: processor(&cpuinfo).unwrap_or("of unknown make").to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// A paragraph.
    pub(super) fn told(&self) -> String {
        let Self { runs, date, cores, processor, kernel, load, .. } = self;
        let brief = "**A brief run, with a twentieth of the work: these figures mean little.**\n\n";
        let brief = if self.brief { brief } else { "" };
        let runs = if *runs == 1 { "One run".to_owned() } else { format!("Medians of {runs} runs with their range") };
        format!(
            "{brief}Measured on {date}: Linux {kernel}, {cores} cores ({processor}), loopback, load {load} before it began.\n\
             Built by {} in the release profile. daffi has TLS on.\n\
             {runs}; a round runs every system at every work before the next begins.",
            env!("RUSTC_VERSION"),
        )
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some Processor @ 2.00GHz\nflags\t: a b\n";
        assert_eq!(processor(cpuinfo), Some("Some Processor @ 2.00GHz"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }

    #[test]
    fn a_brief_run_says_so() {
        assert!(Conditions::now(1, true).told().contains("these figures mean little"));
        let told = Conditions::now(5, false).told();
        assert!(
            told.starts_with("Measured on ") && told.contains("Medians of 5 runs") && told.contains("rustc 1."),
            "{told}"
        );
    }
}
