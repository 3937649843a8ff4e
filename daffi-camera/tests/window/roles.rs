//! What the program with a window does, once it is started.

use std::{
    env,
    future::Future,
    io,
    pin::Pin,
    process,
    sync::Arc,
    task::{Context, Wake},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use daffi_camera::{
    Frame, PixelFormat, clock,
    pattern::{Picture as Pattern, Stamp},
    viewer::{Screen, WindowOptions, with_window},
};

/// The environment variable that tells the program what to do: a word, a blank and the size of its frames.
pub(crate) const ROLE: &str = "DAFFI_TEST_WINDOW";

/// How the program ends if there is no window. X itself ends a process with 1, and the test harness with 101.
pub(crate) const NO_WINDOW: i32 = 3;

/// From one frame of a video to the next.
const PERIOD: Duration = Duration::from_micros(16_667);

/// Plays the role, if this process has one.
pub(crate) fn play() {
    let Ok(role) = env::var(ROLE) else { return };
    let (kind, size) = role.split_once(' ').expect("a kind and a size");
    let (width, height) = size.split_once('x').expect("width and height");
    let size = (width.parse().expect("a width"), height.parse().expect("a height"));
    let result = match kind {
        "video" => with_window(WindowOptions::new("process2"), |screen| video(&screen, size)),
        "request" => with_window(WindowOptions::new("process2"), |screen| on_request(&screen, size)),
        "grey" => with_window(WindowOptions::new("process2"), |screen| grey(&screen, size)),
        "two" => thread::scope(|scope| {
            let other = scope.spawn(|| with_window(WindowOptions::new("process3"), |screen| video(&screen, size)));
            with_window(WindowOptions::new("process2"), |screen| video(&screen, size))?;
            other.join().expect("it does not panic")
        }),
        _ => panic!("there is no role {kind:?}"),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        process::exit(NO_WINDOW);
    }
}

fn video(screen: &Screen, size: (u32, u32)) {
    let pattern = pattern(size);
    let began = Instant::now();
    for turn in 0.. {
        thread::sleep((began + PERIOD * turn).saturating_duration_since(Instant::now()));
        let frame = pattern.draw(Stamp { frame: turn + turn / 9, drawn_at: clock::now() });
        if screen.show(frame).is_err() {
            return report(screen);
        }
    }
}

fn on_request(screen: &Screen, size: (u32, u32)) {
    let pattern = pattern(size);
    for (frame, line) in (0..).zip(io::stdin().lines()) {
        let is_end = line.expect("stdin can be read") == "end";
        if is_end || screen.show(pattern.draw(Stamp { frame, drawn_at: clock::now() })).is_err() {
            break;
        }
    }
    report(screen);
}

fn pattern(size: (u32, u32)) -> Pattern {
    Pattern::new(size).expect("a size that a pattern can have")
}

fn grey(screen: &Screen, (width, height): (u32, u32)) {
    let pixels = vec![77; width as usize * height as usize];
    let frame = Frame::new((width, height), PixelFormat::Gray8, pixels).expect("a byte a pixel");
    screen.show(frame).expect("the window is open");
    block_on_closed(screen);
}

/// Waits as an async runtime would, which shows that none is needed.
fn block_on_closed(screen: &Screen) {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut closed = screen.closed();
    while Pin::new(&mut closed).poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn report(screen: &Screen) {
    let shown = screen.shown();
    let [p50, p99] = [0.5, 0.99].map(|part| shown.latency(part).unwrap_or_default());
    let (frames, skipped, missed) = (shown.frames(), shown.skipped(), shown.missed());
    println!("@shown {frames} frames, {skipped} skipped, {missed} missed, latency p50 {p50:?}, p99 {p99:?}");
}
