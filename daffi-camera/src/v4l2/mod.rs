//! Cameras, through V4L2.
//!
//! [`Camera`] is a [`VideoSource`]: it says what the driver really granted, counts what was lost and what was damaged, and tells a
//! stall, a broken stream and an unplugged device apart. [`devices`] lists the cameras that there are.
//!
//! The driver is spoken to by the `v4l` crate, in one file, which also contains that crate's faults.

mod choice;
mod driver;
mod error;
mod numbers;
mod offer;
mod options;
mod session;

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

pub use self::{
    error::OpenError,
    offer::{Code, DeviceInfo, Offer, SizeRange, devices},
    options::Options,
};
use self::{numbers::Numbers, session::Session};
use crate::{CaptureError, Counts, Frame, Mode, VideoSource};

/// A camera that is streaming.
///
/// Its iterator blocks up to the time-out. These are its errors, each of which comes once for what it tells:
///
/// - [`TimedOut`](CaptureError::TimedOut): no good frame in time. Ask again: a stall may end.
/// - [`BrokenOff`](CaptureError::BrokenOff): the driver gave up the stream. It was started again if `restarted` is set, which is not
///   tried twice without a frame between.
/// - [`Unplugged`](CaptureError::Unplugged): ask again if it is to be [waited for](Options::wait_for_return); asking then blocks until
///   it is back, or for that time at most, and then the video ends.
/// - [`NoPicture`](CaptureError::NoPicture): the driver's size and bytes do not fit each other.
///
/// The numbers of its frames rise, over restarts and returns too.
#[derive(Debug)]
pub struct Camera {
    name: String,
    path: PathBuf,
    options: Options,
    mode: Mode,
    numbers: Numbers,
    counts: Counts,
    state: State,
}

#[derive(Debug)]
enum State {
    Streaming(Session),
    /// Unplugged, and to be waited for.
    Away,
    Ended,
}

/// How often to look whether the device is back: people do not notice it, and it costs one system call.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Camera {
    /// Opens the camera, agrees with its driver on a mode, and starts it. Blocks for as long as the driver takes.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing is left open then.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let path = match &options.device {
            Some(path) => path.clone(),
            None => offer::first()?,
        };
        let session = Session::open(&path, options)?;
        let camera = Self {
            name: session.name().to_owned(),
            path,
            options: options.clone(),
            mode: session.mode(),
            numbers: Numbers::default(),
            counts: Counts::default(),
            state: State::Streaming(session),
        };
        camera.tell();
        Ok(camera)
    }

    /// The device.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`mode`](VideoSource::mode) is another size or rate than what was asked for, by more than a hundredth of the rate.
    pub fn differs(&self) -> bool {
        let other_size = self.options.size.is_some_and(|size| size != self.mode.size);
        let other_rate = self.options.rate.is_some_and(|wanted| {
            // Drivers round: 30 frames a second are 10000000 in 333333 for many.
            self.mode.rate.is_none_or(|rate| (rate.fps() / wanted.fps() - 1.0).abs() > 0.01)
        });
        other_size || other_rate
    }

    fn tell(&self) {
        let Self { name, mode, .. } = self;
        if self.differs() {
            let (size, rate) = (self.options.size, self.options.rate.map(|rate| rate.to_string()));
            tracing::warn!(?size, ?rate, "{name} gives {mode}, which is not what it was asked for");
        } else {
            tracing::info!("{name} gives {mode}");
        }
    }

    fn timed_out(&self) -> CaptureError {
        CaptureError::TimedOut { source_name: self.name.clone(), after: self.options.timeout }
    }

    /// Starts the stream again if it is worth a try, and says what happened.
    fn fail(&mut self, error: std::io::Error) -> CaptureError {
        let source_name = self.name.clone();
        let State::Streaming(mut session) = std::mem::replace(&mut self.state, State::Ended) else {
            return CaptureError::BrokenOff { source_name, error, restarted: false };
        };
        if !is_gone(&error) {
            // One that gave nothing since it was started would break off for ever.
            let restart = if session.gave_frames() { session.restart().map(|()| true) } else { Ok(false) };
            match restart {
                Err(gone) if is_gone(&gone) => {}
                Ok(true) => {
                    self.numbers.restart();
                    self.state = State::Streaming(session);
                    return CaptureError::BrokenOff { source_name, error, restarted: true };
                }
                Ok(false) | Err(_) => return CaptureError::BrokenOff { source_name, error, restarted: false },
            }
        }
        let waiting = self.options.wait_for_return.is_some();
        if waiting {
            self.state = State::Away;
        }
        CaptureError::Unplugged { source_name, waiting }
    }

    /// Looks for the device until it can be opened, or until the time is over.
    fn wait_for_return(&mut self) -> State {
        let began = Instant::now();
        let time = self.options.wait_for_return.unwrap_or_default();
        loop {
            // Its node is there before its permissions are right, and the driver may need a moment more: any error may pass.
            match Session::open(&self.path, &self.options) {
                Ok(session) => {
                    self.mode = session.mode();
                    self.name = session.name().to_owned();
                    self.numbers.restart();
                    self.tell();
                    return State::Streaming(session);
                }
                Err(error) if began.elapsed() >= time => {
                    tracing::warn!("{} did not come back within {} ms: {error}", self.name, time.as_millis());
                    return State::Ended;
                }
                Err(_) => thread::sleep(LOOK_EVERY.min(time.saturating_sub(began.elapsed()))),
            }
        }
    }
}

impl Iterator for Camera {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.state, State::Away) {
            self.state = self.wait_for_return();
        }
        let State::Streaming(session) = &mut self.state else { return None };
        Some(match session.frame(self.options.timeout, &mut self.numbers, &mut self.counts) {
            Ok(Some(Ok(frame))) => Ok(frame),
            Ok(Some(Err(error))) => Err(CaptureError::NoPicture { source_name: self.name.clone(), error }),
            Ok(None) => Err(self.timed_out()),
            Err(error) => Err(self.fail(error)),
        })
    }
}

impl VideoSource for Camera {
    fn name(&self) -> &str {
        &self.name
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// Whether the device was taken away.
fn is_gone(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}
