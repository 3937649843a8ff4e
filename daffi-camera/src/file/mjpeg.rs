//! Motion JPEG as it comes from a camera or from `ffmpeg -f mjpeg`: JPEGs, and nothing that says where each begins.
//!
//! An end-of-image marker is no proof of the end, since thumbnails have one too. So the segments of each JPEG are walked by their
//! lengths, and only its scans are searched.

use std::io::{self, BufRead, Read};

use super::{FrameError, MAX_FRAME_BYTES};
use crate::{Frame, PixelFormat, codec};

/// What a JPEG begins with: start of image, and the first byte of the next marker.
pub(super) const MAGIC: &[u8] = &[0xFF, START, 0xFF];

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;

/// Reads the frames of a stream of JPEGs, whatever it comes from.
///
/// What stands between them is passed over. A JPEG that breaks off where the next one begins, or whose header makes no sense, is
/// left out and [counted](Self::damaged); one that breaks off within its header may take the next one along. JPEGs are split here
/// and not decoded: what they show may be damaged.
pub struct MjpegReader<R> {
    input: R,
    damaged: u64,
    limit: usize,
}

impl<R: BufRead> MjpegReader<R> {
    /// Reads nothing yet.
    pub const fn new(input: R) -> Self {
        Self { input, damaged: 0, limit: MAX_FRAME_BYTES }
    }

    /// How many JPEGs were left out so far, since they are damaged.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Blocks until the next frame is there; none if no further JPEG begins in the stream. After an error there is nothing to
    /// go on with.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; the stream may end within its last JPEG, and a JPEG may be longer than [`MAX_FRAME_BYTES`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(bytes) = self.next_jpeg()? {
            if let Some(size) = codec::jpeg::size(&bytes) {
                return Ok(Some(Frame::new(size, PixelFormat::Jpeg, bytes)?));
            }
            self.damaged += 1;
        }
        Ok(None)
    }

    fn next_jpeg(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        while self.find_start()? {
            let mut jpeg = Jpeg { input: &mut self.input, bytes: Vec::new(), limit: self.limit };
            loop {
                jpeg.begin();
                match jpeg.read_on() {
                    Ok(()) => return Ok(Some(jpeg.bytes)),
                    Err(Stop::Error(error)) => return Err(error),
                    // Two bytes that look like a start are found in any garbage.
                    Err(Stop::NoMarker) if jpeg.is_empty() => break,
                    Err(Stop::NoMarker) => {
                        self.damaged += 1;
                        break;
                    }
                    Err(Stop::NextStart) => self.damaged += u64::from(!jpeg.is_empty()),
                }
            }
        }
        Ok(None)
    }

    /// Reads to the end of the next start-of-image marker; `false` if there is none.
    fn find_start(&mut self) -> io::Result<bool> {
        loop {
            self.input.skip_until(0xFF)?;
            // A marker may have any number of 0xFF.
            let mut code = Some(0xFF);
            while code == Some(0xFF) {
                code = read_byte(&mut self.input)?;
            }
            match code {
                Some(START) => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }
}

/// A JPEG that is being read.
struct Jpeg<'a, R> {
    input: &'a mut R,
    bytes: Vec<u8>,
    limit: usize,
}

/// Why the reading of a JPEG stopped before its end.
enum Stop {
    /// Here should be a marker, or the length of a segment, and is not.
    NoMarker,
    /// Here begins another one.
    NextStart,
    Error(FrameError),
}

