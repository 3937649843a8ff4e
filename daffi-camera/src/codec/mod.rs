//! How frames are packed for the way: not at all, or as JPEG, or with the feature `h264`, as H.264.

#[cfg(feature = "h264")]
mod h264;
pub(crate) mod jpeg;

#[cfg(feature = "h264")]
pub use h264::H264Error;
use std::{fmt, str::FromStr};

pub use jpeg::{InvalidQuality, Quality};

use crate::{ConvertError, Frame, PixelFormat, Rate, convert::convert};

/// The largest picture that is decoded, in pixels: 8192 times 8192. The header of a few bytes could otherwise claim gigabytes.
pub const MAX_PIXELS: u64 = 1 << 26;

/// What H.264 is kept to if nothing is said, in bits per second: good for 1280x720.
#[cfg(feature = "h264")]
const DEFAULT_BITRATE: u32 = 3_000_000;

/// Below this openh264 encodes nothing, in bits per second.
const MIN_BITRATE: u32 = 10_000;

/// How frames are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all: most bytes, least time, and every bit of the picture.
    Raw,
    /// Each frame for itself, as JPEG.
    Jpeg(Quality),
    /// Each frame as what differs from those before it, at this many bits per second. A lost frame spoils those up to the next
    /// [sync frame](Frame::is_sync).
    #[cfg(feature = "h264")]
    H264 {
        /// Bits per second.
        bitrate: u32,
    },
}

impl Codec {
    /// What frames are that are packed this way; none for raw ones, which have many layouts.
    pub const fn format(self) -> Option<PixelFormat> {
        match self {
            Self::Raw => None,
            Self::Jpeg(_) => Some(PixelFormat::Jpeg),
            #[cfg(feature = "h264")]
            Self::H264 { .. } => Some(PixelFormat::H264),
        }
    }
}

impl FromStr for Codec {
    type Err = InvalidCodec;

    /// Reads `raw`, `jpeg`, `jpeg:QUALITY`, `h264` or `h264:BITS_PER_SECOND`.
    fn from_str(text: &str) -> Result<Self, InvalidCodec> {
        let (name, detail) = text.split_once(':').map_or((text, None), |(name, detail)| (name, Some(detail)));
        match (name, detail) {
            ("raw", None) => Ok(Self::Raw),
            ("jpeg", None) => Ok(Self::Jpeg(Quality::default())),
            ("jpeg", Some(quality)) => Ok(Self::Jpeg(quality.parse()?)),
            #[cfg(feature = "h264")]
            ("h264", None) => Ok(Self::H264 { bitrate: DEFAULT_BITRATE }),
            #[cfg(feature = "h264")]
            ("h264", Some(bitrate)) => {
                let bitrate =
                    bitrate.parse().ok().filter(|bitrate| *bitrate >= MIN_BITRATE).ok_or(InvalidCodec::Bitrate)?;
                Ok(Self::H264 { bitrate })
            }
            #[cfg(not(feature = "h264"))]
            ("h264", _) => Err(InvalidCodec::NotBuilt),
            _ => Err(InvalidCodec::Unknown),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => f.write_str("raw"),
            Self::Jpeg(quality) => write!(f, "jpeg:{quality}"),
            #[cfg(feature = "h264")]
            Self::H264 { bitrate } => write!(f, "h264:{bitrate}"),
        }
    }
}

/// What was given is no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCodec {
    /// There is none of that name.
    #[error("a codec is `raw`, `jpeg`, `jpeg:QUALITY`, `h264` or `h264:BITS_PER_SECOND`")]
    Unknown,
    /// The JPEG quality is out of range.
    #[error(transparent)]
    Quality(#[from] InvalidQuality),
    /// The bit rate is no number, or too low for any picture.
    #[error("a bit rate is given in bits per second, {MIN_BITRATE} at least, such as 3000000")]
    Bitrate,
    /// The program was built without it.
    #[error("this program was built without H.264: build it with `--features h264`")]
    NotBuilt,
}

/// A frame could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The layout of its pixels could not be changed.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The encoder failed.
    #[error("could not encode frame {sequence}: {reason}")]
    Encode {
        /// The frame's number.
        sequence: u64,
        /// What the encoder said.
        reason: String,
    },
    /// What came is damaged.
    #[error("could not decode frame {sequence}: {reason}")]
    Damaged {
        /// The frame's number.
        sequence: u64,
        /// What the decoder said.
        reason: String,
    },
    /// What came is larger than [`MAX_PIXELS`], or has another size than it says.
    #[error("frame {sequence} says it has {}x{} pixels, and has {}x{}; {MAX_PIXELS} are decoded at most", .says.0, .says.1, .has.0, .has.1)]
    Size {
        /// The frame's number.
        sequence: u64,
        /// What the frame says.
        says: (u32, u32),
        /// What is in it.
        has: (u32, u32),
    },
    /// A JPEG has not the bytes for as many pixels as it says: its header is damaged, or made to take the decoder's memory.
    #[error("frame {sequence} says it has {}x{} pixels, and no JPEG of {bytes} bytes has so many; it is to be sent anew", .has.0, .has.1)]
    TooFewBytes {
        /// The frame's number.
        sequence: u64,
        /// The size that it says, in pixels.
        has: (u32, u32),
        /// The bytes that it has.
        bytes: usize,
    },
    /// H.264 could not be encoded or decoded.
    #[cfg(feature = "h264")]
    #[error("frame {sequence}: {error}")]
    H264 {
        /// The frame's number.
        sequence: u64,
        /// What is wrong.
        #[source]
        error: H264Error,
    },
    /// What came is packed in a way that this program was not built to unpack.
    #[error("frame {sequence} is {format}, which this program was built without: build it with `--features h264`")]
    NotBuilt {
        /// The frame's number.
        sequence: u64,
        /// What it is.
        format: PixelFormat,
    },
}

