//! What is wanted of a camera.

use std::{path::PathBuf, time::Duration};

use crate::{PixelFormat, Rate};

/// Which camera is wanted, and how.
///
/// ```no_run
/// use daffi_camera::{Rate, v4l2::{Camera, Options}};
///
/// let options = Options::default().size(1280, 720).rate(Rate::new(30, 1).expect("neither is zero"));
/// for frame in Camera::open(&options)? {
///     println!("{:?}", frame?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(super) device: Option<PathBuf>,
    pub(super) formats: Vec<PixelFormat>,
    pub(super) size: Option<(u32, u32)>,
    pub(super) rate: Option<Rate>,
    pub(super) timeout: Duration,
    pub(super) wait_for_return: Option<Duration>,
}

impl Default for Options {
    /// The first device that captures, as it is set now. A frame has to come within two seconds.
    fn default() -> Self {
        Self {
            device: None,
            formats: Vec::new(),
            size: None,
            rate: None,
            // Webcams take about a second until their first frame.
            timeout: Duration::from_secs(2),
            wait_for_return: None,
        }
    }
}

impl Options {
    /// That device, such as `/dev/video0`, instead of the first that captures.
    #[must_use]
    pub fn device(mut self, path: impl Into<PathBuf>) -> Self {
        self.device = Some(path.into());
        self
    }

    /// One of these formats only. Size and rate come first; of those formats that reach them equally well, the first is taken.
    ///
    /// Without this it is any of YUYV, NV12, RGB, JPEG and, if there is nothing else, grey.
    #[must_use]
    pub fn formats(mut self, formats: impl Into<Vec<PixelFormat>>) -> Self {
        self.formats = formats.into();
        self
    }

    /// That width and height in pixels, or what comes nearest, instead of the driver's present one.
    #[must_use]
    pub const fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }

    /// That rate, or what comes nearest, instead of the driver's present one.
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How long to wait for a frame. It is two seconds otherwise.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// That long, an unplugged device is waited for. Otherwise the video ends when it is unplugged.
    #[must_use]
    pub const fn wait_for_return(mut self, time: Duration) -> Self {
        self.wait_for_return = Some(time);
        self
    }
}
