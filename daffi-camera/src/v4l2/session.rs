//! One device from being opened to being closed: agrees on a mode, and makes frames of the driver's buffers.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    OpenError, Options,
    choice::choose,
    driver::{Buffer, Device, Setting, Stream},
    numbers::{Numbers, captured_at},
};
use crate::{Counts, Frame, InvalidFrame, Mode, PixelFormat, clock};

#[derive(Debug)]
pub(super) struct Session {
    name: String,
    format: PixelFormat,
    setting: Setting,
    /// Whether the stream gave a frame since it was started.
    gave_frames: bool,
    // Before the device: what is mapped goes before what it is mapped from.
    stream: Stream,
    device: Device,
}

impl Session {
    /// Opens the device and starts its stream.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let failed = |action| move |error| OpenError::new(path, action, error);
        let device = Device::open(path).map_err(failed("opening"))?;
        let identity = device.identity().map_err(failed("asking for the capabilities"))?;
        if !identity.captures {
            return Err(OpenError::NotACamera { path: path.to_path_buf() });
        }
        let offers = device.offers().map_err(failed("asking for the formats"))?;
        let present = device.size().map_err(failed("asking for the size"))?;
        let no_format = || OpenError::NoFormat {
            path: path.to_path_buf(),
            offered: offers.iter().map(|offer| offer.code.to_string()).collect(),
        };
        let choice = choose(&offers, options, present).ok_or_else(no_format)?;
        let size = choice.size.unwrap_or(present);
        let setting = device.set(choice.code, size, options.rate).map_err(failed("setting the format"))?;
        // Drivers change what they are asked for. What they change it to may be anything.
        let format = setting.code.format().ok_or_else(no_format)?;
        let stream = Stream::start(&device).map_err(|failure| OpenError::new(path, failure.action, failure.error))?;
        let name = format!("{} ({})", identity.card, path.display());
        Ok(Self { name, format, setting, gave_frames: false, stream, device })
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the driver granted.
    pub(super) const fn mode(&self) -> Mode {
        Mode { size: self.setting.size, format: self.format, rate: self.setting.rate }
    }

    pub(super) const fn gave_frames(&self) -> bool {
        self.gave_frames
    }

    /// Starts the stream again, with buffers of its own.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.stream.stop();
        self.stream = Stream::start(&self.device).map_err(|failure| failure.error)?;
        self.gave_frames = false;
        Ok(())
    }

    /// The next frame that is good; `None` if there is none in time. Damaged ones are skipped and counted.
    pub(super) fn frame(
        &mut self,
        timeout: Duration,
        numbers: &mut Numbers,
        counts: &mut Counts,
    ) -> io::Result<Option<Result<Frame, InvalidFrame>>> {
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            if !self.stream.wait(left)? {
                if left.is_zero() {
                    return Ok(None);
                }
                continue;
            }
            let buffer = self.stream.take()?;
            let frame = numbers.number(buffer.sequence);
            counts.lost += frame.lost;
            let Some(picture) = picture(&buffer, self.format, &self.setting) else {
                counts.damaged += 1;
                continue;
            };
            self.gave_frames = true;
            let captured_at = captured_at(buffer.captured_at, clock::now());
            let stride = if self.format.is_raw() { self.setting.stride } else { 0 };
            let made = Frame::with_stride(self.setting.size, stride, self.format, picture);
            counts.given += u64::from(made.is_ok());
            return Ok(Some(made.map(|made| made.stamped(frame.number, captured_at))));
        }
    }
}

/// A copy of the bytes that make the picture; `None` if the driver says that they are damaged, or there are too few.
fn picture(buffer: &Buffer<'_>, format: PixelFormat, setting: &Setting) -> Option<Bytes> {
    // Buffers are larger than pictures, and some drivers report the size of the buffer: what follows a raw picture is cut off,
    // and what follows a JPEG's end is left for its decoder to skip.
    let whole = if format.is_raw() {
        usize::try_from(format.picture_bytes(setting.stride, setting.size.1)).ok()?
    } else {
        buffer.data.len()
    };
    if buffer.damaged || buffer.data.is_empty() {
        return None;
    }
    buffer.data.get(..whole).map(Bytes::copy_from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::Code;

    fn cut(data: &[u8], damaged: bool, format: PixelFormat) -> Option<Bytes> {
        let setting = Setting { code: Code(*b"    "), size: (2, 2), stride: 4, rate: None };
        picture(&Buffer { data, sequence: 0, captured_at: None, damaged }, format, &setting)
    }

    #[test]
    fn what_follows_a_raw_picture_is_cut_off() {
        assert_eq!(cut(&[1; 12], false, PixelFormat::Yuyv).unwrap().len(), 8);
        assert_eq!(cut(&[1; 12], false, PixelFormat::Nv12).unwrap().len(), 12);
        assert_eq!(cut(&[1; 12], false, PixelFormat::Jpeg).unwrap().len(), 12);
    }

    #[test]
    fn flagged_short_and_empty_pictures_are_damaged() {
        assert_eq!(cut(&[1; 12], true, PixelFormat::Yuyv), None);
        assert_eq!(cut(&[1; 7], false, PixelFormat::Yuyv), None);
        assert_eq!(cut(&[], false, PixelFormat::Jpeg), None);
    }
}
