//! Where the window and the work beside it meet.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{Shown, WindowError, is_decoded};
use crate::{Frame, PixelFormat};

/// Takes the frames for a window, from any thread and any async runtime. Clones are the same screen.
#[derive(Clone)]
pub struct Screen {
    meeting: Arc<Meeting>,
}

/// What both sides wait at.
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    window: Window,
    /// The work is over; the window is to close.
    is_done: bool,
    /// The newest frame that is not drawn yet.
    newest: Option<Frame>,
    shown: Shown,
    wakers: Vec<Waker>,
}

/// How far the window has come.
enum Window {
    Opening,
    Open,
    Closed,
    /// It never opened, or broke. The error is there until it is told.
    Failed(Option<WindowError>),
}

/// The screen takes no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShowError {
    /// The window is closed: the user has seen enough.
    #[error("the window is closed")]
    Closed,
    /// The frame is not one of plain pixels.
    #[error("a window shows RGB and grey frames, and this one is {format}: decode it first")]
    NotDecoded {
        /// What the frame has.
        format: PixelFormat,
    },
}

/// What the window is to do next.
pub(super) enum Task {
    /// Draw this.
    Draw(Frame),
    /// See what the user does: there is no new frame.
    Look,
    /// Close.
    Close,
}

impl Screen {
    pub(super) fn new() -> Self {
        let state =
            State { window: Window::Opening, is_done: false, newest: None, shown: Shown::new(), wakers: Vec::new() };
        Self { meeting: Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Shows a frame as soon as the window gets to it. If the next one is there before that, the next one is shown instead, and
    /// this one counts as [skipped](Shown::skipped).
    ///
    /// It never waits for the drawing, so it may be called in async code.
    ///
    /// # Errors
    ///
    /// [`ShowError::NotDecoded`] if it is neither [`Rgb8`](PixelFormat::Rgb8) nor [`Gray8`](PixelFormat::Gray8);
    /// [`ShowError::Closed`] once the window is closed.
    pub fn show(&self, frame: Frame) -> Result<(), ShowError> {
        if !is_decoded(frame.format()) {
            return Err(ShowError::NotDecoded { format: frame.format() });
        }
        let mut state = self.lock();
        if !state.is_open() {
            return Err(ShowError::Closed);
        }
        state.shown.given(&frame);
        if state.newest.replace(frame).is_some() {
            state.shown.skip();
        }
        self.meeting.changed.notify_all();
        Ok(())
    }

    /// Whether the window is there: neither the user has closed it nor is the work over.
    pub fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    /// Waits until the window is closed. It needs no particular async runtime.
    ///
    /// Cancel safe: dropping it loses nothing.
    pub fn closed(&self) -> Closed {
        Closed { screen: self.clone() }
    }

    /// What became of the frames so far.
    pub fn shown(&self) -> Shown {
        self.lock().shown.clone()
    }

    /// For the window: it is there.
    pub(super) fn opened(&self) {
        self.change(Window::Open);
    }

    /// For the window: it cannot be opened, or is broken.
    pub(super) fn failed(&self, error: WindowError) {
        self.change(Window::Failed(Some(error)));
    }

    /// For the window: it is gone, if for no other reason then since its thread is.
    pub(super) fn close(&self) {
        if !matches!(self.lock().window, Window::Failed(_)) {
            self.change(Window::Closed);
        }
    }

    /// For the window: what to do next. It waits for a frame until it is time to look what the user does.
    pub(super) fn next_task(&self, patience: Duration) -> Task {
        let waiting = |state: &mut State| !state.is_done && state.newest.is_none();
        let waited = self.meeting.changed.wait_timeout_while(self.lock(), patience, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.newest.take() {
            _ if state.is_done => Task::Close,
            Some(frame) => Task::Draw(frame),
            None => Task::Look,
        }
    }

    /// For the window: it has drawn a frame, which was that old then.
    pub(super) fn drawn(&self, age: Option<Duration>) {
        self.lock().shown.drawn(age);
    }

    /// How many frames never came.
    pub(super) fn missed(&self) -> u64 {
        self.lock().shown.missed()
    }

    /// For the work: waits until the window is open.
    pub(super) fn wait_opened(&self) -> Result<(), WindowError> {
        let opening = |state: &mut State| matches!(state.window, Window::Opening);
        let waited = self.meeting.changed.wait_while(self.lock(), opening);
        waited.unwrap_or_else(PoisonError::into_inner).take_failure()
    }

    /// For the work: it is over.
    pub(super) fn done(&self) {
        self.lock().is_done = true;
        self.meeting.changed.notify_all();
    }

    /// Why the window broke, if it did.
    pub(super) fn failure(&self) -> Result<(), WindowError> {
        self.lock().take_failure()
    }

    fn change(&self, window: Window) {
        let mut state = self.lock();
        state.window = window;
        let wakers = if state.is_open() { Vec::new() } else { std::mem::take(&mut state.wakers) };
        drop(state);
        self.meeting.changed.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }

    /// The state is whole between any two statements, so that of a thread that panicked is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.meeting.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

impl State {
    const fn is_open(&self) -> bool {
        matches!(self.window, Window::Open) && !self.is_done
    }

    fn take_failure(&mut self) -> Result<(), WindowError> {
        match &mut self.window {
            Window::Failed(error) => error.take().map_or(Ok(()), Err),
            Window::Opening | Window::Open | Window::Closed => Ok(()),
        }
    }
}

/// Ends when the window is closed. Made by [`Screen::closed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Closed {
    screen: Screen,
}

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.screen.lock();
        if !state.is_open() {
            return Poll::Ready(());
        }
        // A task that asks again and again, as one with a `select!` in a loop does, is kept once.
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn frame(sequence: u64) -> Frame {
        let frame = Frame::new((1, 1), PixelFormat::Gray8, vec![0]).unwrap();
        frame.stamped(sequence, Duration::ZERO)
    }

    fn open() -> Screen {
        let screen = Screen::new();
        screen.opened();
        screen
    }

    #[test]
    fn the_newest_frame_is_drawn_and_those_before_it_are_skipped() {
        let screen = open();
        for sequence in [3, 4, 5] {
            screen.show(frame(sequence)).unwrap();
        }
        assert!(matches!(screen.next_task(Duration::ZERO), Task::Draw(frame) if frame.sequence() == 5));
        assert!(matches!(screen.next_task(Duration::ZERO), Task::Look));
        assert_eq!((screen.shown().skipped(), screen.shown().missed()), (2, 0));
    }

    #[test]
    fn a_frame_wakes_the_window() {
        let screen = open();
        std::thread::scope(|scope| {
            let window = scope.spawn(|| screen.next_task(Duration::from_secs(30)));
            screen.show(frame(1)).unwrap();
            assert!(matches!(window.join().unwrap(), Task::Draw(_)));
        });
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let screen = open();
        let jpeg = Frame::new((1, 1), PixelFormat::Jpeg, vec![0]).unwrap();
        let error = screen.show(jpeg).unwrap_err();
        assert_eq!(error.to_string(), "a window shows RGB and grey frames, and this one is JPEG: decode it first");
        screen.close();
        assert_eq!(screen.show(frame(0)), Err(ShowError::Closed));
        assert_eq!(screen.shown().missed(), 0);
    }

    #[test]
    fn closing_wakes_all_who_wait_for_it() {
        #[derive(Default)]
        struct Woken(AtomicU32);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let screen = open();
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let poll = |woken: &Arc<Woken>| {
            let waker = Waker::from(woken.clone());
            Pin::new(&mut screen.closed()).poll(&mut Context::from_waker(&waker))
        };
        assert_eq!([poll(&woken[0]), poll(&woken[0]), poll(&woken[1])], [Poll::Pending; 3]);
        screen.close();
        assert_eq!(poll(&woken[0]), Poll::Ready(()));
        assert_eq!(woken.map(|woken| woken.0.load(Ordering::Relaxed)), [1, 1]);
    }

    #[test]
    fn a_failure_is_told_once_and_stays_one() {
        let screen = Screen::new();
        screen.failed(WindowError::NoDisplay { wayland: false });
        screen.close();
        assert!(screen.wait_opened().is_err());
        assert!(screen.failure().is_ok() && !screen.is_open());
    }
}
