//! What the program is when it is started by itself: one of the parts of one of the systems.

use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use clap::{Args, ValueEnum};
use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::getppid,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    Result,
    system::{self, System},
    work::stream::{Intake, Scene},
};

/// How the program is told what to be. The command line is made in `topology`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Role {
    part: Part,
    #[arg(long, value_parser = system::by_name)]
    system: &'static dyn System,
    /// A directory that all processes of the run share.
    #[arg(long)]
    dir: PathBuf,
    /// Where the router listens; the router itself does not know yet.
    #[arg(long)]
    router: Option<SocketAddr>,
    /// What is streamed, if anything is.
    #[arg(long, value_parser = Scene::parse)]
    scene: Option<Scene>,
    /// Of several receivers which; the first is 0.
    #[arg(long, default_value_t = 0)]
    number: u32,
    /// The process to die with.
    #[arg(long)]
    parent: i32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Part {
    /// Carries everything; the only one that listens.
    Router,
    /// Sends back what it gets.
    Responder,
    /// Calls when it is told to.
    Caller,
    /// Takes a stream.
    Receiver,
    /// Streams when it is told to.
    Sender,
}

/// What all but the router need to know.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) router: SocketAddr,
    /// Of several receivers which; the first is 0.
    pub(crate) number: u32,
}

impl Role {
    /// Plays it until it is killed.
    pub(crate) fn play(self) -> ExitCode {
        let (part, name) = (self.part.name(), self.system.name());
        match self.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("daffi-peers: the {part} of {name}: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(self) -> Result<()> {
        die_with(self.parent)?;
        let Self { part, system, dir, router, scene, number, .. } = self;
        let calls = || system.calls().ok_or("it makes no calls");
        let streams = || -> Result<_> {
            let scene = scene.ok_or("it was not told what is streamed")?;
            Ok((system.streams().ok_or("it has no streams")?, scene))
        };
        let place = || -> Result<_> {
            let router = router.ok_or("it was not told where the router is")?;
            Ok(Place { dir: dir.clone(), router, number })
        };
        match part {
            Part::Router => match scene {
                None => calls()?.route(&dir),
                Some(scene) => streams()?.0.relay(&dir, &scene),
            },
            Part::Responder => calls()?.respond(&place()?),
            Part::Caller => calls()?.call(&place()?, Orders::from_stdin()),
            Part::Receiver => {
                let (streams, scene) = streams()?;
                let place = place()?;
                let intake = Intake::start(&scene, number, Orders::from_stdin());
                streams.receive(&place, &scene, intake)
            }
            Part::Sender => {
                let (streams, scene) = streams()?;
                streams.send(&place()?, &scene, Orders::from_stdin())
            }
        }
    }
}

impl Part {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Responder => "responder",
            Self::Caller => "caller",
            Self::Receiver => "receiver",
            Self::Sender => "sender",
        }
    }
}

/// Tells the parent something: a line of JSON.
pub(crate) fn tell<A: Serialize>(answer: &A) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

/// The parent's orders. They come through a thread, so that waiting for one stops neither a runtime nor the end of the process.
#[derive(Debug)]
pub(crate) struct Orders(UnboundedReceiver<String>);

impl Orders {
    fn from_stdin() -> Self {
        let (sender, orders) = unbounded_channel();
        thread::spawn(move || io::stdin().lines().map_while(io::Result::ok).try_for_each(|line| sender.send(line)));
        Self(orders)
    }

    /// The next order; none is the order to end. Cancel safe.
    pub(crate) async fn next<Q: DeserializeOwned>(&mut self) -> Result<Option<Q>> {
        parsed(self.0.recv().await)
    }

    /// The same for those without a runtime.
    pub(crate) fn next_blocking<Q: DeserializeOwned>(&mut self) -> Result<Option<Q>> {
        parsed(self.0.blocking_recv())
    }
}

fn parsed<Q: DeserializeOwned>(line: Option<String>) -> Result<Option<Q>> {
    Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
}

/// Runs it on a runtime of one thread: with tokio's default of one per core sequential calls of NATS and tonic were measured
/// slower (a fifth and more on two cores).
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Runs it on tokio's default runtime, with a thread for each core: what those who stream with NATS and tonic have who choose nothing.
pub(crate) fn block_on_all_cores<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Runtime::new()?.block_on(future)
}

/// Has the kernel kill this process, and whatever program takes its place, when the parent ends, however it ends.
fn die_with(parent: i32) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before.
    if getppid().as_raw() == parent { Ok(()) } else { Err("who started it is gone".into()) }
}
