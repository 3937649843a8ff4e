//! The processes of a benchmark: one controller, one sender, and receivers.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;
use tokio::time::interval;

use crate::{Result, process::Process, report::CpuSeconds, work::Work};

/// Everything that runs for a work.
#[derive(Debug)]
pub(crate) struct Topology<W> {
    sender: Process,
    receivers: Vec<Process>,
    controller: Process,
    /// Where nodes find the controller's token; gone with the topology.
    _state: TempDir,
    _work: PhantomData<W>,
}

impl<W: Work> Topology<W> {
    /// Starts the processes and waits until the sender sees all receivers.
    pub(crate) async fn start(receivers: u32) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let mut controller = Process::start(&["role", "controller"], state.path())?;
        let port = controller.answer::<u16>().await?.to_string();
        let names: Vec<_> = (1..=receivers).map(|number| format!("receiver-{number}")).collect();

        let start = |role, rest: &[&str]| {
            let args = [&["role", role, "--work", W::NAME, "--port", &port], rest].concat();
            Process::start(&args, state.path())
        };
        let receivers: Result<Vec<_>> = names.iter().map(|name| start("receiver", &["--name", name])).collect();
        let mut receivers = receivers?;
        let mut sender = start("sender", &["--name", "sender", "--receivers", &names.join(",")])?;
        for process in receivers.iter_mut().chain([&mut sender]) {
            process.answer::<()>().await?;
        }
        Ok(Self { sender, receivers, controller, _state: state, _work: PhantomData })
    }

    /// Lets the sender do its work; what it tells, and the CPU time that each part used for it.
    pub(crate) async fn run(&mut self, order: &W::Order) -> Result<(W::Outcome, CpuSeconds)> {
        let before = self.cpu_seconds()?;
        let outcome = self.sender.ask(order).await?;
        Ok((outcome, self.cpu_seconds()?.since(before)))
    }

    /// Does the same, and looks at the controller's memory every so often, in bytes: before it begins for the first time.
    pub(crate) async fn run_watched(
        &mut self,
        order: &W::Order,
        every: Duration,
    ) -> Result<(W::Outcome, CpuSeconds, Vec<u64>)> {
        let before = self.cpu_seconds()?;
        let (mut looks, mut seen) = (interval(every), Vec::new());
        let outcome = {
            let controller = &self.controller;
            let mut asked = std::pin::pin!(self.sender.ask(order));
            loop {
                tokio::select! {
                    biased;
                    _ = looks.tick() => seen.push(controller.memory()?),
                    outcome = &mut asked => break outcome?,
                }
            }
        };
        Ok((outcome, self.cpu_seconds()?.since(before), seen))
    }

    /// Asks every receiver.
    pub(crate) async fn ask_receivers<Q: Serialize, A: DeserializeOwned>(&mut self, order: &Q) -> Result<Vec<A>> {
        let mut answers = Vec::new();
        for receiver in &mut self.receivers {
            answers.push(receiver.ask(order).await?);
        }
        Ok(answers)
    }

    /// Ends all processes, the controller last.
    pub(crate) async fn finish(self) -> Result<()> {
        self.sender.finish().await?;
        for receiver in self.receivers {
            receiver.finish().await?;
        }
        self.controller.finish().await
    }

    fn cpu_seconds(&self) -> Result<CpuSeconds> {
        let receivers: Result<f64> = self.receivers.iter().map(Process::cpu_seconds).sum();
        Ok(CpuSeconds {
            sender: self.sender.cpu_seconds()?,
            controller: self.controller.cpu_seconds()?,
            receivers: receivers?,
        })
    }
}
