//! The producer: reads the video and streams it to all viewers, whoever is there.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daffi::{CallError, Event, Events, Global, fetcher};
use daffi_camera::{CaptureError, Frame, Pipeline, VideoSource};
use tokio::time::{MissedTickBehavior, interval};

use crate::{source::VideoOptions, table::Table, viewing::Viewing};

/// How often the viewers are asked how it goes.
const TABLE_PERIOD: Duration = Duration::from_secs(1);

#[fetcher(STREAM)]
async fn show_stream(frame: Frame) -> Result<(), String>;

#[fetcher(BROADCAST)]
async fn viewing() -> Result<Viewing, String>;

/// What each viewer said last.
pub(crate) type Seen = BTreeMap<String, Viewing>;

/// Streams the video to whoever is there until it ends; what the viewers have seen. With `lasting`, it goes on when all
/// viewers are gone, and waits for others.
pub(crate) async fn run(g: &Global, options: &VideoOptions, lasting: bool) -> Result<Seen, Box<dyn Error>> {
    let mut events = g.events();
    let source = options.open()?;
    let mode = source.mode();
    eprintln!("{}: {mode}, sent as {}", source.name(), options.way(mode));
    let video = Video::new(source, options.pipeline(mode), options.frames);
    let mut seen = Seen::new();
    let mut table = Table::new();
    loop {
        let turn = video.turn();
        let streamed = {
            let stream = show_stream(turn.clone()).on(g);
            tokio::select! {
                streamed = stream => streamed,
                () = watch(g, &mut seen, &mut table) => unreachable!("it watches for ever"),
                () = other_viewers(&mut events, &turn) => unreachable!("it waits for ever"),
            }
        };
        match streamed {
            Ok(report) => report.failed().for_each(|viewer| eprintln!("{} is gone", viewer.node)),
            Err(CallError::NoCallback { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if video.is_over() {
            break;
        }
        if !turn.was_stopped() {
            if !lasting {
                eprintln!("all viewers are gone");
                break;
            }
            eprintln!("waiting for a viewer");
            viewer_joined(&mut events).await;
        }
    }
    ask(g, &mut seen).await;
    table.end();
    match video.failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(seen),
    }
}

/// Asks the viewers again and again, and shows what they say.
async fn watch(g: &Global, seen: &mut Seen, table: &mut Table) {
    let mut ticks = interval(TABLE_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        ask(g, seen).await;
        table.show(seen);
    }
}

/// Asks all viewers how it goes. One that does not answer keeps what it said last.
async fn ask(g: &Global, seen: &mut Seen) {
    let Ok(replies) = viewing().on(g).timeout(TABLE_PERIOD).await else { return };
    for reply in replies {
        if let Ok(viewing) = reply.result {
            seen.insert(reply.node, viewing);
        }
    }
}

/// A stream has the receivers that were there at its beginning. When another viewer joins, this turn ends after the frame at hand,
/// and the next one is for all.
async fn other_viewers(events: &mut Events, turn: &Turn) {
    loop {
        viewer_joined(events).await;
        turn.stop();
    }
}

async fn viewer_joined(events: &mut Events) {
    while let Some(event) = events.next().await {
        if let Event::NodeJoined { .. } | Event::CallbacksOffered { .. } = event {
            return;
        }
    }
    // The node has ended: nobody joins any more.
    std::future::pending::<()>().await;
}

/// The video, of which each stream takes the next part.
#[derive(Clone)]
struct Video(Arc<Mutex<Progress>>);

struct Progress {
    source: Box<dyn VideoSource>,
    pipeline: Pipeline,
    /// How many frames are still to be sent, if that is limited.
    left: Option<u64>,
    over: bool,
    failure: Option<CaptureError>,
}

impl Video {
    fn new(source: Box<dyn VideoSource>, pipeline: Pipeline, left: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(Progress { source, pipeline, left, over: false, failure: None })))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The frames from here on. Whoever sees the first of them may not have seen those before.
    fn turn(&self) -> Turn {
        self.progress().pipeline.force_sync();
        Turn { video: self.clone(), stopped: Arc::default() }
    }

    fn is_over(&self) -> bool {
        self.progress().over
    }

    fn failure(&self) -> Option<CaptureError> {
        self.progress().failure.take()
    }
}

impl Progress {
    /// The next frame as it is to be sent.
    fn next(&mut self) -> Option<Frame> {
        while !self.over && self.left != Some(0) {
            let frame = match self.source.next() {
                Some(Ok(frame)) => frame,
                Some(Err(error)) if error.is_recoverable() => {
                    eprintln!("{error}");
                    continue;
                }
                Some(Err(error)) => {
                    self.failure = Some(error);
                    break;
                }
                None => break,
            };
            match self.pipeline.process(&frame) {
                Ok(frame) => {
                    self.left = self.left.map(|left| left - 1);
                    return Some(frame);
                }
                Err(error) => eprintln!("left out: {error}"),
            }
        }
        self.over = true;
        None
    }
}

/// A part of the video: the source of one stream.
#[derive(Clone)]
struct Turn {
    video: Video,
    stopped: Arc<AtomicBool>,
}

impl Turn {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Iterator for Turn {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.was_stopped() {
            return None;
        }
        self.video.progress().next()
    }
}
