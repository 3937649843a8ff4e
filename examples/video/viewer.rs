//! A viewer: a node that shows the frames it is sent, or without a window counts and checks them.

use std::{
    error::Error,
    path::PathBuf,
    sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use daffi::{Builder, Event, Events, StreamEnded, callback};
use daffi_camera::{
    Arrivals, Frame, clock,
    codec::Decoder,
    viewer::{Screen, WindowOptions, save_png, with_window},
};

use crate::{outcome::Viewing, signals::interrupted};

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

/// What the callbacks work on. Whoever asks how it goes does not wait for a picture to be decoded or saved.
struct Viewer {
    name: String,
    options: ViewerOptions,
    decoder: Mutex<Decoder>,
    arrivals: Mutex<Arrivals>,
    screen: Option<Screen>,
    complaint: Once,
}

static VIEWER: OnceLock<Viewer> = OnceLock::new();

fn viewer() -> Result<&'static Viewer, String> {
    VIEWER.get().ok_or_else(|| "this process is no viewer".into())
}

/// A sync callback may take its time: it has a thread of its own for the whole stream.
#[callback]
fn show_stream(frame: Frame) -> Result<(), String> {
    viewer()?.show(&frame);
    Ok(())
}

/// How it goes.
#[callback]
fn viewing() -> Result<Viewing, String> {
    Ok(viewer()?.viewing())
}

impl Viewer {
    fn new(name: &str, options: &ViewerOptions, screen: Option<Screen>) -> Self {
        let (decoder, arrivals) = (Mutex::new(Decoder::new()), Mutex::new(Arrivals::new()));
        Self { name: name.into(), options: options.clone(), decoder, arrivals, screen, complaint: Once::new() }
    }

    /// The picture is shown first; what else there is to do can wait.
    fn show(&self, frame: &Frame) {
        self.options.delay.into_iter().for_each(thread::sleep);
        let picture = lock(&self.decoder).decode(frame);
        let arrived_at = clock::now();
        if let (Some(screen), Ok(picture)) = (&self.screen, &picture) {
            // A window that is closed ends this process in a moment.
            let _ = screen.show(picture.clone());
        }
        lock(&self.arrivals).record(frame, picture.as_ref(), arrived_at);
        match picture {
            Ok(picture) => self.save(&picture),
            // It is counted; the next one may be better. What is wrong with one may be wrong with all: it is said once.
            Err(error) => self.complaint.call_once(|| eprintln!("{}: {error}", self.name)),
        }
    }

    fn save(&self, picture: &Frame) {
        let ViewerOptions { snapshots: Some(directory), snapshot_every, .. } = &self.options else { return };
        if picture.sequence().is_multiple_of(*snapshot_every) {
            let path = directory.join(format!("{}-{:06}.png", self.name, picture.sequence()));
            if let Err(error) = save_png(picture, path) {
                eprintln!("{}: {error}", self.name);
            }
        }
    }

    /// With a window, the latency is that until the picture is on the screen.
    fn viewing(&self) -> Viewing {
        let mut arrivals = lock(&self.arrivals);
        let mut viewing = Viewing { total: arrivals.summary(), lately: arrivals.lately() };
        if let Some(shown) = self.screen.as_ref().map(Screen::shown) {
            let micros = |part| shown.latency(part).map_or(0, |latency| latency.as_micros() as u64);
            (viewing.total.latency_p50_us, viewing.total.latency_p99_us) = (micros(0.5), micros(0.99));
        }
        viewing
    }
}

/// What a thread that panicked left behind is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the viewer of this name, until the producer is gone, its window is closed, or `ended` says so. What it has seen.
pub(crate) fn run(
    name: &str,
    setup: Builder,
    options: &ViewerOptions,
    joined: impl FnOnce() + Send,
    ended: impl Future<Output = ()> + Send,
) -> Result<Viewing, Box<dyn Error>> {
    if let Some(directory) = &options.snapshots {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("could not create {}: {error}", directory.display()))?;
    }
    let view = |screen| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The error crosses a thread.
        runtime.block_on(view(name, setup, options, screen, joined, ended)).map_err(|error| error.to_string().into())
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
    joined: impl FnOnce(),
    ended: impl Future<Output = ()>,
) -> Result<Viewing, Box<dyn Error>> {
    let closed = closing(screen.clone());
    tokio::pin!(closed);
    let viewer = VIEWER.get_or_init(|| Viewer::new(name, options, screen));
    let g = tokio::select! {
        g = setup.process_name(name).reconnect(false).start() => g?,
        _ = interrupted() => return Ok(viewer.viewing()),
        () = &mut closed => return Ok(viewer.viewing()),
    };
    joined();
    let mut events = g.events();
    let ended = tokio::select! {
        gone = producer_gone(&mut events) => gone,
        _ = interrupted() => Ok(()),
        () = &mut closed => Ok(()),
        () = ended => Ok(()),
    };
    // The stream would go on for as long as it is let.
    g.stop_within(Duration::ZERO).await;
    ended?;
    Ok(viewer.viewing())
}

/// The producer runs the controller: when it is through, the connection ends.
async fn producer_gone(events: &mut Events) -> Result<(), String> {
    while let Some(event) = events.next().await {
        match event {
            Event::ControllerStopping => break,
            Event::Disconnected { reason } => {
                eprintln!("the producer is gone: {reason}");
                break;
            }
            Event::StreamEnded { end: StreamEnded::CallbackFailed { message }, .. } => return Err(message),
            Event::StreamEnded { end: StreamEnded::Stalled, .. } => {
                eprintln!("this viewer gets the video no more: it takes too long over a frame");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Waits until the window is closed, if there is one.
async fn closing(screen: Option<Screen>) {
    match screen {
        Some(screen) => screen.closed().await,
        None => std::future::pending().await,
    }
}
