//! The video demo in one command: one process streams a camera, or the test pattern, and two others show it in their windows.
//!
//! ```text
//! cargo run --release --example video
//! cargo run --release --example video -- --headless --frames 600 --json
//! ```
//!
//! This program is the producer, with the controller in it, and starts itself again as each of the viewers. `video_producer` and
//! `video_viewer` are the same parts as programs of their own.

use std::{error::Error, ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use daffi::Global;
use daffi_camera::viewer::check_display;

#[path = "../common/processes.rs"]
mod processes;
mod producer;
#[path = "../common/signals.rs"]
mod signals;
mod source;
mod table;
mod viewer;
mod viewing;

use processes::{Processes, until_the_starter_is_through};
use producer::Seen;
use signals::interrupted;
use viewer::ViewerOptions;

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
    let ended = async {
        let ended = tokio::task::spawn_blocking(until_the_starter_is_through);
        // It ends at the latest with the process.
        let _ = ended.await;
    };
    let setup = Global::builder().host(&options.host).port(options.port);
    viewer::run(name, setup, &options.viewer, ended).map(drop)
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
    let seen = runtime.block_on(play(&options))?;
    for (viewer, viewing) in &seen {
        viewing.print(viewer, options.json)?;
    }
    match seen.values().all(|viewing| viewing.total.in_order && viewing.total.intact) {
        true => Ok(()),
        false => Err("not all frames arrived whole and in order".into()),
    }
}

/// Plays the video. No process is left behind, however this ends.
async fn play(options: &Options) -> Result<Seen, Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    let g = Global::builder().process_name("process1").host(&options.host).port(options.port).callbacks([]);
    let g = g.init_controller(true).state_dir(state.path()).start().await?;
    let mut processes = Processes::new(state.path())?;
    let played = tokio::select! {
        signal = interrupted() => Err(format!("stopped by {}", signal?).into()),
        played = async {
            let port = g.controller_address().ok_or("there is no controller")?.port();
            for number in 0..options.viewers {
                let name = format!("process{}", number + 2);
                processes.start(options.viewer_arguments(port, &name)).await?;
                g.wait_process(name).await?;
            }
            producer::run(&g, &options.video, false).await
        } => played,
    };
    processes.end().await;
    g.stop().await;
    played
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
