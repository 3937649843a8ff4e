//! A window and the work beside it, each in a thread.

use std::{panic, thread};

use super::{Screen, WindowError, error::check_display, view::View};

/// Whether the platform lets only the main thread have windows.
const NEEDS_MAIN_THREAD: bool = cfg!(target_os = "macos");

/// What the window is like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowOptions {
    pub(super) name: String,
    pub(super) size: Option<(u32, u32)>,
}

impl WindowOptions {
    /// A window whose title begins with the name of this node.
    pub fn new(name: impl Into<String>) -> Self {
        // The window system takes no title with a zero in it.
        Self { name: name.into().replace('\0', ""), size: None }
    }

    /// The window has this width and height in pixels when it opens, whatever the frames have. A side of zero counts as one.
    #[must_use]
    pub fn size(self, size: (u32, u32)) -> Self {
        Self { size: Some(size), ..self }
    }
}

/// Opens a window, does `work` with a [`Screen`] for it, and closes the window when the work is done. Gives what the work gives.
///
/// The window opens at once, with a neutral picture of 640x360 pixels and the title `process2: waiting for frames`. If the first
/// frame wants another size, a window of that size replaces it: small pictures are shown as many times as large as 640x360 has
/// room for, large ones not above 960x540. With [`size`](WindowOptions::size) it stays as it is. Users may resize it as they
/// like: the picture keeps its aspect, between black borders.
///
/// Once a second the title tells the state: `process2: 60.0 fps, 3.1 ms, 0 missed`, which is frames drawn and the median of their
/// [latency](super::Shown::latency) in that second, and [frames missed](super::Shown::missed) since the beginning.
///
/// The close button and Escape close the window; all other keys do nothing. The work goes on then, and learns of it by
/// [`Screen::closed`], [`Screen::is_open`] or the next [`Screen::show`].
///
/// It blocks the calling thread until the work is done. The work runs on that thread and the window has one of its own; where
/// only the main thread may have windows, which is so on macOS, it is the other way round, and this must be called on the main
/// thread. A panic in the work closes the window and goes on in the calling thread.
///
/// **If the X server goes away, the process ends** with status 1 and a line on stderr: the X library does that, without
/// unwinding. Nothing may depend on what the process would have said at its end.
///
/// # Errors
///
/// [`WindowError`]. If the window cannot be opened, the work is not begun; if it breaks later, it counts as closed, and what the
/// work gives is lost.
///
/// ```no_run
/// use daffi_camera::{Frame, PixelFormat, clock, viewer};
///
/// let options = viewer::WindowOptions::new("process2");
/// let frames = viewer::with_window(options, |screen| {
///     for sequence in 0.. {
///         let picture = vec![sequence as u8; 320 * 180];
///         let frame = Frame::new((320, 180), PixelFormat::Gray8, picture).expect("as many bytes as pixels");
///         if screen.show(frame.stamped(sequence, clock::now())).is_err() {
///             break;
///         }
///         std::thread::sleep(std::time::Duration::from_millis(16));
///     }
///     screen.shown().frames()
/// })?;
/// println!("{frames} frames were drawn");
/// # Ok::<(), daffi_camera::viewer::WindowError>(())
/// ```
pub fn with_window<T: Send>(options: WindowOptions, work: impl FnOnce(Screen) -> T + Send) -> Result<T, WindowError> {
    check_display()?;
    let screen = Screen::new();
    let open_and_run = || match View::open(options) {
        Ok(view) => view.run(&screen),
        Err(error) => screen.failed(error),
    };
    beside(NEEDS_MAIN_THREAD, &screen, open_and_run, work)
}

/// Runs the window in this thread or in one of its own, and the work in the other.
fn beside<T: Send>(
    window_is_here: bool,
    screen: &Screen,
    window: impl FnOnce() + Send,
    work: impl FnOnce(Screen) -> T + Send,
) -> Result<T, WindowError> {
    let window = || {
        let _gone = AtEnd(|| screen.close());
        window();
    };
    let work = || {
        let _over = AtEnd(|| screen.done());
        screen.wait_opened()?;
        Ok(work(screen.clone()))
    };
    let result = thread::scope(|scope| {
        if window_is_here {
            let working = thread::Builder::new().spawn_scoped(scope, work).map_err(WindowError::Thread)?;
            window();
            join(working)
        } else {
            let builder = thread::Builder::new().name("window".to_owned());
            let showing = builder.spawn_scoped(scope, window).map_err(WindowError::Thread)?;
            let result = work();
            join(showing);
            result
        }
    })?;
    screen.failure()?;
    Ok(result)
}

/// What the thread gave; its panic goes on in this one.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}

/// Does something when it is dropped, since the other side waits for it even if this one panics.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, time::Duration};

    use super::*;
    use crate::viewer::screen::Task;

    /// A window that nobody sees.
    fn stay_open(screen: &Screen) {
        screen.opened();
        while !matches!(screen.next_task(Duration::from_secs(30)), Task::Close) {}
    }

    /// Each test holds wherever the window is.
    fn both(test: impl Fn(bool)) {
        test(true);
        test(false);
    }

    #[test]
    fn the_window_closes_when_the_work_is_done() {
        both(|here| {
            let screen = Screen::new();
            let result = beside(here, &screen, || stay_open(&screen), |screen| screen.is_open());
            assert!(result.unwrap());
            assert!(!screen.is_open());
        });
    }

    #[test]
    fn the_work_goes_on_when_the_window_is_closed() {
        both(|here| {
            let screen = Screen::new();
            let until_closed = |screen: Screen| {
                while screen.is_open() {
                    thread::yield_now();
                }
            };
            beside(here, &screen, || screen.opened(), until_closed).unwrap();
        });
    }

    #[test]
    fn there_is_no_work_without_a_window() {
        both(|here| {
            let screen = Screen::new();
            let fail = || screen.failed(WindowError::NoDisplay { wayland: true });
            let work = |_| -> () { panic!("nothing to work with") };
            let error = beside(here, &screen, fail, work).unwrap_err();
            assert!(matches!(error, WindowError::NoDisplay { wayland: true }));
        });
    }

    #[test]
    fn a_window_that_breaks_is_an_error_in_the_end() {
        both(|here| {
            let screen = Screen::new();
            let break_down = || {
                screen.opened();
                screen.failed(WindowError::NotDrawn { reason: "it is torn".to_owned() });
            };
            let error = beside(here, &screen, break_down, |screen| {
                while screen.is_open() {
                    thread::yield_now();
                }
            })
            .unwrap_err();
            assert!(error.to_string().contains("it is torn"));
        });
    }

    #[test]
    fn a_panic_on_either_side_ends_the_other() {
        both(|here| {
            let screen = Screen::new();
            let panics = || -> Result<(), _> { beside(here, &screen, || stay_open(&screen), |_| panic!("work")) };
            let payload = panic::catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&"work"));
            let screen = Screen::new();
            let breaks = || {
                screen.opened();
                panic!("window")
            };
            let panics = || {
                beside(here, &screen, breaks, |screen| {
                    while screen.is_open() {
                        thread::yield_now();
                    }
                })
            };
            assert!(panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
        });
    }
}
