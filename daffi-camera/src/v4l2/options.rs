//! What is wanted of a camera.

use std::{path::PathBuf, time::Duration};

use crate::{PixelFormat, Rate};

/// Which camera is wanted, and how.
///
/// ```no_run
/// use daffi_camera::{Rate, v4l2::{Camera, Options}};
///
/// let options = Options { size: Some((1280, 720)), rate: Rate::new(30, 1), ..Options::default() };
/// for frame in Camera::open(&options)? {
///     println!("{:?}", frame?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The device, such as `/dev/video0`; the first that captures unless said otherwise.
    pub device: Option<PathBuf>,
    /// One of these formats only. Size and rate come first; of those formats that reach them equally well, the first is taken.
    /// Unless said otherwise it is any of YUYV, NV12, RGB, JPEG and, if there is nothing else, grey.
    pub formats: Vec<PixelFormat>,
    /// Width and height in pixels, or what comes nearest; the driver's present ones unless said otherwise.
    pub size: Option<(u32, u32)>,
    /// How many frames come a second, or what comes nearest; the driver's present rate unless said otherwise.
    pub rate: Option<Rate>,
    /// How long to wait for a frame; two seconds unless said otherwise.
    pub timeout: Duration,
    /// How long an unplugged device is waited for. Unless said otherwise the video ends when it is unplugged.
    pub wait_for_return: Option<Duration>,
}

impl Default for Options {
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
