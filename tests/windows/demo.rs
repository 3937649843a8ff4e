//! The video demo as the README says, with windows.

use std::{process::ExitStatus, thread, time::Duration};

use rustix::process::Signal;
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    programs::{Program, System, children_of},
    xserver::{XServer, soon},
};

/// How long to wait for its end, however loaded the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running demo. Killed when dropped; its viewers end with it.
pub(crate) struct Demo {
    /// There until it has ended.
    program: Option<Program>,
    runtime: Runtime,
    _system: System,
}

impl Demo {
    /// Starts it with the test pattern and windows on that X server, to run until somebody ends it.
    pub(crate) fn start(server: &XServer) -> Self {
        let mut system = System::new();
        system.display = Some(server.display().to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let program = runtime.block_on(async { system.start_anywhere("video", &["--source", "pattern"]) });
        Self { program: Some(program), runtime, _system: system }
    }

    /// The process of the viewer of this name.
    pub(crate) fn viewer(&self, name: &str) -> i32 {
        let is_it = |process: &i32| {
            let words = procfs::process::Process::new(*process).and_then(|process| process.cmdline());
            words.is_ok_and(|words| words.iter().any(|word| word == name))
        };
        let demo = self.program.as_ref().expect("it runs").id();
        soon(&format!("{name} runs"), || children_of(demo).into_iter().find(is_it))
    }

    /// Waits until it has ended by itself: how, and what it said.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let (status, said) = self.ended().expect("the demo ends");
        assert!(status.code().is_some() && !said.contains("panicked"), "{status}: {said}");
        (status, said)
    }

    /// Waits for its end: how it was, and what it said.
    fn ended(&mut self) -> Option<(ExitStatus, String)> {
        let program = self.program.take()?;
        let ended = self.runtime.block_on(async { timeout(PATIENCE, program.ends()).await });
        ended.ok().map(|(status, _, said)| (status, said))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let Some(program) = &self.program else { return };
        program.signal(Signal::KILL);
        if let Some((_, said)) = self.ended().filter(|_| thread::panicking()) {
            eprintln!("the demo said:\n{said}");
        }
    }
}
