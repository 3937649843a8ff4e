//! Why there is no window.

use std::io;

/// There is no window, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// No display is named. Under Wayland alone there is none either: the window needs an X server, which XWayland is.
    #[error(
        "there is no display to open a window on: DISPLAY is not set{}; start it in a desktop session, name an X \
         server in DISPLAY, or run it with --headless",
        if *.wayland { ", and a Wayland session without XWayland does not do" } else { "" }
    )]
    NoDisplay {
        /// Whether the session is one of Wayland.
        wayland: bool,
    },
    /// The X server is not there, or does not let this process in.
    #[error(
        "the X server of DISPLAY={display} cannot be reached, or refuses this user; check that it runs and that \
         XAUTHORITY is right, or run it with --headless"
    )]
    Unreachable {
        /// What DISPLAY says.
        display: String,
    },
    /// A library that the window is drawn with is not installed, or cannot be loaded.
    #[error(
        "could not load a library that windows need ({reason}); install it (Debian: apt install libx11-6 libxcursor1), \
         or run it with --headless"
    )]
    NoLibrary {
        /// What the loader said.
        reason: String,
    },
    /// The window system does not open a window, for another reason.
    #[error("the window system opened no window ({reason}); run it with --headless to go without one")]
    Refused {
        /// What the window system said.
        reason: String,
    },
    /// The window system took no picture. The window is closed then.
    #[error("the window system took no picture ({reason}); run it with --headless to go without a window")]
    NotDrawn {
        /// What the window system said.
        reason: String,
    },
    /// There is no thread for the window.
    #[error("could not start the thread of the window: {0}")]
    Thread(#[source] io::Error),
}

impl WindowError {
    /// Why minifb opened no window. It tells the cases apart by their text alone.
    pub(super) fn not_opened(error: &minifb::Error) -> Self {
        let minifb::Error::WindowCreate(reason) = error else {
            return Self::Refused { reason: error.to_string() };
        };
        if reason.starts_with("failed to load ") {
            return Self::NoLibrary { reason: reason.clone() };
        }
        if reason == "XOpenDisplay failed" {
            return Self::Unreachable { display: std::env::var("DISPLAY").unwrap_or_default() };
        }
        Self::Refused { reason: reason.clone() }
    }
}

/// Finds out whether a display is named at all, which a program may want to know before it plans for windows. Whether the display
/// answers shows itself when a window is opened. Where displays have no names, as on macOS and Windows, there is one.
///
/// # Errors
///
/// [`WindowError::NoDisplay`].
pub fn check_display() -> Result<(), WindowError> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let needs_x = cfg!(all(unix, not(target_os = "macos")));
    if needs_x && !is_set("DISPLAY") {
        return Err(WindowError::NoDisplay { wayland: is_set("WAYLAND_DISPLAY") });
    }
    Ok(())
}
