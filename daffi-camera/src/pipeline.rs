//! What a producer does to each frame before it is sent.

use crate::{
    Frame, Percent, Rate, Scaler,
    codec::{Codec, CodecError, Decoder, Encoder},
};

/// Scales frames and packs them.
#[derive(Debug)]
pub struct Pipeline {
    percent: Percent,
    codec: Codec,
    decoder: Decoder,
    scaler: Scaler,
    encoder: Encoder,
}

impl Pipeline {
    /// To that part of their size, and packed that way. The rate is the one at which frames will come, if it is known.
    pub fn new(percent: Percent, codec: Codec, rate: Option<Rate>) -> Self {
        let (decoder, scaler, encoder) = (Decoder::new(), Scaler::new(percent), Encoder::new(codec, rate));
        Self { percent, codec, decoder, scaler, encoder }
    }

    /// The frame as it is to be sent. A compressed one is unpacked only if it must be: what a camera has packed as JPEG goes out as
    /// it came, if it is to be JPEG of its own size.
    ///
    /// # Errors
    ///
    /// [`CodecError`]: this frame cannot be sent; the next one may.
    pub fn process(&mut self, frame: &Frame) -> Result<Frame, CodecError> {
        if self.percent == Percent::ORIGINAL && self.codec.format() == Some(frame.format()) {
            return Ok(frame.clone());
        }
        let raw = if frame.format().is_raw() { frame.clone() } else { self.decoder.decode(frame)? };
        self.encoder.encode(&self.scaler.scale(&raw)?)
    }

    /// Makes the next frame a [sync frame](Frame::is_sync), for somebody who joins.
    pub const fn force_sync(&mut self) {
        self.encoder.force_sync();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PixelFormat, codec::Quality};

    fn frame() -> Frame {
        Frame::new((40, 20), PixelFormat::Rgb8, vec![100; 2_400]).unwrap()
    }

    #[test]
    fn frames_are_scaled_and_packed() {
        let mut pipeline = Pipeline::new(Percent::new(50).unwrap(), Codec::Jpeg(Quality::default()), None);
        let sent = pipeline.process(&frame()).unwrap();
        assert_eq!((sent.size(), sent.format()), ((20, 10), PixelFormat::Jpeg));
        let again = pipeline.process(&sent).unwrap();
        assert_eq!((again.size(), again.format()), ((10, 5), PixelFormat::Jpeg));
    }

    #[test]
    fn a_cameras_jpeg_goes_out_as_it_came() {
        let mut pipeline = Pipeline::new(Percent::ORIGINAL, Codec::Jpeg(Quality::default()), None);
        let packed = pipeline.process(&frame()).unwrap();
        assert_eq!(pipeline.process(&packed).unwrap(), packed);
        let raw = Pipeline::new(Percent::ORIGINAL, Codec::Raw, None).process(&packed).unwrap();
        assert_eq!(raw.format(), PixelFormat::Rgb8);
    }
}
