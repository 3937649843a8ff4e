//! The window itself: what the window's thread does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use minifb::{Key, ScaleMode, Window};

use super::{Screen, WindowError, WindowOptions, canvas::Canvas, meter::Meter, screen::Task, shown::age};
use crate::Frame;

/// How long the window may be blind for what the user does while no frames come. Nobody feels it, and looking costs a round trip
/// to the X server, a few dozen microseconds.
const LOOK: Duration = Duration::from_millis(15);

/// How often the picture is drawn anew while no frames come: the window may have been covered, which minifb does not tell.
const REPAINT: Duration = Duration::from_millis(250);

/// What the window has before its first frame: what most cameras' pictures fit.
const FIRST_SIZE: (u32, u32) = (640, 360);

/// What a first frame is not shown larger than: two windows of that size fit side by side on most screens, and what a frame costs
/// the X server grows with the window.
const LARGEST: (u32, u32) = (960, 540);

/// An open window.
pub(super) struct View {
    options: WindowOptions,
    window: Window,
    escape: Arc<AtomicBool>,
    canvas: Canvas,
    meter: Meter,
    is_waiting: bool,
    drawn_at: Instant,
    drawn_size: (usize, usize),
}

impl View {
    /// Opens it, and draws what it shows until the first frame.
    ///
    /// # Errors
    ///
    /// [`WindowError`].
    pub(super) fn open(options: WindowOptions) -> Result<Self, WindowError> {
        let size = options.size.unwrap_or(FIRST_SIZE);
        let escape = Arc::new(AtomicBool::new(false));
        let window = open_window(&format!("{}: waiting for frames", options.name), size, &escape)?;
        let (canvas, now) = (Canvas::waiting(FIRST_SIZE), Instant::now());
        let (meter, drawn_size) = (Meter::new(now), window.get_size());
        let mut view = Self { options, window, escape, canvas, meter, is_waiting: true, drawn_at: now, drawn_size };
        view.blit()?;
        Ok(view)
    }

    /// Shows what the screen is given, until the user closes the window or the work is done.
    pub(super) fn run(mut self, screen: &Screen) {
        screen.opened();
        while self.window.is_open() && !self.escape.load(Ordering::Relaxed) {
            let result = match screen.next_task(LOOK) {
                Task::Draw(frame) => self.show(&frame, screen),
                Task::Look => self.look(),
                Task::Close => return,
            };
            if let Err(error) = result {
                return screen.failed(error);
            }
            self.entitle(screen);
        }
    }

    fn show(&mut self, frame: &Frame, screen: &Screen) -> Result<(), WindowError> {
        if std::mem::take(&mut self.is_waiting) {
            self.fit(frame)?;
        }
        self.canvas.paint(frame);
        self.blit()?;
        // The window system has answered, so it has the picture.
        let age = age(frame);
        screen.drawn(age);
        self.meter.shown(self.drawn_at, age);
        Ok(())
    }

    /// Sees to the user while there is no new frame.
    fn look(&mut self) -> Result<(), WindowError> {
        if self.window.get_size() != self.drawn_size || self.drawn_at.elapsed() >= REPAINT {
            return self.blit();
        }
        self.window.update();
        Ok(())
    }

    /// Draws the canvas, and sees to the user. minifb asks the X server something after each picture, so the picture has arrived.
    fn blit(&mut self) -> Result<(), WindowError> {
        let (width, height) = self.canvas.size();
        self.drawn_size = self.window.get_size();
        let drawn = self.window.update_with_buffer(self.canvas.pixels(), width, height);
        self.drawn_at = Instant::now();
        drawn.map_err(|error| WindowError::NotDrawn { reason: error.to_string() })
    }

    fn entitle(&mut self, screen: &Screen) {
        if let Some(figures) = self.meter.figures(Instant::now(), || screen.missed()) {
            self.window.set_title(&format!("{}: {figures}", self.options.name));
        }
    }

    /// Gives the first frame a window that it fits: minifb cannot resize one.
    fn fit(&mut self, frame: &Frame) -> Result<(), WindowError> {
        let size = fitting(frame.size());
        if self.options.size.is_none() && size != FIRST_SIZE {
            self.window = open_window(&self.options.name, size, &self.escape)?;
        }
        Ok(())
    }
}

fn open_window(title: &str, (width, height): (u32, u32), escape: &Arc<AtomicBool>) -> Result<Window, WindowError> {
    let options = minifb::WindowOptions {
        resize: true,
        scale_mode: ScaleMode::AspectRatioStretch,
        ..minifb::WindowOptions::default()
    };
    // The X server kills a process that asks for a window without pixels.
    let (width, height) = (width.max(1) as usize, height.max(1) as usize);
    let mut window = Window::new(title, width, height, options).map_err(|error| WindowError::not_opened(&error))?;
    // Else it sleeps after each picture. The pace is that of the frames.
    window.set_target_fps(0);
    window.set_input_callback(Box::new(Escape(escape.clone())));
    Ok(window)
}

/// Is told of each key. To ask for the keys that are down would overlook one that was let go between two looks.
struct Escape(Arc<AtomicBool>);

impl minifb::InputCallback for Escape {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, _: bool) {
        if key == Key::Escape {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// How large a picture is shown at first: as many times as it fits [`FIRST_SIZE`] if it is small, else not above [`LARGEST`].
fn fitting((width, height): (u32, u32)) -> (u32, u32) {
    let times = (FIRST_SIZE.0 / width).min(FIRST_SIZE.1 / height).max(1);
    let (width, height) = (width * times, height * times);
    let part = (f64::from(LARGEST.0) / f64::from(width)).min(f64::from(LARGEST.1) / f64::from(height)).min(1.0);
    let scaled = |side: u32| ((f64::from(side) * part).round() as u32).max(1);
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_frame_fits_its_window() {
        assert_eq!(fitting((320, 180)), (640, 360));
        assert_eq!(fitting((256, 144)), (512, 288));
        assert_eq!(fitting((160, 120)), (480, 360));
        assert_eq!(fitting((640, 480)), (640, 480));
        assert_eq!(fitting((960, 540)), (960, 540));
        assert_eq!(fitting((1_280, 720)), (960, 540));
        assert_eq!(fitting((1_080, 1_920)), (304, 540));
    }

    #[test]
    fn no_window_is_without_pixels() {
        assert_eq!(fitting((65_535, 1)), (960, 1));
        assert_eq!(fitting((1, 65_535)), (1, 540));
        assert_eq!(fitting((1, 1)), (360, 360));
    }
}