impl<R: BufRead> Jpeg<'_, R> {
    /// Forgets what was read; a start was just found.
    fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.extend([0xFF, START]);
    }

    /// Whether no segment came after the start: there is another marker at most.
    const fn is_empty(&self) -> bool {
        self.bytes.len() <= 4
    }

    /// Reads to the end of the JPEG.
    fn read_on(&mut self) -> Result<(), Stop> {
        let mut in_scan = false;
        loop {
            let code = if in_scan { self.marker_after_scan()? } else { self.marker()? };
            match code {
                END => return Ok(()),
                START => return Err(Stop::NextStart),
                // Restart markers and TEM have no segment.
                0xD0..=0xD7 | 0x01 => {}
                _ => self.segment()?,
            }
            in_scan = code == SCAN;
        }
    }

    /// Reads the marker that is to stand here, and gives its second byte.
    fn marker(&mut self) -> Result<u8, Stop> {
        if self.byte()? != 0xFF {
            return Err(Stop::NoMarker);
        }
        match self.code()? {
            0x00 => Err(Stop::NoMarker),
            code => Ok(code),
        }
    }

    /// Reads a scan and the marker that follows it. 0xFF is data in it if a zero follows, and restart markers are part of it.
    fn marker_after_scan(&mut self) -> Result<u8, Stop> {
        loop {
            let room = self.room();
            self.input.by_ref().take(room).read_until(0xFF, &mut self.bytes)?;
            if self.bytes.last() != Some(&0xFF) {
                return Err(self.ended());
            }
            match self.code()? {
                0x00 | 0xD0..=0xD7 => {}
                code => return Ok(code),
            }
        }
    }

    /// Reads what follows a marker's 0xFF. Any number of them is allowed.
    fn code(&mut self) -> Result<u8, Stop> {
        loop {
            match self.byte()? {
                0xFF => {}
                code => return Ok(code),
            }
        }
    }

    /// Reads a length and as many bytes; the length counts itself.
    fn segment(&mut self) -> Result<(), Stop> {
        let length = u16::from_be_bytes([self.byte()?, self.byte()?]);
        let rest = u64::from(length.checked_sub(2).ok_or(Stop::NoMarker)?);
        let room = self.room();
        let read = self.input.by_ref().take(rest.min(room)).read_to_end(&mut self.bytes)?;
        if read as u64 == rest { Ok(()) } else { Err(self.ended()) }
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = if self.room() == 0 { None } else { read_byte(self.input)? };
        self.bytes.extend(byte);
        byte.ok_or_else(|| self.ended())
    }

    /// How many bytes more it may have.
    const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.bytes.len()) as u64
    }

    /// Fewer bytes came than were asked for.
    const fn ended(&self) -> Stop {
        Stop::Error(if self.room() == 0 { FrameError::TooLong } else { FrameError::Truncated })
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Error(FrameError::Read(error))
    }
}

