//! H.264 by openh264.
//!
//! A frame that is not a sync frame can only be decoded after all those before it, back to one that is. The encoder makes a sync
//! frame every two seconds at least, and whenever it is told to.

mod planes;

use openh264::{
    OpenH264API,
    decoder::Decoder,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, RateControlMode, VuiConfig,
    },
    formats::YUVSource,
};

use self::planes::{codable, coded_size, cut, planes};
use crate::{ConvertError, Frame, InvalidFrame, PixelFormat, Rate};

/// The rate that an encoder reckons with if it is told none.
const USUAL_RATE: f64 = 30.0;

/// The rates that openh264 reckons with; it takes what is outside for the nearest.
const RATES: (f64, f64) = (1.0, 60.0);

/// A sync frame comes after so many seconds, and after so many frames, whichever is sooner.
const SYNC: (f64, f64) = (2.0, 60.0);

/// The longest and the shortest side of the largest picture that openh264 encodes: level 5.2.
const LARGEST: (u32, u32) = (3840, 2160);

/// The largest access unit that is decoded, in bytes: half a second at the highest bitrate of level 5.2.
const MAX_UNIT: usize = 16 << 20;

/// A frame was not encoded, or not decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum H264Error {
    /// A picture is larger than H.264 allows.
    #[error(
        "a picture of {width}x{height} pixels is too large for H.264, which takes 3840x2160 or 2160x3840; scale it down"
    )]
    TooLarge {
        /// The picture's width in pixels.
        width: u32,
        /// The picture's height in pixels.
        height: u32,
    },
    /// The frame has no bytes, or too many.
    #[error("an H.264 frame of {length} bytes cannot be decoded: it is to have 1 to {MAX_UNIT}")]
    Length {
        /// How many it has.
        length: usize,
    },
    /// The encoder refused the frame or its settings.
    #[error("openh264 could not encode the frame at {bitrate} bits/s (code {:#x})", error.native_code())]
    Encode {
        /// The bits per second that it was told to keep to.
        bitrate: u32,
        /// What it said.
        #[source]
        error: openh264::Error,
    },
    /// The encoder gave no bytes for a frame.
    #[error("openh264 gave no bytes for the frame; go on with the next one")]
    LeftOut,
    /// The bytes are no H.264, or a frame is missing before this one. Nothing is decoded until the next sync frame.
    #[error("openh264 could not decode the frame (code {:#x}); waiting for the next sync frame", error.native_code())]
    Decode {
        /// What it said.
        #[source]
        error: openh264::Error,
    },
    /// The picture in the bytes has another size than the frame says. Nothing is decoded until the next sync frame.
    #[error("a frame said to have {}x{} pixels has {}x{}", said.0, said.1, found.0, found.1)]
    Size {
        /// What the frame says.
        said: (u32, u32),
        /// What was found.
        found: (usize, usize),
    },
    /// The picture is none.
    #[error("{0}")]
    Picture(#[from] InvalidFrame),
    /// It is packed already, or its layout could not be changed.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The decoder has not seen a sync frame yet, or not since it was out of step.
    #[error("it cannot be decoded without the frames before it; waiting for the next sync frame")]
    OutOfStep,
}

/// Encodes the frames of a stream. Their size may change.
pub(super) struct H264Encoder {
    bitrate: u32,
    rate: f64,
    /// None before the first frame and after an error.
    encoder: Option<Encoder>,
    size: (u32, u32),
    force_sync: bool,
}

impl H264Encoder {
    /// It keeps to so many bits per second on average if the frames come at that rate; 30 a second if none is known.
    pub(super) fn new(bitrate: u32, rate: Option<Rate>) -> Self {
        Self { bitrate, rate: rate.map_or(USUAL_RATE, Rate::fps), encoder: None, size: (0, 0), force_sync: false }
    }

    /// Makes the next frame a sync frame, for somebody who joins or has lost one.
    pub(super) const fn force_sync(&mut self) {
        self.force_sync = true;
    }

    /// Encodes a raw frame. The result has its size, number and time. After an error, the next one is a sync frame.
    pub(super) fn encode(&mut self, frame: &Frame) -> Result<Frame, H264Error> {
        let result = self.try_encode(frame);
        if result.is_err() {
            self.encoder = None;
        }
        result
    }

