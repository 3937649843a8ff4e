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
    /// The pattern's pixels: rgb, grey, yuyv, nv12, i420 or jpeg; rgb without it
    #[arg(long, value_parser = format)]
    format: Option<PixelFormat>,
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

/// An option, and whether it was given.
type Given = (&'static str, fn(&VideoOptions) -> bool);

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
                Ok(camera) => {
                    self.only_of("a camera", &[Self::FAULT, Self::FORMAT, Self::REPEAT])?;
                    Ok(camera)
                }
                Err(why) => {
                    eprintln!("{why}: sending the test pattern");
                    self.pattern()
                }
            },
            Some(Source::Camera(device)) => {
                self.only_of("a camera", &[Self::FAULT, Self::FORMAT, Self::REPEAT])?;
                self.camera(device.clone())
            }
            Some(Source::Pattern) => self.pattern(),
            Some(Source::File(path)) => {
                self.only_of("a file", &[Self::FAULT, Self::FORMAT, Self::SIZE])?;
                let speed = match self.fps {
                    None => Speed::Own,
                    Some(fps) => Rate::new(fps, 1).map_or(Speed::Full, Speed::At),
                };
                let options = file::Options { speed, repeat: self.repeat, ..file::Options::default() };
                Ok(Box::new(file::open(path, &options)?))
            }
        }
    }

    const FAULT: Given = ("--fault", |options| !options.faults.is_empty());
    const FORMAT: Given = ("--format", |options| options.format.is_some());
    const REPEAT: Given = ("--repeat", |options| options.repeat);
    const SIZE: Given = ("--size", |options| options.size.is_some());

    /// Refuses options that mean nothing for a source, rather than to ignore them.
    fn only_of(&self, source: &str, others: &[Given]) -> Result<(), String> {
        match others.iter().find(|(_, is_given)| is_given(self)) {
            Some((option, _)) => Err(format!("{option} means nothing for {source}")),
            None => Ok(()),
        }
    }

    /// What is done to each frame before it is sent.
    pub(crate) fn pipeline(&self, mode: Mode) -> Pipeline {
        Pipeline::new(self.scale, self.codec, mode.rate)
    }

    /// How the frames are sent, for people.
    pub(crate) fn way(&self, Mode { size, format, .. }: Mode) -> String {
        let (width, height) = self.scale.of(size);
        match self.scale == Percent::ORIGINAL && self.codec.format() == Some(format) {
            true => "they come".to_owned(),
            false => format!("{width}x{height} {}", self.codec),
        }
    }

    fn pattern(&self) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        self.only_of("the test pattern", &[Self::REPEAT])?;
        let defaults = pattern::Options::default();
        let options = pattern::Options {
            size: self.size.unwrap_or(defaults.size),
            rate: self.fps.map_or(defaults.rate, |fps| Rate::new(fps, 1)),
            format: self.format.unwrap_or(defaults.format),
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
        let camera = Camera::open(&options)?;
        if camera.differs() {
            eprintln!("the camera gives another size or rate than what was asked for");
        }
        Ok(Box::new(camera))
    }

    #[cfg(not(all(feature = "v4l2", target_os = "linux")))]
    fn camera(&self, _: Option<PathBuf>) -> Result<Box<dyn VideoSource>, Box<dyn Error>> {
        Err("this program was built without cameras (on Linux, `--features v4l2` adds them)".into())
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
