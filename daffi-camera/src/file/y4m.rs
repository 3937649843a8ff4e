//! YUV4MPEG2, the format of raw video with a header: `.y4m` files, and what ffmpeg is asked for.
//!
//! The `y4m` crate reads the frames. It takes the header's numbers on trust and reports a missing end like an end, so both are
//! looked after here.

use std::{
    array,
    io::{self, BufRead, Chain, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{FrameError, MAX_FRAME_BYTES};
use crate::{Frame, MAX_SIDE, Mode, PixelFormat, Rate};

/// What a file in this format begins with.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// The longest header in bytes, its line break included: that of the `y4m` crate.
const MAX_HEADER: u64 = 1024;

/// Reads the frames of a y4m stream, whatever it comes from.
///
/// Layouts are 4:2:0 (`420`, `420jpeg`, `420paldv`, `420mpeg2`, or none named), `422`, `444` and `mono`, of 8 bits. Samples of
/// the full range (`XCOLORRANGE=FULL`) are brought to the limited one, which is that of a [`PixelFormat`]. Interlaced frames are
/// given as they are.
pub struct Y4mReader<R: Read> {
    decoder: y4m::Decoder<Counted<Chain<Cursor<Vec<u8>>, R>>>,
    read: Arc<AtomicU64>,
    mode: Mode,
    range: Range,
}

/// What a stream begins with is not the header of a y4m stream that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The input gave an error.
    #[error("its header could not be read: {0}")]
    Read(#[source] io::Error),
    /// The input ended before the header did.
    #[error("it ends before its y4m header does")]
    Truncated,
    /// This is not y4m, or something else is where a number should be.
    #[error("it has no valid y4m header: {0}")]
    Malformed(&'static str),
    /// A layout other than those listed at [`Y4mReader`], or more than 8 bits for a sample.
    #[error(
        "its colour space is {name}; convert it to 8-bit 4:2:0, such as by `ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m`"
    )]
    ColourSpace {
        /// As the header has it.
        name: String,
    },
    /// A side is zero or longer than [`MAX_SIDE`], or a frame has more than [`MAX_FRAME_BYTES`].
    #[error(
        "its frames are said to have {width}x{height} pixels; both sides are to be 1 to {MAX_SIDE}, \
        and a frame is to have {} MiB at most", MAX_FRAME_BYTES >> 20
    )]
    Size {
        /// The width in pixels.
        width: u64,
        /// The height in pixels.
        height: u64,
    },
}

impl<R: BufRead> Y4mReader<R> {
    /// Reads the header, and no byte of what follows it.
    ///
    /// # Errors
    ///
    /// [`HeaderError`].
    pub fn new(mut input: R) -> Result<Self, HeaderError> {
        let mut line = Vec::new();
        input.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line).map_err(HeaderError::Read)?;
        let header = Header::parse(&line)?;

        let read = Arc::new(AtomicU64::new(0));
        let input = Counted { input: Cursor::new(line).chain(input), read: Arc::clone(&read) };
        let limits = y4m::Limits { bytes: MAX_FRAME_BYTES };
        let decoder = y4m::Decoder::new_with_limits(input, limits).map_err(|error| match error {
            y4m::Error::OutOfMemory => header.bad_size(),
            y4m::Error::IoError(error) => HeaderError::Read(error),
            _ => HeaderError::Malformed("its rate or pixel aspect is no fraction"),
        })?;

        let y4m::Ratio { num, den } = decoder.get_framerate();
        let rate = u32::try_from(num).ok().zip(u32::try_from(den).ok()).and_then(|(num, den)| Rate::new(num, den));
        Ok(Self {
            decoder,
            read,
            mode: Mode { size: header.size()?, format: header.format, rate },
            range: header.range,
        })
    }

    /// What the header says of the frames. There is no rate if it is said to be unknown (`F0:0`).
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Blocks until the next frame is there; none if the stream ends behind the last one. After an error there is nothing to
    /// go on with.
    ///
    /// # Errors
    ///
    /// [`FrameError`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let before = self.read.load(Ordering::Relaxed);
        let frame = match self.decoder.read_frame() {
            Ok(frame) => frame,
            Err(y4m::Error::EOF) if self.read.load(Ordering::Relaxed) == before => return Ok(None),
            Err(y4m::Error::EOF) => return Err(FrameError::Truncated),
            Err(y4m::Error::IoError(error)) => return Err(FrameError::Read(error)),
            Err(_) => return Err(FrameError::Malformed("there is no y4m frame where one should begin")),
        };
        let luma = frame.get_y_plane();
        let mut data = [luma, frame.get_u_plane(), frame.get_v_plane()].concat();
        if self.range == Range::Full {
            limit_range(&mut data, luma.len());
        }
        Ok(Some(Frame::new(self.mode.size, self.mode.format, data)?))
    }
}