    fn try_encode(&mut self, frame: &Frame) -> Result<Frame, H264Error> {
        let (width, height) = frame.size();
        if width.max(height) > LARGEST.0 || width.min(height) > LARGEST.1 {
            return Err(H264Error::TooLarge { width, height });
        }
        let picture = codable(frame)?;
        let failed = |error| H264Error::Encode { bitrate: self.bitrate, error };
        if frame.size() != self.size {
            self.encoder = None;
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let config = config(self.bitrate, self.rate);
                none.insert(Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?)
            }
        };
        self.size = frame.size();
        if self.force_sync {
            encoder.force_intra_frame();
        }
        let unit = encoder.encode(&planes(&picture)).map_err(failed)?;
        let (data, sync) = (unit.to_vec(), unit.frame_type() == FrameType::IDR);
        if data.is_empty() {
            return Err(H264Error::LeftOut);
        }
        self.force_sync &= !sync;
        Ok(frame.become_picture(Frame::new(frame.size(), PixelFormat::H264, data)?).with_sync(sync))
    }
}

fn config(bitrate: u32, rate: f64) -> EncoderConfig {
    let reckoned = rate.clamp(RATES.0, RATES.1);
    // Frames that come faster than it reckons with get the fewer bits each. openh264 has it signed.
    let bitrate = (f64::from(bitrate) * reckoned / rate).min(f64::from(i32::MAX)) as u32;
    let period = (SYNC.0 * rate).clamp(1.0, SYNC.1) as u32;
    EncoderConfig::new()
        .bitrate(BitRate::from_bps(bitrate))
        .max_frame_rate(FrameRate::from_hz(reckoned as f32))
        .rate_control_mode(RateControlMode::Bitrate)
        // A frame that it leaves out would be one that was lost. It doubts, on stderr, that it can keep to a bitrate without; it
        // does, unless the coarsest picture is too much.
        .skip_frames(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames(period))
        // 10 ms for a picture of 1280x720, where the next one takes 14.
        .complexity(Complexity::Low)
        // With one slice a frame, there is nothing for a second one to do.
        .num_threads(1)
        .vui(VuiConfig::bt601())
}

/// Decodes the frames of a stream, from the first sync frame on.
pub(super) struct H264Decoder {
    /// None as long as a sync frame is waited for.
    decoder: Option<Decoder>,
}

impl H264Decoder {
    pub(super) const fn new() -> Self {
        Self { decoder: None }
    }

    /// Decodes an H.264 frame to I420 of its size, number and time. There is no picture as long as a sync frame is waited for: at
    /// the beginning, and after an error, which is how a lost frame shows.
    pub(super) fn decode(&mut self, frame: &Frame) -> Result<Option<Frame>, H264Error> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None if !frame.is_sync() => return Ok(None),
            none => none.insert(Decoder::new().map_err(|error| H264Error::Decode { error })?),
        };
        let result = decode(decoder, frame);
        if result.is_err() {
            // Whatever state the error left behind goes with it.
            self.decoder = None;
        }
        result
    }
}

