//! The video, of which each stream takes the next part.
//!
//! Frames are taken and packed on the thread that a stream runs its source on, where a camera may block for long. Nobody else waits
//! for that thread: all it shares are flags.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daffi_camera::{CaptureError, Counts, Frame, Pipeline, VideoSource, clock};

use crate::table::Notes;

/// After so many frames in a row that cannot be sent there is no hope for the next one.
const MAX_FAILURES: u32 = 100;

type Failure = Box<dyn Error + Send + Sync>;

/// The video as a whole. Clones are the same.
#[derive(Clone)]
pub(crate) struct Feed {
    frames: Arc<Mutex<Frames>>,
    state: Arc<State>,
}

/// What is known of the video without waiting for it.
#[derive(Default)]
struct State {
    is_over: AtomicBool,
    wants_sync: AtomicBool,
    failure: OnceLock<Failure>,
    counts: Mutex<Counts>,
}

/// Takes frames from the source and packs them.
struct Frames {
    source: Box<dyn VideoSource>,
    pipeline: Pipeline,
    /// How many are still to be sent, if that is limited.
    left: Option<u64>,
    /// How many could not be sent since one could.
    failures: u32,
    notes: Notes,
}

impl Feed {
    pub(crate) fn new(source: Box<dyn VideoSource>, pipeline: Pipeline, left: Option<u64>, notes: Notes) -> Self {
        let frames = Frames { source, pipeline, left, failures: 0, notes };
        Self { frames: Arc::new(Mutex::new(frames)), state: Arc::default() }
    }

    /// The frames from here on: those that were captured before now are stale and left out, unless the video `goes_on`. Who
    /// sees the first of them may not have seen those before.
    pub(crate) fn turn(&self, goes_on: bool) -> Turn {
        self.state.wants_sync.store(true, Ordering::Relaxed);
        let not_before = if goes_on { Duration::ZERO } else { clock::now() };
        Turn { feed: self.clone(), not_before, stopped: Arc::default() }
    }

    /// Whether there are no more frames.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_over.load(Ordering::Relaxed)
    }

    /// Why there are no more, if it was not the end of the video.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.state.failure.get()
    }

    /// What became of the frames of the source.
    pub(crate) fn counts(&self) -> Counts {
        *self.state.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the video: the source of one stream.
#[derive(Clone)]
pub(crate) struct Turn {
    feed: Feed,
    not_before: Duration,
    stopped: Arc<AtomicBool>,
}

impl Turn {
    /// Ends the part after the frame at hand.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Iterator for Turn {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let Feed { frames, state } = &self.feed;
        let mut frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.was_stopped() && !state.is_over.load(Ordering::Relaxed) {
            let tried = frames.next(state, self.not_before);
            *state.counts.lock().unwrap_or_else(PoisonError::into_inner) = frames.source.counts();
            match tried {
                Next::Frame(frame) => return Some(frame),
                Next::Again => {}
                Next::End(failure) => {
                    if let Some(failure) = failure {
                        state.failure.get_or_init(|| failure);
                    }
                    state.is_over.store(true, Ordering::Relaxed);
                }
            }
        }
        None
    }
}

enum Next {
    Frame(Frame),
    /// There was none to send; the next one may be.
    Again,
    End(Option<Failure>),
}

impl Frames {
    fn next(&mut self, state: &State, not_before: Duration) -> Next {
        if self.left == Some(0) {
            return Next::End(None);
        }
        let frame = match self.source.next() {
            Some(Ok(frame)) if frame.captured_at() < not_before => return Next::Again,
            Some(Ok(frame)) => frame,
            // A camera may be silent for as long as it likes.
            Some(Err(error @ CaptureError::TimedOut { .. })) => {
                self.notes.say(error);
                return Next::Again;
            }
            Some(Err(error)) if error.is_recoverable() => return self.failed(error.into()),
            Some(Err(error)) => return Next::End(Some(error.into())),
            None => return Next::End(None),
        };
        if state.wants_sync.swap(false, Ordering::Relaxed) {
            self.pipeline.force_sync();
        }
        match self.pipeline.process(&frame) {
            Ok(frame) => {
                self.left = self.left.map(|left| left - 1);
                self.failures = 0;
                Next::Frame(frame)
            }
            Err(error) => self.failed(error.into()),
        }
    }

    /// One failure is told, and if all fail that is the end.
    fn failed(&mut self, failure: Failure) -> Next {
        self.failures += 1;
        if self.failures == MAX_FAILURES {
            return Next::End(Some(format!("{MAX_FAILURES} frames in a row could not be sent: {failure}").into()));
        }
        if self.failures == 1 {
            self.notes.say(failure);
        }
        Next::Again
    }
}
