//! Nodes that join, call once and leave: whether they leave anything behind in the controller.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::crowd::Order;
use crate::{
    Result,
    process::Process,
    report::{Figures, rounded},
};

/// How much more memory the controller may have at the end than after a fifth, in KiB. Tables and the allocator's arenas settle at some
/// 3 MiB more, whether 10,000 nodes come or 50,000; half a KiB left behind by each of 10,000 would be 4 MiB.
const NOISE_KIB: f64 = 4_096.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many nodes come and go
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..))]
    nodes: u32,
    /// How many are there at a time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChurnFigures {
    work: &'static str,
    system: &'static str,
    nodes: u32,
    /// The controller's memory in KiB, and how many files it had open: before, after a fifth, and after all.
    before_kib: f64,
    soon_kib: f64,
    end_kib: f64,
    before_files: usize,
    end_files: usize,
    /// The controller's CPU time for each, in milliseconds.
    cpu_ms: f64,
    /// Whether those who stay see nobody but themselves in the end.
    gone: bool,
}

pub(crate) async fn measure(options: &Options, runs: u32) -> Result<Vec<ChurnFigures>> {
    let mut figures = Vec::new();
    for _ in 0..runs {
        figures.push(once(options).await?);
    }
    Ok(figures)
}

async fn once(&Options { nodes, at_once }: &Options) -> Result<ChurnFigures> {
    let state = tempfile::tempdir()?;
    let mut controller = Process::start(&["role", "controller"], state.path())?;
    let port = controller.answer::<u16>().await?.to_string();
    let start = || Process::start(&["role", "crowd", "--port", &port], state.path());
    let (mut server, mut comers) = (start()?, start()?);
    server.answer::<()>().await?;
    comers.answer::<()>().await?;
    server.ask::<_, ()>(&Order::Stay { first: 0, count: 1 }).await?;
    let (count, at_once) = (usize::try_from(nodes)?, usize::try_from(at_once)?);
    let soon = count / 5;
    let (before, before_files, cpu_before) =
        (controller.memory()?, controller.open_files()?, controller.cpu_seconds()?);
    comers.ask::<_, ()>(&Order::Pass { first: 1, count: soon, at_once }).await?;
    server.ask::<_, ()>(&Order::See { total: 1 }).await?;
    let soon_bytes = controller.memory()?;
    comers.ask::<_, ()>(&Order::Pass { first: 1 + soon, count: count - soon, at_once }).await?;
    server.ask::<_, ()>(&Order::See { total: 1 }).await?;
    let kib = |bytes: u64| rounded(bytes as f64 / 1024.0, 0);
    let figures = ChurnFigures {
        work: "churn",
        system: "daffi",
        nodes,
        before_kib: kib(before),
        soon_kib: kib(soon_bytes),
        end_kib: kib(controller.memory()?),
        before_files,
        end_files: controller.open_files()?,
        cpu_ms: rounded((controller.cpu_seconds()? - cpu_before) * 1_000.0 / f64::from(nodes), 2),
        // It would not have answered otherwise.
        gone: true,
    };
    comers.finish().await?;
    server.finish().await?;
    controller.finish().await?;
    Ok(figures)
}

impl Figures for ChurnFigures {
    fn rate(&self) -> f64 {
        self.end_kib
    }

    fn is_right(&self) -> bool {
        self.gone && self.end_files == self.before_files && self.end_kib - self.soon_kib <= NOISE_KIB
    }
}

impl fmt::Display for ChurnFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, before_kib, soon_kib, end_kib, before_files, end_files, cpu_ms, .. } = self;
        write!(
            f,
            "churn: {nodes} nodes came, called once and left; the controller had {before_kib} KiB before, {soon_kib} after a fifth, \
             {end_kib} at the end; files open: {before_files}, {end_files}; {cpu_ms} ms of CPU for each"
        )
    }
}