/// What the header says, as far as the crate does not look at it, or not well enough.
struct Header {
    width: u64,
    height: u64,
    format: PixelFormat,
    range: Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Limited,
    Full,
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let Some(parameters) = line.strip_prefix(MAGIC) else {
            let cut = MAGIC.starts_with(line);
            return Err(if cut {
                HeaderError::Truncated
            } else {
                HeaderError::Malformed("it does not begin with YUV4MPEG2")
            });
        };
        let Some((b'\n', parameters)) = parameters.split_last() else {
            let too_long = line.len() as u64 == MAX_HEADER;
            return Err(if too_long {
                HeaderError::Malformed("it has more than 1024 bytes")
            } else {
                HeaderError::Truncated
            });
        };
        let mut header = Self { width: 0, height: 0, format: PixelFormat::I420, range: Range::Limited };
        for parameter in parameters.split(|&byte| byte == b' ') {
            match parameter {
                [b'W', width @ ..] => header.width = number(width)?,
                [b'H', height @ ..] => header.height = number(height)?,
                [b'C', colour_space @ ..] => header.format = format(colour_space)?,
                b"XCOLORRANGE=FULL" => header.range = Range::Full,
                _ => {}
            }
        }
        header.size()?;
        Ok(header)
    }

    /// The size, if it is one: the crate multiplies the sides without a look at them.
    fn size(&self) -> Result<(u32, u32), HeaderError> {
        let side = |side| u32::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let (Some(width), Some(height)) = (side(self.width), side(self.height)) else {
            return Err(self.bad_size());
        };
        if self.width * self.height > MAX_FRAME_BYTES as u64 {
            return Err(self.bad_size());
        }
        Ok((width, height))
    }

    const fn bad_size(&self) -> HeaderError {
        HeaderError::Size { width: self.width, height: self.height }
    }
}

fn number(digits: &[u8]) -> Result<u64, HeaderError> {
    let digits = str::from_utf8(digits).ok();
    digits.and_then(|digits| digits.parse().ok()).ok_or(HeaderError::Malformed("its width or height is no number"))
}

fn format(colour_space: &[u8]) -> Result<PixelFormat, HeaderError> {
    match colour_space {
        b"420" | b"420jpeg" | b"420paldv" | b"420mpeg2" => Ok(PixelFormat::I420),
        b"422" => Ok(PixelFormat::I422),
        b"444" => Ok(PixelFormat::I444),
        b"mono" => Ok(PixelFormat::Gray8),
        other => Err(HeaderError::ColourSpace { name: other.escape_ascii().to_string() }),
    }
}

/// From 0 to 255 to BT.601's ranges: 16 to 235 for luma, which comes first, 16 to 240 for the differences.
fn limit_range(samples: &mut [u8], luma: usize) {
    // It gives 240 at most.
    let table = |steps: usize| -> [u8; 256] { array::from_fn(|sample| (16 + (sample * steps + 127) / 255) as u8) };
    let (luma, differences) = samples.split_at_mut(luma);
    for (samples, table) in [(luma, table(219)), (differences, table(224))] {
        for sample in samples {
            *sample = table[usize::from(*sample)];
        }
    }
}

