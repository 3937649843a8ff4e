//! A viewer: a node that shows the frames it is sent, or without a window counts and checks them.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use daffi::{Builder, Event, Events, callback};
use daffi_camera::{
    Arrivals, Frame, clock,
    codec::Decoder,
    viewer::{Screen, WindowOptions, save_png, with_window},
};

use crate::{signals::interrupted, viewing::Viewing};

/// How a viewer shows what it gets.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ViewerOptions {
    /// Count and check the frames, and open no window
    #[arg(long)]
    pub(crate) headless: bool,
    /// Save pictures as PNG files in this directory
    #[arg(long)]
    pub(crate) snapshots: Option<PathBuf>,
    /// Save every so many frames
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) snapshot_every: u64,
    /// Take so much longer over each frame, to try a slow viewer, such as 100ms
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) delay: Option<Duration>,
}

/// What the callbacks work on.
struct Viewer {
    name: String,
    options: ViewerOptions,
    decoder: Decoder,
    arrivals: Arrivals,
    screen: Option<Screen>,
}

static VIEWER: OnceLock<Mutex<Viewer>> = OnceLock::new();

fn viewer() -> Result<MutexGuard<'static, Viewer>, String> {
    let viewer = VIEWER.get().ok_or("this process is no viewer")?;
    Ok(viewer.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A sync callback may take its time: it has a thread of its own for the whole stream.
#[callback]
fn show_stream(frame: Frame) -> Result<(), String> {
    viewer()?.show(&frame)
}

/// How it goes.
#[callback]
fn viewing() -> Result<Viewing, String> {
    Ok(viewer()?.viewing())
}

impl Viewer {
    /// A frame that cannot be decoded is counted; the next one may be better.
    fn show(&mut self, frame: &Frame) -> Result<(), String> {
        self.options.delay.into_iter().for_each(thread::sleep);
        let picture = self.decoder.decode(frame);
        self.arrivals.record(frame, picture.as_ref(), clock::now());
        let Ok(picture) = picture else { return Ok(()) };
        if let Some(directory) = &self.options.snapshots
            && frame.sequence().is_multiple_of(self.options.snapshot_every)
        {
            let path = directory.join(format!("{}-{:06}.png", self.name, frame.sequence()));
            save_png(&picture, path).map_err(|error| error.to_string())?;
        }
        match &self.screen {
            Some(screen) => screen.show(picture).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn viewing(&mut self) -> Viewing {
        Viewing { total: self.arrivals.summary(), lately: self.arrivals.lately() }
    }
}

/// Plays the viewer of this name, until the producer is gone, its window is closed, or `ended` says so. What it has seen.
pub(crate) fn run(
    name: &str,
    setup: Builder,
    options: &ViewerOptions,
    ended: impl Future<Output = ()> + Send,
) -> Result<Viewing, Box<dyn Error>> {
    if let Some(directory) = &options.snapshots {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("could not create {}: {error}", directory.display()))?;
    }
    let view = |screen| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The error crosses a thread.
        runtime.block_on(view(name, setup, options, screen, ended)).map_err(|error| error.to_string().into())
    };
    match options.headless {
        true => view(None),
        false => with_window(WindowOptions::new(name), |screen| view(Some(screen)))?,
    }
    .map_err(|error: Box<dyn Error + Send + Sync>| error as Box<dyn Error>)
}

async fn view(
    name: &str,
    setup: Builder,
    options: &ViewerOptions,
    screen: Option<Screen>,
    ended: impl Future<Output = ()>,
) -> Result<Viewing, Box<dyn Error>> {
    let closed = closing(screen.clone());
    tokio::pin!(closed);
    VIEWER.get_or_init(|| {
        let (decoder, arrivals) = (Decoder::new(), Arrivals::new());
        Mutex::new(Viewer { name: name.into(), options: options.clone(), decoder, arrivals, screen })
    });
    let g = tokio::select! {
        g = setup.process_name(name).reconnect(false).start() => g?,
        _ = interrupted() => return Ok(viewer()?.viewing()),
        () = &mut closed => return Ok(viewer()?.viewing()),
    };
    writeln!(io::stdout(), "{name} has joined")?;
    let mut events = g.events();
    tokio::select! {
        () = producer_gone(&mut events) => {}
        _ = interrupted() => {}
        () = &mut closed => {}
        () = ended => {}
    }
    g.stop().await;
    Ok(viewer()?.viewing())
}

/// The producer runs the controller: when it is through, the connection ends.
async fn producer_gone(events: &mut Events) {
    while let Some(event) = events.next().await {
        if let Event::Disconnected { .. } | Event::ControllerStopping = event {
            return;
        }
    }
}

/// Waits until the window is closed, if there is one.
async fn closing(screen: Option<Screen>) {
    match screen {
        Some(screen) => screen.closed().await,
        None => std::future::pending().await,
    }
}