fn read_byte(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    input.bytes().next().transpose()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use jpeg_encoder::{ColorType, Encoder};

    use super::*;

    /// A JPEG of noise, so that its scan has all kinds of bytes.
    fn jpeg(seed: u32, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut state = seed;
        let pixels: Vec<u8> = (0..32 * 16 * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 90);
        set(&mut encoder);
        encoder.encode(&pixels, 32, 16, ColorType::Rgb).unwrap();
        bytes
    }

    fn plain(seed: u32) -> Vec<u8> {
        jpeg(seed, |_| {})
    }

    /// The frames, how many were damaged, and what came at the end.
    fn drain<R: BufRead>(mut reader: MjpegReader<R>) -> (Vec<Vec<u8>>, u64, Option<FrameError>) {
        let mut frames = Vec::new();
        let error = loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame.data().to_vec()),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            assert!(frames.len() < 100, "no end");
        };
        (frames, reader.damaged(), error)
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64, Option<FrameError>) {
        // Pieces of three bytes: everything is cut somewhere.
        drain(MjpegReader::new(BufReader::with_capacity(3, bytes)))
    }

    #[test]
    fn frames_have_the_size_of_their_header() {
        let bytes = plain(1);
        let frame = MjpegReader::new(&bytes[..]).next_frame().unwrap().unwrap();
        assert_eq!((frame.size(), frame.format(), frame.data()), ((32, 16), PixelFormat::Jpeg, &bytes.into()));
    }

    #[test]
    fn splits_every_kind_of_jpeg() {
        let thumbnail = [b"Exif\0\0", &plain(9)[..], &plain(8)].concat();
        let frames = [
            plain(1),
            jpeg(2, |encoder| encoder.set_restart_interval(1)),
            jpeg(3, |encoder| encoder.set_progressive(true)),
            jpeg(4, |encoder| encoder.add_app_segment(1, thumbnail).unwrap()),
            jpeg(5, |encoder| encoder.add_app_segment(9, vec![0xFF, END, 0xFF, START, 0xFF, SCAN]).unwrap()),
            plain(6),
        ];
        assert!(frames[1].windows(2).any(|pair| pair == [0xFF, 0xD3]), "there are restart markers");
        assert!(frames[2].windows(2).filter(|pair| *pair == [0xFF, SCAN]).count() > 1, "there are several scans");
        let (read, damaged, error) = read(&frames.concat());
        assert!(read == frames && damaged == 0 && error.is_none(), "{} frames, {damaged}, {error:?}", read.len());
    }

    #[test]
    fn passes_over_what_stands_between() {
        let frames: Vec<_> = (1..7).map(plain).collect();
        let padding: [&[u8]; 7] = [
            b"",
            &[0; 500],
            &[0xFF; 5],
            b"--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
            // Starts that are none.
            &[0xFF, START, 0x00, 0xFF, START, 0xFF, 0x00, 0xFF, START],
            &[0xFF, END, 0xFF, END],
            &[0x12, 0xFF],
        ];
        let bytes: Vec<u8> =
            padding.iter().zip(frames.iter().chain([&vec![]])).flat_map(|(p, f)| [p, &f[..]].concat()).collect();
        let (read, damaged, error) = read(&bytes);
        assert!(read == frames && damaged == 0 && error.is_none(), "{} frames, {damaged}, {error:?}", read.len());
    }

    #[test]
    fn a_damaged_frame_costs_no_other() {
        let (good, mut broken) = (plain(1), plain(2));
        let cut = &plain(3)[..broken.len() - 100];
        // The length of the first segment.
        broken[4..6].copy_from_slice(&[0, 0]);
        let mut headless = plain(4);
        let frame_header = headless.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        headless[frame_header + 1] = 0xE5;
        let (frames, damaged, error) = read(&[cut, &good, &broken, &good, &headless, &good].concat());
        assert!(frames == [&good[..]; 3] && error.is_none(), "{} frames, {error:?}", frames.len());
        assert_eq!(damaged, 3);
    }

    #[test]
    fn a_missing_end_is_an_error() {
        let (first, second) = (plain(1), plain(2));
        let bytes = [&first[..], &second].concat();
        for cut in 0..=bytes.len() {
            let (frames, damaged, error) = read(&bytes[..cut]);
            assert_eq!((frames.len(), damaged), (usize::from(cut >= first.len()) + cut / bytes.len(), 0), "at {cut}");
            // Not before there is a start.
            let whole = [0, 1, first.len(), first.len() + 1, bytes.len()].contains(&cut);
            match error {
                None => assert!(whole, "at {cut}"),
                Some(error) => assert!(matches!(error, FrameError::Truncated) && !whole, "at {cut}: {error}"),
            }
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let bytes = plain(1);
        for limit in [0, 1, 2, 3, 10, 300, bytes.len() - 1] {
            let reader = MjpegReader { limit, ..MjpegReader::new(&bytes[..]) };
            assert!(matches!(drain(reader).2, Some(FrameError::TooLong)), "{limit}");
        }
        let reader = MjpegReader { limit: bytes.len(), ..MjpegReader::new(&bytes[..]) };
        assert_eq!(drain(reader).0.len(), 1);
    }

    #[test]
    fn no_byte_makes_it_panic_or_run_on() {
        let (first, second) = (plain(1), plain(2));
        let bytes = [&first[..], &second].concat();
        let scan = first.windows(2).position(|pair| pair == [0xFF, SCAN]).unwrap();
        for at in (0..scan + 20).chain((scan + 20..first.len() + 4).step_by(7)) {
            for byte in [0x00, 0xD0, START, END, SCAN, 0xFF, bytes[at] ^ 0x10] {
                let mut bytes = bytes.clone();
                bytes[at] = byte;
                let (frames, damaged, error) = drain(MjpegReader::new(&bytes[..]));
                let seen = frames.len() as u64 + damaged + u64::from(error.is_some());
                assert!((1..=4).contains(&seen), "{byte:x} at {at}: {seen}");
            }
        }
    }
}
