//! The video, as the source of its stream.
//!
//! Frames are taken and packed on the thread that the stream runs its source on, where a camera may block for long. Nobody else waits
//! for that thread: all it shares are flags.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use daffi_camera::{CaptureError, Counts, Frame, Pipeline, VideoSource};

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

    /// Makes the next frame one that somebody can begin with, who has not seen those before.
    pub(crate) fn force_sync(&self) {
        self.state.wants_sync.store(true, Ordering::Relaxed);
    }

    /// Ends the video after the frame at hand.
    pub(crate) fn stop(&self) {
        self.state.is_over.store(true, Ordering::Relaxed);
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

impl Iterator for Feed {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let Self { frames, state } = self;
        let mut frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_over.load(Ordering::Relaxed) {
            let tried = frames.next(state);
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
    fn next(&mut self, state: &State) -> Next {
        if self.left == Some(0) {
            return Next::End(None);
        }
        let frame = match self.source.next() {
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
