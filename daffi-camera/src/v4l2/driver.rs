//! The driver, by the `v4l` crate: the only file that knows it, and what contains its faults.
//!
//! - After a time-out its `next` queues a buffer twice, and the driver refuses everything from then on. Here the device is polled
//!   [first](Stream::wait), so its `next` never times out.
//! - It panics where a driver says what it does not know (names that are no UTF-8, a new colour space), and in a Drop whenever a
//!   driver refuses to stop. All calls that may are [`contained`].
//! - It lists devices in no order, and panics on unusual names in `/dev`: [`nodes`] is instead of that.
//! - It panics on unknown types of controls, which are not used here.

use std::{
    fmt, fs, io, mem,
    os::unix::ffi::OsStrExt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::io::Errno;
use v4l::{
    Format, FourCC, Fraction,
    buffer::{Flags, Type},
    capability::Flags as Capabilities,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::traits::{CaptureStream, Stream as Streaming},
    video::{Capture, capture::Parameters},
};

use super::{Code, Offer, SizeRange};
use crate::Rate;

/// The nodes of all video devices, in the order of their numbers. Not all of them capture.
pub(super) fn nodes() -> io::Result<Vec<PathBuf>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir("/dev")? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.strip_prefix("video")?.parse::<u32>().ok());
        nodes.extend(number.map(|number| (number, entry.path())));
    }
    nodes.sort_unstable();
    Ok(nodes.into_iter().map(|(_, path)| path).collect())
}

/// An open device. Any number of them may be open at a time; only one can stream.
pub(super) struct Device(v4l::Device);

/// What a device says it is.
pub(super) struct Identity {
    pub(super) card: String,
    pub(super) driver: String,
    /// Whether it gives video by mapped buffers with one plane, which is what cameras do.
    pub(super) captures: bool,
}

/// What a driver granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) code: Code,
    pub(super) size: (u32, u32),
    /// From one row of the first plane to the next, in bytes. It has no meaning if the picture is compressed.
    pub(super) stride: u32,
    pub(super) rate: Option<Rate>,
}

impl Device {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(io::ErrorKind::NotFound.into());
        }
        contained(|| v4l::Device::with_path(path)).map(Self)
    }

    pub(super) fn identity(&self) -> io::Result<Identity> {
        let it = contained(|| self.0.query_caps())?;
        let captures = it.capabilities.contains(Capabilities::VIDEO_CAPTURE | Capabilities::STREAMING);
        Ok(Identity { card: it.card, driver: it.driver, captures })
    }

    pub(super) fn offers(&self) -> io::Result<Vec<Offer>> {
        let codes = contained(|| self.0.enum_formats())?.into_iter().map(|format| Code(format.fourcc.repr));
        Ok(codes.map(|code| Offer { code, format: code.format(), sizes: self.sizes(code) }).collect())
    }

    /// The present size.
    pub(super) fn size(&self) -> io::Result<(u32, u32)> {
        contained(|| self.0.format()).map(|format| (format.width, format.height))
    }

    /// Asks for that, and returns what is granted.
    pub(super) fn set(&self, code: Code, (width, height): (u32, u32), rate: Option<Rate>) -> io::Result<Setting> {
        let granted = contained(|| self.0.set_format(&Format::new(width, height, FourCC::new(&code.0))))?;
        if let Some((frames, seconds)) = rate.map(Rate::fraction) {
            // Drivers without rates refuse this. What is read back tells what came of it.
            let parameters = Parameters::new(Fraction::new(seconds, frames));
            let _ = contained(|| self.0.set_params(&parameters));
        }
        let (code, size) = (Code(granted.fourcc.repr), (granted.width, granted.height));
        let rows = code.format().map_or(0, |format| format.row_bytes(granted.width));
        // Some drivers say nothing where there is no padding. A row that does not fit an u32 is refused by the frame.
        let stride = if granted.stride == 0 { u32::try_from(rows).unwrap_or(u32::MAX) } else { granted.stride };
        Ok(Setting { code, size, stride, rate: self.rate() })
    }

    fn rate(&self) -> Option<Rate> {
        contained(|| self.0.params()).ok().and_then(|parameters| rate(parameters.interval))
    }

    fn sizes(&self, code: Code) -> Vec<SizeRange> {
        // There may be many, and nobody asks for what is not understood.
        let sizes = if code.format().is_some() {
            contained(|| self.0.enum_framesizes(FourCC::new(&code.0)))
        } else {
            return Vec::new();
        };
        let ranges = sizes.unwrap_or_default().into_iter().map(|size| match size.size {
            FrameSizeEnum::Discrete(size) => ((size.width, size.height), (size.width, size.height)),
            FrameSizeEnum::Stepwise(range) => {
                ((range.min_width, range.min_height), (range.max_width, range.max_height))
            }
        });
        ranges.map(|(smallest, largest)| SizeRange { smallest, largest, rates: self.rates(code, largest) }).collect()
    }

    fn rates(&self, code: Code, (width, height): (u32, u32)) -> Vec<Rate> {
        let intervals = contained(|| self.0.enum_frameintervals(FourCC::new(&code.0), width, height));
        let ends = intervals.unwrap_or_default().into_iter().flat_map(|interval| match interval.interval {
            FrameIntervalEnum::Discrete(interval) => vec![interval],
            FrameIntervalEnum::Stepwise(range) => vec![range.min, range.max],
        });
        ends.filter_map(rate).collect()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.0.handle().fd()).finish()
    }
}