/// Counts what is read: whether the input ended within a frame cannot be told otherwise.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The crate reads its headers by plain calls, which a signal may interrupt.
        let count = loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of these bytes; so many that no frame of a test has more.
    fn open(header: &str, frames: &[&[u8]]) -> Result<Y4mReader<Cursor<Vec<u8>>>, HeaderError> {
        Y4mReader::new(Cursor::new([header.as_bytes(), b"\n", &frames.concat()].concat()))
    }

    #[test]
    fn reads_every_layout() {
        let layouts = [
            ("", PixelFormat::I420, 9 + 4 + 4),
            (" C420", PixelFormat::I420, 17),
            (" C420jpeg XYSCSS=420JPEG", PixelFormat::I420, 17),
            (" C420paldv", PixelFormat::I420, 17),
            (" C420mpeg2", PixelFormat::I420, 17),
            (" C422", PixelFormat::I422, 9 + 6 + 6),
            (" C444", PixelFormat::I444, 27),
            (" Cmono", PixelFormat::Gray8, 9),
        ];
        for (colour_space, format, length) in layouts {
            let data: Vec<u8> = (0..length).collect();
            let header = format!("YUV4MPEG2 W3 H3 F30000:1001 Ip A1:1{colour_space}");
            let mut reader = open(&header, &[b"FRAME\n", &data, b"FRAME Ip\n", &data]).unwrap();
            assert_eq!(reader.mode(), Mode { size: (3, 3), format, rate: Rate::new(30_000, 1_001) });
            for _ in 0..2 {
                assert_eq!(reader.next_frame().unwrap().unwrap(), Frame::new((3, 3), format, data.clone()).unwrap());
            }
            assert!(reader.next_frame().unwrap().is_none());
        }
    }

    #[test]
    fn the_full_range_becomes_the_limited_one() {
        let frame = [b"FRAME\n" as &[u8], &[0, 255, 128, 64], &[0], &[255]];
        let mut reader = open("YUV4MPEG2 W2 H2 F25:1 C420jpeg XCOLORRANGE=FULL", &frame).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().data()[..], [16, 235, 126, 71, 16, 240]);
        let mut reader = open("YUV4MPEG2 W2 H2 F25:1 C420jpeg XCOLORRANGE=LIMITED", &frame).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().data()[..], [0, 255, 128, 64, 0, 255]);
    }

    #[test]
    fn a_rate_may_be_unknown() {
        assert_eq!(open("YUV4MPEG2 W2 H2 F0:0", &[]).unwrap().mode().rate, None);
        assert_eq!(open("YUV4MPEG2 W2 H2 F99999999999:1", &[]).unwrap().mode().rate, None);
    }

    fn refused(header: &str) -> String {
        open(header, &[]).err().expect(header).to_string()
    }

    #[test]
    fn other_colour_spaces_are_refused_by_name() {
        for name in ["420p10", "422p12", "mono12", "411", "444alpha", "mono16"] {
            let message = refused(&format!("YUV4MPEG2 W2 H2 F25:1 C{name}"));
            assert!(message.contains(&format!("is {name};")), "{message}");
        }
        assert!(refused("YUV4MPEG2 W2 H2 C\x1b[31m").contains(r"is \x1b[31m;"), "nothing that a terminal obeys");
    }

    #[test]
    fn a_header_that_asks_for_too_much_is_refused_before_anything_is_allocated() {
        for size in [
            "W65536 H1",
            "W1 H65536",
            "W65535 H65535",
            "W18446744073709551615 H2",
            "W4294967297 H4294967297",
            "W0 H2",
            "W2",
            "",
            // 1.5 times 100 Mi: what the crate refuses.
            "W10240 H10240",
        ] {
            let error = open(&format!("YUV4MPEG2 {size} F25:1"), &[]).err().expect(size);
            assert!(matches!(error, HeaderError::Size { .. }), "{size}: {error}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for header in
            ["YUV4MPEG2 Wtwo H2", "YUV4MPEG2 W-2 H2", "YUV4MPEG2 W2 H2 F25", "YUV4MPEG2 W2 H2 A1:x", "JUNK W2 H2"]
        {
            let error = open(header, &[]).err().expect(header);
            assert!(matches!(error, HeaderError::Malformed(_)), "{header}: {error}");
        }
        let endless = format!("YUV4MPEG2 W2 H2 X{}", "x".repeat(2_000));
        assert!(refused(&endless).contains("more than 1024 bytes"));
        let cut = Y4mReader::new(&b"YUV4MPEG2 W2 H2"[..]);
        assert!(matches!(cut, Err(HeaderError::Truncated)));
    }

    const SMALL: &[u8] = b"YUV4MPEG2 W2 H2 F25:1\nFRAME\nabcdefFRAME I\nghijkl";

    /// How many frames there are, and what comes then.
    fn drain(bytes: &[u8]) -> Result<(usize, Option<FrameError>), HeaderError> {
        let mut reader = Y4mReader::new(bytes)?;
        // Each frame takes some bytes at least.
        for count in 0..=bytes.len() {
            match reader.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok((count, None)),
                Err(error) => return Ok((count, Some(error))),
            }
        }
        panic!("more frames than bytes");
    }

    #[test]
    fn a_missing_end_is_told_from_the_end() {
        let ends = [22, 22 + 12, SMALL.len()];
        for cut in 22..=SMALL.len() {
            let (count, error) = drain(&SMALL[..cut]).unwrap();
            assert_eq!(count, ends.iter().filter(|&&end| end <= cut).count() - 1, "at {cut}");
            match error {
                None => assert!(ends.contains(&cut), "at {cut}"),
                Some(FrameError::Truncated) => assert!(!ends.contains(&cut), "at {cut}"),
                Some(error) => panic!("at {cut}: {error}"),
            }
        }
        assert!((0..22).all(|cut| drain(&SMALL[..cut]).is_err()));
    }

    #[test]
    fn no_byte_makes_it_panic() {
        for at in 0..SMALL.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = SMALL.to_vec();
                bytes[at] = byte;
                let frames = drain(&bytes).map_or(0, |(count, _)| count);
                assert!(frames <= 4, "{frames} frames with {byte} at {at}");
            }
        }
    }
}
