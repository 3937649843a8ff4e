//! Nodes that have joined and do nothing: the memory and the CPU time of the controller that each costs.

use std::{fmt, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::time::sleep;

use super::crowd::Order;
use crate::{
    Result,
    process::Process,
    report::{Figures, rounded},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many nodes join
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// In how many processes they are; each has every node's copy of the directory
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    processes: u64,
    /// For how long they are watched while they do nothing
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct IdleFigures {
    work: &'static str,
    system: &'static str,
    nodes: usize,
    /// The controller's memory before anybody joined and when all had, in KiB, and the difference for each node.
    before_kib: f64,
    after_kib: f64,
    kib_per_node: f64,
    /// The controller's CPU time for one node to join and to be told of all others, in milliseconds.
    join_cpu_ms: f64,
    /// How much of a core the controller and all nodes together use, in percent.
    controller_cpu_percent: f64,
    nodes_cpu_percent: f64,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<IdleFigures>> {
    let mut figures = Vec::new();
    for _ in 0..runs {
        figures.push(once(options).await?);
    }
    Ok(figures)
}

async fn once(&Options { nodes, processes, seconds }: &Options) -> Result<IdleFigures> {
    let state = tempfile::tempdir()?;
    let mut controller = Process::start(&["role", "controller"], state.path())?;
    let port = controller.answer::<u16>().await?.to_string();
    let mut crowds = Vec::new();
    for _ in 0..processes {
        let mut crowd = Process::start(&["role", "crowd", "--port", &port], state.path())?;
        crowd.answer::<()>().await?;
        crowds.push(crowd);
    }
    let (before, cpu_before) = (controller.memory()?, controller.cpu_seconds()?);
    let mut first = 0;
    for (index, crowd) in crowds.iter_mut().enumerate() {
        let last = nodes * (index + 1) / usize::try_from(processes)?;
        crowd.ask::<_, ()>(&Order::Stay { first, count: last - first }).await?;
        first = last;
    }
    for crowd in &mut crowds {
        crowd.ask::<_, ()>(&Order::See { total: nodes }).await?;
    }
    let joined = controller.cpu_seconds()? - cpu_before;
    // What was on its way is acknowledged by then.
    sleep(Duration::from_secs(2)).await;
    let cpu = |crowds: &[Process]| crowds.iter().map(Process::cpu_seconds).sum::<Result<f64>>();
    let (controller_before, nodes_before) = (controller.cpu_seconds()?, cpu(&crowds)?);
    sleep(Duration::from_secs(seconds)).await;
    let (controller_cpu, nodes_cpu) = (controller.cpu_seconds()? - controller_before, cpu(&crowds)? - nodes_before);
    let after = controller.memory()?;
    let percent = |cpu: f64| rounded(cpu * 100.0 / seconds as f64, 1);
    let kib = |bytes: u64| rounded(bytes as f64 / 1024.0, 0);
    let each = |all: f64| rounded(all / nodes as f64, 1);
    let figures = IdleFigures {
        work: "idle",
        system: "daffi",
        nodes,
        before_kib: kib(before),
        after_kib: kib(after),
        kib_per_node: each(after.saturating_sub(before) as f64 / 1024.0),
        join_cpu_ms: each(joined * 1_000.0),
        controller_cpu_percent: percent(controller_cpu),
        nodes_cpu_percent: percent(nodes_cpu),
    };
    // Nobody waits for a thousand farewells.
    drop(crowds);
    controller.finish().await?;
    Ok(figures)
}

impl Figures for IdleFigures {
    fn rate(&self) -> f64 {
        self.kib_per_node
    }

    fn is_right(&self) -> bool {
        self.kib_per_node <= 100.0
    }
}

impl fmt::Display for IdleFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, before_kib, after_kib, kib_per_node, join_cpu_ms, .. } = self;
        let Self { controller_cpu_percent, nodes_cpu_percent, .. } = self;
        write!(
            f,
            "idle: {nodes} nodes; the controller had {before_kib} KiB before and has {after_kib} KiB, {kib_per_node} KiB for each; \
             {join_cpu_ms} ms of CPU for each to join; CPU while idle: controller {controller_cpu_percent} %, all nodes \
             {nodes_cpu_percent} %"
        )
    }
}
