//! The processes of one run: router, responder and caller, all fresh.

use std::{path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::{Result, process::Process, report::Cpu, role::Part, system::System};

/// How long a process has to start and find the others.
const GATHERING: Duration = Duration::from_secs(60);

/// Everything that runs for a system. The parts are killed in the order of the fields: those who would complain of a lost
/// router go before it.
#[derive(Debug)]
pub(crate) struct Topology {
    caller: Process,
    responder: Process,
    router: Process,
    /// Certificates and tokens; gone with the topology.
    _dir: TempDir,
}

impl Topology {
    /// Starts one process after the other, each when the one before is ready.
    pub(crate) fn start(system: &dyn System) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut router = start(Part::Router, system, dir.path(), &[])?;
        let mut said = Vec::new();
        let address = loop {
            let line = router.line(GATHERING).map_err(|error| format!("{error}; it had said {said:?}"))?;
            if let Some(address) = system.listens_at(&line) {
                break address.to_string();
            }
            said.push(line);
        };
        let join = |part| -> Result<Process> {
            let mut process = start(part, system, dir.path(), &["--router", &address])?;
            process.answer::<()>(GATHERING)?;
            Ok(process)
        };
        let responder = join(Part::Responder)?;
        let caller = join(Part::Caller)?;
        Ok(Self { caller, responder, router, _dir: dir })
    }

    /// Lets the caller do its work; what it tells, and the CPU seconds that each part used for it.
    pub(crate) fn run<Q: Serialize, A: DeserializeOwned>(&mut self, order: &Q, patience: Duration) -> Result<(A, Cpu)> {
        let before = self.cpu()?;
        let answer = self.caller.ask(order, patience)?;
        Ok((answer, self.cpu()?.since(before)))
    }

    fn cpu(&self) -> Result<Cpu> {
        Ok(Cpu {
            caller: self.caller.cpu_time()?.as_secs_f64(),
            router: self.router.cpu_time()?.as_secs_f64(),
            responder: self.responder.cpu_time()?.as_secs_f64(),
        })
    }
}

fn start(part: Part, system: &dyn System, dir: &Path, more: &[&str]) -> Result<Process> {
    let dir = dir.to_str().ok_or("the temporary directory has a name that is no text; set TMPDIR to another")?;
    let (part, parent) = (part.name(), std::process::id().to_string());
    let args = ["role", part, "--system", system.name(), "--dir", dir, "--parent", &parent];
    Process::start(format!("the {part}"), &[&args, more].concat())
}
