//! The processes of one run, all fresh: a router, those who take, and the one who begins.

use std::{path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::{Result, figures::Cpu, process::Process, role::Part, system::System, work::stream::Scene};

/// How long a process has to start and find the others.
const GATHERING: Duration = Duration::from_secs(60);

/// Everything that runs for a system. The parts are killed in the order of the fields: those who would complain of a lost
/// router go before it.
#[derive(Debug)]
pub(crate) struct Topology {
    /// A caller, or a sender.
    first: Process,
    /// A responder, or receivers.
    others: Vec<Process>,
    router: Process,
    /// Certificates and tokens; gone with the topology.
    _dir: TempDir,
}

impl Topology {
    /// A caller, a router and a responder.
    pub(crate) fn of_calls(system: &dyn System) -> Result<Self> {
        Self::start(system, Part::Caller, &[(Part::Responder, "the responder".into())], None)
    }

    /// A sender, a router and the receivers of the scene.
    pub(crate) fn of_streams(system: &dyn System, scene: &Scene) -> Result<Self> {
        let receivers: Vec<_> = (0..scene.receivers).map(|n| (Part::Receiver, format!("receiver {n}"))).collect();
        Self::start(system, Part::Sender, &receivers, Some(serde_json::to_string(scene)?))
    }

    /// Starts one process after the other, each when the one before is ready.
    fn start(system: &dyn System, first: Part, others: &[(Part, String)], scene: Option<String>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let scene: Vec<_> = scene.iter().flat_map(|scene| ["--scene", scene]).collect();
        let mut router = start("the router".into(), Part::Router, system, dir.path(), &scene)?;
        let mut said = Vec::new();
        let address = loop {
            let line = router.line(GATHERING).map_err(|error| format!("{error}; it had said {said:?}"))?;
            if let Some(address) = system.listens_at(&line) {
                break address.to_string();
            }
            said.push(line);
        };
        let join = |what, part, number: usize| -> Result<Process> {
            let number = number.to_string();
            let args = [&scene[..], &["--router", &address, "--number", &number]].concat();
            let mut process = start(what, part, system, dir.path(), &args)?;
            process.answer::<()>(GATHERING)?;
            Ok(process)
        };
        let others = others.iter().enumerate().map(|(number, (part, what))| join(what.clone(), *part, number));
        let others = others.collect::<Result<_>>()?;
        let first = join(format!("the {}", first.name()), first, 0)?;
        Ok(Self { first, others, router, _dir: dir })
    }

    /// Lets the caller or sender do its work, and tells what it told.
    pub(crate) fn run<Q: Serialize, A: DeserializeOwned>(&mut self, order: &Q, patience: Duration) -> Result<A> {
        self.first.ask(order, patience)
    }

    /// Asks all the others.
    pub(crate) fn ask_others<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        order: &Q,
        patience: Duration,
    ) -> Result<Vec<A>> {
        self.others.iter_mut().try_for_each(|other| other.order(order))?;
        self.others.iter_mut().map(|other| other.answer(patience)).collect()
    }

    /// The CPU seconds that the caller or sender, the router, and the others together have used.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let others = self.others.iter().map(Process::cpu_time).sum::<Result<Duration>>()?;
        Ok(Cpu([self.first.cpu_time()?, self.router.cpu_time()?, others].map(|time| time.as_secs_f64())))
    }
}

fn start(what: String, part: Part, system: &dyn System, dir: &Path, more: &[&str]) -> Result<Process> {
    let dir = dir.to_str().ok_or("the temporary directory has a name that is no text; set TMPDIR to another")?;
    let parent = std::process::id().to_string();
    let args = ["role", part.name(), "--system", system.name(), "--dir", dir, "--parent", &parent];
    Process::start(what, &[&args, more].concat())
}