fn decode(decoder: &mut Decoder, frame: &Frame) -> Result<Option<Frame>, H264Error> {
    let length = frame.data().len();
    if !(1..=MAX_UNIT).contains(&length) {
        return Err(H264Error::Length { length });
    }
    let Some(picture) = decoder.decode(frame.data()).map_err(|error| H264Error::Decode { error })? else {
        return Ok(None);
    };
    let (size, found) = (frame.size(), picture.dimensions());
    if found != coded_size(size) {
        return Err(H264Error::Size { said: size, found });
    }
    Ok(Some(frame.become_picture(cut(&picture, size)?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A gradient that moves by two pixels a frame.
    fn gradient(size: (u32, u32), number: u64) -> Frame {
        let (width, height) = (size.0 as usize, size.1 as usize);
        let plane = |width: usize, height: usize, step: usize| {
            let at = move |x, y| (16 + (x * step + y + 2 * number as usize) % 200) as u8;
            (0..height).flat_map(move |y| (0..width).map(move |x| at(x, y)))
        };
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let differences = [1, 3].into_iter().flat_map(|step| plane(half_width, half_height, step));
        let data: Vec<u8> = plane(width, height, 1).chain(differences).collect();
        Frame::new(size, PixelFormat::I420, data).unwrap().stamped(number, Duration::from_millis(number))
    }

    fn psnr(left: &Frame, right: &Frame) -> f64 {
        assert_eq!((left.size(), left.format(), left.stride()), (right.size(), right.format(), right.stride()));
        let squares =
            left.data().iter().zip(right.data()).map(|(&left, &right)| f64::from(left.abs_diff(right)).powi(2));
        10.0 * (255.0_f64.powi(2) * left.data().len() as f64 / squares.sum::<f64>().max(1.0)).log10()
    }

    fn encoder() -> H264Encoder {
        H264Encoder::new(1_000_000, Rate::new(30, 1))
    }

    const SIZE: (u32, u32) = (96, 64);

    /// So many frames of a stream.
    fn stream(count: u64) -> Vec<Frame> {
        let mut encoder = encoder();
        (0..count).map(|number| encoder.encode(&gradient(SIZE, number)).unwrap()).collect()
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        let (mut encoder, mut decoder) = (encoder(), H264Decoder::new());
        for number in 0..20 {
            let frame = gradient(SIZE, number);
            let coded = encoder.encode(&frame).unwrap();
            assert_eq!((coded.size(), coded.format(), coded.sequence()), (SIZE, PixelFormat::H264, number));
            assert_eq!((coded.is_sync(), coded.captured_at()), (number == 0, frame.captured_at()));
            assert!(coded.data().len() < frame.data().len() / 2);
            let decoded = decoder.decode(&coded).unwrap().unwrap();
            assert_eq!((decoded.sequence(), decoded.captured_at()), (number, frame.captured_at()));
            assert!(
                decoded.is_sync() && psnr(&frame, &decoded) > 35.0,
                "frame {number}: {} dB",
                psnr(&frame, &decoded)
            );
        }
    }

    #[test]
    fn any_size_and_stride_will_do() {
        for size in [(1, 1), (2, 2), (15, 16), (16, 17), (65, 33), (3, 200)] {
            let frame = gradient(size, 3);
            let coded = encoder().encode(&frame).unwrap();
            let decoded = H264Decoder::new().decode(&coded).unwrap().unwrap();
            assert!(psnr(&frame, &decoded) > 33.0, "{size:?}: {} dB", psnr(&frame, &decoded));
        }
        // The same picture with and without padding behind its rows.
        let tight = gradient((32, 18), 0);
        let pad = |data: &[u8], width, stride| -> Vec<u8> {
            data.chunks(width).flat_map(|row| [row, &vec![77; stride - width]].concat()).collect()
        };
        let (luma, differences) = tight.data().split_at(32 * 18);
        for stride in [33, 48] {
            let half = (stride as usize).div_ceil(2);
            let data = [pad(luma, 32, stride as usize), pad(differences, 16, half)].concat();
            let padded = Frame::with_stride((32, 18), stride, PixelFormat::I420, data).unwrap();
            assert_eq!(encoder().encode(&padded).unwrap(), encoder().encode(&tight).unwrap());
        }
    }

    #[test]
    fn rgb_is_converted() {
        for size in [(32, 32), (31, 17)] {
            let red = [255, 0, 0].repeat(size.0 as usize * size.1 as usize);
            let coded = encoder().encode(&Frame::new(size, PixelFormat::Rgb8, red).unwrap()).unwrap();
            let decoded = H264Decoder::new().decode(&coded).unwrap().unwrap();
            let (luma, differences) = decoded.data().split_at(size.0 as usize * size.1 as usize);
            let (u, v) = differences.split_at(differences.len() / 2);
            let near = |plane: &[u8], value: u8| plane.iter().all(|&sample| sample.abs_diff(value) < 4);
            assert!(near(luma, 82) && near(u, 90) && near(v, 240), "{} {} {}", luma[0], u[0], v[0]);
        }
    }

    #[test]
    fn after_a_lost_frame_the_next_sync_frame_brings_it_back() {
        let (mut encoder, mut decoder) = (encoder(), H264Decoder::new());
        let mut outcomes = Vec::new();
        for number in 0..12 {
            if number == 8 {
                encoder.force_sync();
            }
            let frame = gradient(SIZE, number);
            let coded = encoder.encode(&frame).unwrap();
            assert_eq!(coded.is_sync(), [0, 8].contains(&number));
            if number != 4 {
                outcomes.push(match decoder.decode(&coded) {
                    Ok(Some(decoded)) if psnr(&frame, &decoded) > 35.0 => "picture",
                    Ok(Some(_)) => "wrong picture",
                    Ok(None) => "none",
                    Err(H264Error::Decode { .. }) => "error",
                    Err(error) => panic!("{error}"),
                });
            }
        }
        let expected = [&["picture"; 4][..], &["error", "none", "none"], &["picture"; 4]].concat();
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn who_joins_late_waits_for_a_sync_frame() {
        let mut decoder = H264Decoder::new();
        for frame in &stream(5)[1..] {
            assert!(decoder.decode(frame).unwrap().is_none());
        }
    }

    #[test]
    fn sync_frames_come_by_themselves() {
        for (rate, period) in [(None, 60), (Rate::new(200, 1), 60), (Rate::new(10, 1), 20), (Rate::new(1, 60), 1)] {
            let mut encoder = H264Encoder::new(1_000_000, rate);
            // It makes one for a change of scene, too: this is always the same.
            let sync = |_| encoder.encode(&gradient((16, 16), 0)).unwrap().is_sync();
            let numbers: Vec<_> =
                (0..130).map(sync).enumerate().filter(|(_, sync)| *sync).map(|(number, _)| number).collect();
            assert_eq!(numbers, (0..130).step_by(period).collect::<Vec<_>>(), "{rate:?}");
        }
    }

    #[test]
    fn the_size_may_change() {
        let (mut encoder, mut decoder) = (encoder(), H264Decoder::new());
        for (number, size) in [SIZE, SIZE, (64, 96), (64, 96), (33, 35), SIZE, SIZE].into_iter().enumerate() {
            let frame = gradient(size, number as u64);
            let coded = encoder.encode(&frame).unwrap();
            assert_eq!(coded.is_sync(), [0, 2, 4, 5].contains(&number));
            let decoded = decoder.decode(&coded).unwrap().unwrap();
            assert!(psnr(&frame, &decoded) > 33.0, "frame {number}: {} dB", psnr(&frame, &decoded));
        }
    }

    /// Squares of noise; forty new ones in each frame.
    fn noise(count: u64) -> impl Iterator<Item = Frame> {
        let (mut state, mut picture) = (1_u32, vec![128; 160 * 96 * 3 / 2]);
        (0..count).map(move |number| {
            for _ in 0..40 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, y, value) = ((state >> 8) as usize % 152, (state >> 16) as usize % 88, (state >> 24) as u8);
                (y..y + 8).for_each(|y| picture[y * 160 + x..][..8].fill(value));
            }
            Frame::new((160, 96), PixelFormat::I420, picture.clone()).unwrap().stamped(number, Duration::ZERO)
        })
    }

    #[test]
    fn keeps_to_the_bitrate_at_any_rate() {
        // As many bits a frame. openh264 itself knows of no rate above 60.
        for (bitrate, rate) in [(400_000, 30), (800_000, 60), (1_600_000, 120), (3_200_000, 240)] {
            let mut encoder = H264Encoder::new(bitrate, Rate::new(rate, 1));
            let bytes: usize = noise(60).map(|frame| encoder.encode(&frame).unwrap().data().len()).sum();
            let actual = bytes as f64 * 8.0 * f64::from(rate) / 60.0;
            assert!((actual / f64::from(bitrate) - 1.0).abs() < 0.2, "{actual} bits/s of {bitrate} at {rate} fps");
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_an_error() {
        let jpeg = Frame::new(SIZE, PixelFormat::Jpeg, vec![0; 8]).unwrap();
        assert!(matches!(encoder().encode(&jpeg), Err(H264Error::Convert(ConvertError::Compressed(_)))));
        for size in [(3842, 2), (2, 3842), (2162, 2162)] {
            let error = encoder().encode(&gradient(size, 0)).unwrap_err();
            assert!(matches!(error, H264Error::TooLarge { .. }), "{error}");
        }
        let error = H264Encoder::new(0, None).encode(&gradient(SIZE, 0)).unwrap_err();
        assert!(matches!(error, H264Error::Encode { bitrate: 0, .. }), "{error}");

        // The next frame can be decoded.
        let mut encoder = encoder();
        encoder.encode(&gradient(SIZE, 0)).unwrap();
        encoder.encode(&jpeg).unwrap_err();
        assert!(encoder.encode(&gradient(SIZE, 1)).unwrap().is_sync());
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        let decode = |size, data: &[u8]| {
            let frame = Frame::new(size, PixelFormat::H264, data.to_vec()).unwrap();
            H264Decoder::new().decode(&frame).map(|picture| picture.map(|picture| picture.size()))
        };
        assert!(matches!(decode(SIZE, &[]), Err(H264Error::Length { length: 0 })));
        assert!(matches!(decode(SIZE, &[0; MAX_UNIT + 1]), Err(H264Error::Length { .. })));
        let coded = &stream(2);
        assert!(matches!(decode(SIZE, coded[0].data()), Ok(Some(SIZE))));
        assert!(matches!(decode((98, 64), coded[0].data()), Err(H264Error::Size { found: (96, 64), .. })));
        assert!(matches!(decode((6_000, 6_000), coded[0].data()), Err(H264Error::Size { .. })));
        // It says that it is a sync frame.
        assert!(matches!(decode(SIZE, coded[1].data()), Err(H264Error::Decode { .. })));
        assert!(matches!(decode(SIZE, b"no H.264 at all"), Err(_) | Ok(None)));
    }

    #[test]
    fn no_byte_makes_it_panic() {
        let coded = &stream(1)[0];
        let data = coded.data();
        for at in (0..data.len().min(60)).chain((60..data.len()).step_by(13)) {
            for data in [&data[..at], &[&data[..at], &[!data[at]], &data[at + 1..]].concat()] {
                let frame = Frame::new(SIZE, PixelFormat::H264, data.to_vec()).unwrap();
                if let Ok(Some(picture)) = H264Decoder::new().decode(&frame) {
                    assert_eq!(picture.size(), SIZE);
                }
            }
        }
    }
}