/// Packs frames.
pub struct Encoder {
    codec: Codec,
    #[cfg(feature = "h264")]
    h264: Option<h264::H264Encoder>,
}

impl Encoder {
    /// Packs them that way. The rate at which frames will come is what a bit rate is kept by; 30 a second if none is known.
    pub fn new(codec: Codec, rate: Option<Rate>) -> Self {
        // Only what has a bit rate needs to know.
        let _ = rate;
        Self {
            codec,
            #[cfg(feature = "h264")]
            h264: match codec {
                Codec::H264 { bitrate } => Some(h264::H264Encoder::new(bitrate, rate)),
                _ => None,
            },
        }
    }

    /// The frame, packed. If it is to be raw, it stays in its layout.
    ///
    /// # Errors
    ///
    /// [`CodecError::Convert`] if it is packed already; [`CodecError::Encode`]; of H.264, `CodecError::H264`.
    pub fn encode(&mut self, frame: &Frame) -> Result<Frame, CodecError> {
        match self.codec {
            Codec::Raw if frame.format().is_raw() => Ok(frame.clone()),
            Codec::Raw => Err(ConvertError::Compressed(frame.format()).into()),
            Codec::Jpeg(quality) => jpeg::encode(frame, quality),
            #[cfg(feature = "h264")]
            Codec::H264 { bitrate } => {
                let encoder = self.h264.get_or_insert_with(|| h264::H264Encoder::new(bitrate, None));
                encoder.encode(frame).map_err(|error| CodecError::H264 { sequence: frame.sequence(), error })
            }
        }
    }

    /// Makes the next frame a [sync frame](Frame::is_sync), for somebody who joins. All are, but of H.264.
    pub const fn force_sync(&mut self) {
        #[cfg(feature = "h264")]
        if let Some(encoder) = &mut self.h264 {
            encoder.force_sync();
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({})", self.codec)
    }
}

/// Unpacks frames, however they are packed.
#[derive(Default)]
pub struct Decoder {
    #[cfg(feature = "h264")]
    h264: Option<h264::H264Decoder>,
}

impl Decoder {
    /// It unpacks every frame for itself, but for H.264, of which it is to see all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The picture as RGB, or as grey if it is grey.
    ///
    /// # Errors
    ///
    /// [`CodecError`]. After it, a H.264 stream is damaged until its next sync frame; nothing else is.
    pub fn decode(&mut self, frame: &Frame) -> Result<Frame, CodecError> {
        match frame.format() {
            PixelFormat::Rgb8 | PixelFormat::Gray8 => Ok(frame.clone()),
            PixelFormat::Jpeg => jpeg::decode(frame),
            #[cfg(feature = "h264")]
            PixelFormat::H264 => {
                let decoded = self.h264.get_or_insert_with(h264::H264Decoder::new).decode(frame);
                let picture = decoded.and_then(|picture| picture.ok_or(H264Error::OutOfStep));
                let picture = picture.map_err(|error| CodecError::H264 { sequence: frame.sequence(), error })?;
                Ok(convert(&picture, PixelFormat::Rgb8)?)
            }
            #[cfg(not(feature = "h264"))]
            PixelFormat::H264 => Err(CodecError::NotBuilt { sequence: frame.sequence(), format: PixelFormat::H264 }),
            _ => Ok(convert(frame, PixelFormat::Rgb8)?),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

/// Refuses a picture that is too large, or of another size than its frame says.
pub(crate) fn check_size(frame: &Frame, has: (u32, u32)) -> Result<(), CodecError> {
    let says = frame.size();
    if says != has || u64::from(has.0) * u64::from(has.1) > MAX_PIXELS {
        return Err(CodecError::Size { sequence: frame.sequence(), says, has });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_read_as_it_is_written() {
        for text in ["raw", "jpeg:80", "jpeg:5"] {
            assert_eq!(text.parse::<Codec>().unwrap().to_string(), text);
        }
        assert_eq!("jpeg".parse(), Ok(Codec::Jpeg(Quality::default())));
        assert_eq!("jpeg:0".parse::<Codec>(), Err(InvalidCodec::Quality(InvalidQuality)));
        for wrong in ["", "png", "raw:1"] {
            assert_eq!(wrong.parse::<Codec>(), Err(InvalidCodec::Unknown), "{wrong}");
        }
    }

    #[test]
    fn a_raw_frame_stays_as_it_is() {
        let frame = Frame::new((2, 1), PixelFormat::Yuyv, vec![16, 128, 16, 128]).unwrap();
        assert_eq!(Encoder::new(Codec::Raw, None).encode(&frame).unwrap(), frame);
        assert_eq!(Decoder::new().decode(&frame).unwrap().format(), PixelFormat::Rgb8);
    }
}