/// A stream of frames from a device.
pub(super) struct Stream(Option<v4l::io::mmap::Stream<'static>>);

/// Why a stream did not start.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) action: &'static str,
    pub(super) error: io::Error,
}

/// What the driver filled, and what it says of it.
pub(super) struct Buffer<'a> {
    pub(super) data: &'a [u8],
    pub(super) sequence: u32,
    /// By the monotonic clock; none if the driver stamps with another one.
    pub(super) captured_at: Option<Duration>,
    pub(super) damaged: bool,
}

/// How many buffers are asked for: one is here, the others are the driver's. Three of those let it go on while a frame is late.
const BUFFERS: u32 = 4;
/// The most buffers that a driver has (VIDEO_MAX_FRAME).
const MAX_BUFFERS: usize = 32;
/// What `poll` calls readable (POLLIN).
const READABLE: i16 = 1;

impl Stream {
    /// Gets buffers and starts to stream.
    pub(super) fn start(device: &Device) -> Result<Self, Failure> {
        let failed = |action| move |error| Failure { action, error };
        let stream = contained(|| v4l::io::mmap::Stream::with_buffers(&device.0, Type::VideoCapture, BUFFERS));
        let mut this = Self(Some(stream.map_err(failed("getting buffers"))?));
        let stream = this.0.as_mut().ok_or_else(|| failed("getting buffers")(stopped()))?;
        // Buffer 0 counts as the one that is here; `take` queues it. The driver chose how many there are, and does not know the next.
        for index in 1..MAX_BUFFERS {
            match CaptureStream::queue(stream, index) {
                Err(error) if index > 1 && is(&error, Errno::INVAL) => break,
                queued => queued.map_err(failed("queueing a buffer"))?,
            }
        }
        // Only `next` may time out, and it is not called before there is something.
        stream.set_timeout(Duration::from_secs(1));
        stream.start().map_err(failed("starting the stream"))?;
        Ok(this)
    }

    /// Waits until `take` has something to take, a frame or an error. Returns false if there is nothing in time; it may be early.
    pub(super) fn wait(&self, time: Duration) -> io::Result<bool> {
        let stream = self.0.as_ref().ok_or_else(stopped)?;
        // Rounded up: what is left at the end is no time to be busy.
        let millis = i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        match contained(|| stream.handle().poll(READABLE, millis)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            polled => polled.map(|ready| ready > 0),
        }
    }

    /// The next frame. The one before it is given back to the driver. After an error the stream has to be started again.
    pub(super) fn take(&mut self) -> io::Result<Buffer<'_>> {
        let stream = self.0.as_mut().ok_or_else(stopped)?;
        let (mapped, meta) = contained(|| CaptureStream::next(stream))?;
        let used = usize::try_from(meta.bytesused).map_or(mapped.len(), |used| used.min(mapped.len()));
        let stamp = meta.timestamp;
        let monotonic = meta.flags & Flags::TIMESTAMP_MASK == Flags::TIMESTAMP_MONOTONIC;
        let since_boot = u64::try_from(stamp.sec).ok().zip(u64::try_from(stamp.usec).ok());
        Ok(Buffer {
            data: &mapped[..used],
            sequence: meta.sequence,
            captured_at: since_boot
                .filter(|_| monotonic)
                .and_then(|(secs, micros)| Duration::from_secs(secs).checked_add(Duration::from_micros(micros))),
            damaged: meta.flags.contains(Flags::ERROR),
        })
    }

    /// Stops, and gives the buffers back. Every other call fails from then on.
    pub(super) fn stop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
        // Its Drop stops too. Should the driver refuse that, it panics, and if the driver then refuses to take back the buffers,
        // it panics again, which aborts the process. So it is dropped only if it can stop.
        match contained(|| stream.stop()) {
            Err(error) if !is(&error, Errno::NODEV) => {
                tracing::warn!("a camera's driver does not stop its stream, which is left as it is: {error}");
                mem::forget(stream);
            }
            _ => {
                let dropped = contained(|| {
                    drop(stream);
                    Ok(())
                });
                if let Err(error) = dropped {
                    tracing::warn!("a camera's driver does not take back its buffers before it is closed: {error}");
                }
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.0.is_some()).finish()
    }
}

/// Calls the `v4l` crate, and makes an error of its panics.
fn contained<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Nothing of it is used after a panic that could have been left half done: it reads answers, or is being dropped.
    panic::catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(io::Error::other("the v4l crate does not understand what the driver says")))
}

fn stopped() -> io::Error {
    io::Error::other("the stream was stopped")
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn rate(interval: Fraction) -> Option<Rate> {
    Rate::new(interval.denominator, interval.numerator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = contained(|| -> io::Result<()> { panic!("on purpose") }).unwrap_err();
        assert!(error.to_string().contains("does not understand"), "{error}");
    }

    #[test]
    fn what_is_no_camera_is_told_by_the_system() {
        assert_eq!(Device::open(Path::new("/dev/no\0video")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Device::open(Path::new("/dev/no-video")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let null = Device::open(Path::new("/dev/null")).unwrap();
        assert!(is(&null.identity().err().unwrap(), Errno::NOTTY));
    }
}
