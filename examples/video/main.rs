//! The video demo in one command: one process streams a camera, or the test pattern, and two others show it in their windows.
//!
//! ```text
//! cargo run --release --example video
//! cargo run --release --example video -- --headless --frames 600 --json
//! ```
//!
//! This program is the producer, with the controller in it, and starts itself again as each of the viewers. `video_producer` and
//! `video_viewer` are the same parts as programs of their own.

use std::{error::Error, ffi::OsString, process::ExitCode, thread, time::Duration};

use clap::{Parser, Subcommand};
use daffi::Global;
use daffi_camera::viewer::check_display;
use tokio::sync::oneshot;

mod feed;
mod outcome;
#[path = "../common/processes.rs"]
mod processes;
mod producer;
#[path = "../common/signals.rs"]
mod signals;
mod source;
mod table;
mod viewer;

use outcome::Outcome;
use processes::{Processes, until_the_starter_is_through};
use signals::interrupted;
use viewer::ViewerOptions;

/// How long a viewer may take to join once it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Streams video from this process to viewers, each a process of its own
#[derive(Debug, Parser)]
#[command(override_usage = "video [OPTIONS]", disable_help_subcommand = true)]
struct Options {
    #[command(flatten)]
    video: source::VideoOptions,
    #[command(flatten)]
    viewer: ViewerOptions,
    /// Print a summary of each viewer as JSON at the end
    #[arg(long)]
    json: bool,
    /// How many viewers there are: process2, process3 and so on
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    viewers: u16,
    /// Where the controller listens
    #[arg(long, default_value = "localhost")]
    host: String,
    /// The controller's port; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The part that the program plays when it has started itself.
#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Viewer { name: String },
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    let played = match options.part.take() {
        Some(Part::Viewer { name }) => watch(&name, &options),
        None => produce(options),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("video: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays a viewer, until the starter is through.
fn watch(name: &str, options: &Options) -> Result<(), Box<dyn Error>> {
    let (through, ended) = oneshot::channel::<()>();
    // A thread of its own: nobody waits for it when the viewer ends before the starter does.
    thread::spawn(|| {
        until_the_starter_is_through();
        drop(through);
    });
    let ended = async { drop(ended.await) };
    let setup = Global::builder().host(&options.host).port(options.port);
    // The starter waits for this line.
    let joined = || println!("{name} has joined");
    viewer::run(name, setup, &options.viewer, joined, ended).map(drop)
}

/// Starts the viewers and streams the video to them.
fn produce(mut options: Options) -> Result<(), Box<dyn Error>> {
    if !options.viewer.headless
        && let Err(error) = check_display()
    {
        eprintln!("{error}\nthe viewers count frames and open no windows");
        options.viewer.headless = true;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(&options))?.conclude(options.json)
}

/// Plays the video. No process is left behind, however this ends.
async fn play(options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    let g = Global::builder().process_name("process1").host(&options.host).port(options.port).callbacks([]);
    let g = g.init_controller(true).state_dir(state.path()).start().await?;
    let mut viewers = Processes::new(state.path())?;
    let started = tokio::select! {
        started = start_viewers(&g, options, &mut viewers) => started.map(|()| true),
        _ = interrupted() => Ok(false),
    };
    let played = match started {
        // Not before: processes that are started inherit an open camera, since v4l does not say otherwise, and one that is open
        // somewhere cannot come back under its name after it was unplugged.
        Ok(true) => match options.video.open() {
            Ok(source) => producer::run(&g, source, &options.video, false).await,
            Err(error) => Err(error),
        },
        Ok(false) => Ok(Outcome::default()),
        Err(error) => Err(error),
    };
    let well = viewers.end().await;
    g.stop().await;
    let mut outcome = played?;
    if !well {
        outcome.failure.get_or_insert_with(|| "a viewer did not end as it should".into());
    }
    Ok(outcome)
}

async fn start_viewers(g: &Global, options: &Options, viewers: &mut Processes) -> Result<(), Box<dyn Error>> {
    let port = g.controller_address().ok_or("there is no controller")?.port();
    for number in 0..options.viewers {
        let name = format!("process{}", number + 2);
        viewers.start(options.viewer_arguments(port, &name)).await?;
        g.wait_process(name).timeout(PATIENCE).await?;
    }
    Ok(())
}

impl Options {
    /// What this program is started with as the viewer of that name.
    fn viewer_arguments(&self, port: u16, name: &str) -> Vec<OsString> {
        let ViewerOptions { headless, snapshots, snapshot_every, delay } = &self.viewer;
        let mut arguments: Vec<OsString> = vec!["--host".into(), self.host.clone().into()];
        arguments.extend(["--port".into(), port.to_string().into()]);
        if *headless {
            arguments.push("--headless".into());
        }
        if let Some(directory) = snapshots {
            arguments.extend(["--snapshots".into(), directory.into()]);
        }
        arguments.extend(["--snapshot-every".into(), snapshot_every.to_string().into()]);
        if let Some(delay) = delay {
            arguments.extend(["--delay".into(), humantime::format_duration(*delay).to_string().into()]);
        }
        arguments.extend(["viewer".into(), name.into()]);
        arguments
    }
}
