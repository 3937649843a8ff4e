//! The processes of a soak, by name: started, killed, and asked.

use std::{collections::BTreeMap, net::UdpSocket, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;
use tokio::time::timeout;

use super::vitals::Vitals;
use crate::{Result, process::Process};

pub(super) const CONTROLLER: &str = "controller";
pub(super) const CALLER: &str = "caller";
pub(super) const CALLEE: &str = "callee";
/// The first sends the steady stream, the second the others.
pub(super) const PRODUCERS: [&str; 2] = ["producer-1", "producer-2"];
/// The last is slow, and the first is never killed: it sees whether streams go on.
pub(super) const RECEIVERS: [&str; 3] = ["receiver-1", "receiver-2", "receiver-3"];
pub(super) const WITNESS: &str = RECEIVERS[0];

/// No part takes longer for an answer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has glibc give free memory back, so that what a process has resident is what it holds. Left alone it keeps up to twice the largest
/// block that was ever freed, here some 8 MiB, for each of up to eight arenas per core, and large items come to further ones as
/// threads come and go: a growth of 20 KiB/s for many minutes, of which nothing is in use, and in which a leak would not be seen.
/// Both thresholds are those that glibc begins with; set, they stay.
const FRUGAL: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

#[derive(Debug)]
pub(super) struct System {
    processes: BTreeMap<&'static str, Process>,
    port: u16,
    /// Where nodes find the controller's token, and a controller that is started again its key.
    state: TempDir,
    pub(super) vitals: Vitals,
}

impl System {
    /// Starts all of them.
    pub(super) async fn start() -> Result<Self> {
        // It stays free for a controller that is started again: nothing else on this machine asks for just this one.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut system =
            Self { processes: BTreeMap::new(), port, state: tempfile::tempdir()?, vitals: Vitals::default() };
        for name in [&[CONTROLLER, CALLER, CALLEE], &PRODUCERS[..], &RECEIVERS].concat() {
            system.launch(name).await?;
        }
        Ok(system)
    }

    /// Starts the process of this name, and waits until it is there.
    pub(super) async fn launch(&mut self, name: &'static str) -> Result<()> {
        let port = self.port.to_string();
        let place = ["--port", &port, "--name", name];
        let args = match name {
            CONTROLLER => [&["role", "soak", "controller"], &place[..2]].concat(),
            CALLER | CALLEE => [&["role", "soak", name], &place[..]].concat(),
            name if PRODUCERS.contains(&name) => [&["role", "soak", "producer"], &place[..]].concat(),
            name if name == RECEIVERS[2] => [&["role", "soak", "receiver", "--slow"], &place[..]].concat(),
            _ => [&["role", "soak", "receiver"], &place[..]].concat(),
        };
        let mut process = Process::start_with(&args, self.state.path(), &FRUGAL)?;
        match name {
            CONTROLLER => drop(within(name, process.answer::<u16>()).await?),
            _ => within(name, process.answer::<()>()).await?,
        }
        self.processes.insert(name, process);
        Ok(())
    }

    pub(super) fn process(&self, name: &str) -> Result<&Process> {
        self.processes.get(name).ok_or_else(|| format!("{name} does not run").into())
    }

    /// Gives it an order and waits for the answer.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, name: &str, order: &Q) -> Result<A> {
        let process = self.processes.get_mut(name).ok_or_else(|| format!("{name} does not run"))?;
        within(name, process.ask(order)).await
    }

    /// Kills it.
    pub(super) async fn kill(&mut self, name: &str) -> Result<()> {
        self.take(name)?.kill().await
    }

    /// Lets it end by itself.
    pub(super) async fn stop(&mut self, name: &str) -> Result<()> {
        self.take(name)?.finish().await
    }

    /// Ends all of them, the controller last.
    pub(super) async fn finish(mut self) -> Result<Vitals> {
        self.look();
        for name in [&[CALLER, CALLEE], &PRODUCERS[..], &RECEIVERS, &[CONTROLLER]].concat() {
            self.stop(name).await?;
        }
        Ok(self.vitals)
    }

    /// Notes what each process has in use.
    pub(super) fn look(&mut self) {
        for (name, process) in &self.processes {
            self.vitals.note(name, process);
        }
    }

    fn take(&mut self, name: &str) -> Result<Process> {
        let process = self.processes.remove(name).ok_or_else(|| format!("{name} does not run"))?;
        self.vitals.note(name, &process);
        Ok(process)
    }
}

async fn within<T>(name: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, answer).await.map_err(|_| format!("{name} gave no answer within {PATIENCE:?}: it hangs"))?
}
