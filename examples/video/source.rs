//! Which video is sent, and how.

#[cfg(all(feature = "v4l2", target_os = "linux"))]
use std::time::Duration;
use std::{error::Error, path::PathBuf, str::FromStr};

use daffi_camera::{
    Mode, Percent, Pipeline, PixelFormat, Rate, VideoSource,
    codec::Codec,
    file::{self, Speed},
    pattern::{self, Fault, Pattern},
};

/// Which video is sent, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct VideoOptions {
    /// `camera`, `camera:DEVICE`, `pattern` or `file:PATH`; without it, a camera if there is one, and the test pattern otherwise
    #[arg(long)]
    source: Option<Source>,
    /// Width and height in pixels, such as 1280x720; without it, what the camera likes, or 320x180 for the pattern
    #[arg(long, value_parser = size)]
    size: Option<(u32, u32)>,
    /// Frames a second; 0 is as fast as it goes. Without it, what the camera or file has, or 60 for the pattern
    #[arg(long)]
    fps: Option<u32>,
    /// The pattern's pixels: rgb, grey, yuyv, nv12, i420 or jpeg
    #[arg(long, value_parser = format, default_value = "rgb")]
    format: PixelFormat,
    /// What goes wrong with the pattern: stall@FRAME:TIME, drop@FRAME:COUNT, repeat@FRAME, corrupt@FRAME, unplug@FRAME[:TIME]
    #[arg(long = "fault")]
    faults: Vec<Fault>,
    /// Begin the file again when it ends
    #[arg(long)]
    repeat: bool,
    /// The size in which the frames are sent, in percent
    #[arg(long, default_value = "100")]
    scale: Percent,
    /// How the frames are sent: raw, jpeg, jpeg:QUALITY, or if it was built in, h264 or h264:BITS_PER_SECOND
    #[arg(long, default_value = "raw")]
    codec: Codec,
    /// How many frames are sent; without it, all there are
    #[arg(long)]
    pub(crate) frames: Option<u64>,
}

/// Where the video comes from.
#[derive(Debug, Clone)]
enum Source {
    Camera(Option<PathBuf>),
    Pattern,
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "camera" => Ok(Self::Camera(None)),
            None if text == "pattern" => Ok(Self::Pattern),
            Some(("camera", device)) => Ok(Self::Camera(Some(device.into()))),
            Some(("file", path)) => Ok(Self::File(path.into())),
            _ => Err("a source is `camera`, `camera:DEVICE`, `pattern` or `file:PATH`".into()),
        }
    }
}

impl VideoOptions {
    /// Opens the source.
    pub(crate) fn open(&self) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        match &self.source {
            None => match self.camera(None) {
                Ok(camera) => Ok(camera),
                Err(why) => {
                    eprintln!("no camera ({why}): sending the test pattern");
                    self.pattern()
                }
            },
            Some(Source::Camera(device)) => self.camera(device.clone()),
            Some(Source::Pattern) => self.pattern(),
            Some(Source::File(path)) => {
                let speed = match self.fps {
                    None => Speed::Own,
                    Some(fps) => Rate::new(fps, 1).map_or(Speed::Full, Speed::At),
                };
                let options = file::Options { speed, repeat: self.repeat, ..file::Options::default() };
                Ok(Box::new(file::open(path, &options)?))
            }
        }
    }

    /// What is done to each frame before it is sent.
    pub(crate) fn pipeline(&self, mode: Mode) -> Pipeline {
        Pipeline::new(self.scale, self.codec, mode.rate)
    }

    /// How the frames are sent, for people.
    pub(crate) fn way(&self, Mode { size, .. }: Mode) -> String {
        let (width, height) = self.scale.of(size);
        format!("{width}x{height} {}", self.codec)
    }

    fn pattern(&self) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        let defaults = pattern::Options::default();
        let options = pattern::Options {
            size: self.size.unwrap_or(defaults.size),
            rate: self.fps.map_or(defaults.rate, |fps| Rate::new(fps, 1)),
            format: self.format,
            faults: self.faults.clone(),
            ..defaults
        };
        Ok(Box::new(Pattern::new(options)?))
    }

    #[cfg(all(feature = "v4l2", target_os = "linux"))]
    fn camera(&self, device: Option<PathBuf>) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        use daffi_camera::v4l2::{Camera, Options};
        let options = Options {
            device,
            size: self.size,
            rate: self.fps.and_then(|fps| Rate::new(fps, 1)),
            // Somebody pulls the cable: there is time to put it back.
            wait_for_return: Some(Duration::from_secs(60)),
            ..Options::default()
        };
        Ok(Box::new(Camera::open(&options)?))
    }

    #[cfg(not(all(feature = "v4l2", target_os = "linux")))]
    fn camera(&self, _: Option<PathBuf>) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        Err("this program was built without cameras: on Linux, add --features v4l2, which takes libclang to build"
            .into())
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.ok_or_else(|| "a size is given as WIDTHxHEIGHT, such as 1280x720".into())
}

fn format(text: &str) -> Result<PixelFormat, String> {
    match text {
        "rgb" => Ok(PixelFormat::Rgb8),
        "grey" | "gray" => Ok(PixelFormat::Gray8),
        "yuyv" => Ok(PixelFormat::Yuyv),
        "nv12" => Ok(PixelFormat::Nv12),
        "i420" => Ok(PixelFormat::I420),
        "jpeg" => Ok(PixelFormat::Jpeg),
        _ => Err("pixels are rgb, grey, yuyv, nv12, i420 or jpeg".into()),
    }
}
