//! From one layout of pixels to another, by the `yuv` crate.

use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvBiPlanarImageMut, YuvChromaSubsampling, YuvConversionMode, YuvError,
    YuvGrayImage, YuvGrayImageMut, YuvPackedImage, YuvPackedImageMut, YuvPlanarImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};

use crate::{Frame, PixelFormat};

/// What [`PixelFormat`] promises of the YUV formats.
const RANGE: YuvRange = YuvRange::Limited;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt601;
const MODE: YuvConversionMode = YuvConversionMode::Balanced;

/// The picture cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It, or what it is to become, is compressed: that is the business of a [`Decoder`](crate::codec::Decoder) or
    /// [`Encoder`](crate::codec::Encoder).
    #[error("a {0} picture is compressed: decode it first, or encode it instead")]
    Compressed(PixelFormat),
    /// It has a size that the conversion does not know how to handle.
    #[error("could not convert {from} to {to}: {error}")]
    Refused {
        /// What it is.
        from: PixelFormat,
        /// What it was to become.
        to: PixelFormat,
        /// What the conversion said.
        #[source]
        error: YuvError,
    },
}

/// The same picture in another layout, its number and capture time kept. What has the layout already is shared, not copied.
///
/// Grey is black to white in bytes of 0 to 255, not the limited range of the YUV formats.
///
/// # Errors
///
/// [`ConvertError`].
pub fn convert(frame: &Frame, to: PixelFormat) -> Result<Frame, ConvertError> {
    let from = frame.format();
    if let Some(compressed) = [from, to].into_iter().find(|format| !format.is_raw()) {
        return Err(ConvertError::Compressed(compressed));
    }
    if from == to {
        return Ok(frame.clone());
    }
    let refused = |error| ConvertError::Refused { from, to, error };
    let rgb = to_rgb(frame).map_err(refused)?;
    let picture = if to == PixelFormat::Rgb8 { rgb } else { from_rgb(&rgb, to).map_err(refused)? };
    Ok(frame.become_picture(picture))
}

fn to_rgb(frame: &Frame) -> Result<Frame, YuvError> {
    let ((width, height), y_stride) = (frame.size(), frame.stride());
    let rgb_stride = 3 * width;
    let mut rgb = vec![0; rgb_stride as usize * height as usize];
    let planes = Planes::of(frame);
    let planar = |u_stride| YuvPlanarImage {
        y_plane: planes.first,
        y_stride,
        u_plane: planes.second,
        u_stride,
        v_plane: planes.third,
        v_stride: u_stride,
        width,
        height,
    };
    match frame.format() {
        PixelFormat::Rgb8 => return Ok(frame.clone()),
        PixelFormat::Gray8 => {
            let image = YuvGrayImage { y_plane: planes.first, y_stride, width, height };
            yuv::yuv400_to_rgb(&image, &mut rgb, rgb_stride, YuvRange::Full, MATRIX)?;
        }
        PixelFormat::Yuyv => {
            let image = YuvPackedImage { yuy: planes.first, yuy_stride: y_stride, width, height };
            yuv::yuyv422_to_rgb(&image, &mut rgb, rgb_stride, RANGE, MATRIX)?;
        }
        PixelFormat::Nv12 => {
            let (y_plane, uv_plane) = (planes.first, planes.second);
            let image = YuvBiPlanarImage { y_plane, y_stride, uv_plane, uv_stride: y_stride, width, height };
            yuv::yuv_nv12_to_rgb(&image, &mut rgb, rgb_stride, RANGE, MATRIX, MODE)?;
        }
        PixelFormat::I420 => {
            yuv::yuv420_to_rgb(&planar(y_stride.div_ceil(2)), &mut rgb, rgb_stride, RANGE, MATRIX)?;
        }
        PixelFormat::I422 => {
            yuv::yuv422_to_rgb(&planar(y_stride.div_ceil(2)), &mut rgb, rgb_stride, RANGE, MATRIX)?;
        }
        PixelFormat::I444 => yuv::yuv444_to_rgb(&planar(y_stride), &mut rgb, rgb_stride, RANGE, MATRIX)?,
        PixelFormat::Jpeg | PixelFormat::H264 => unreachable!("compressed pictures were turned away"),
    }
    Ok(tight((width, height), PixelFormat::Rgb8, rgb))
}

fn from_rgb(frame: &Frame, to: PixelFormat) -> Result<Frame, YuvError> {
    let ((width, height), stride, rgb) = (frame.size(), frame.stride(), frame.data());
    let planar = |subsampling| YuvPlanarImageMut::alloc(width, height, subsampling);
    let joined = |image: YuvPlanarImageMut<'_, u8>| {
        [image.y_plane.borrow(), image.u_plane.borrow(), image.v_plane.borrow()].concat()
    };
    let data = match to {
        PixelFormat::Gray8 => {
            let mut image = YuvGrayImageMut::alloc(width, height);
            yuv::rgb_to_yuv400(&mut image, rgb, stride, YuvRange::Full, MATRIX)?;
            image.y_plane.borrow().to_vec()
        }
        PixelFormat::I420 => {
            let mut image = planar(YuvChromaSubsampling::Yuv420);
            yuv::rgb_to_yuv420(&mut image, rgb, stride, RANGE, MATRIX, MODE)?;
            joined(image)
        }
        PixelFormat::I422 => {
            let mut image = planar(YuvChromaSubsampling::Yuv422);
            yuv::rgb_to_yuv422(&mut image, rgb, stride, RANGE, MATRIX, MODE)?;
            joined(image)
        }
        PixelFormat::I444 => {
            let mut image = planar(YuvChromaSubsampling::Yuv444);
            yuv::rgb_to_yuv444(&mut image, rgb, stride, RANGE, MATRIX, MODE)?;
            joined(image)
        }
        PixelFormat::Nv12 => {
            let y_stride = width + width % 2;
            let (mut y, mut uv) =
                (vec![0; (y_stride * height) as usize], vec![0; (y_stride * height.div_ceil(2)) as usize]);
            let (y_plane, uv_plane) = (BufferStoreMut::Borrowed(&mut y), BufferStoreMut::Borrowed(&mut uv));
            let mut image = YuvBiPlanarImageMut { y_plane, y_stride, uv_plane, uv_stride: y_stride, width, height };
            yuv::rgb_to_yuv_nv12(&mut image, rgb, stride, RANGE, MATRIX, MODE)?;
            [y, uv].concat()
        }
        PixelFormat::Yuyv => {
            let mut image = planar(YuvChromaSubsampling::Yuv422);
            yuv::rgb_to_yuv422(&mut image, rgb, stride, RANGE, MATRIX, MODE)?;
            let yuy_stride = 2 * (width + width % 2);
            let mut yuy = vec![0; (yuy_stride * height) as usize];
            let mut packed = YuvPackedImageMut { yuy: BufferStoreMut::Borrowed(&mut yuy), yuy_stride, width, height };
            yuv::yuv422_to_yuyv422(&mut packed, &image.to_fixed())?;
            yuy
        }
        PixelFormat::Rgb8 => return Ok(frame.clone()),
        PixelFormat::Jpeg | PixelFormat::H264 => unreachable!("compressed pictures were turned away"),
    };
    Ok(tight((width, height), to, data))
}

/// A frame of what was made to have its size.
fn tight(size: (u32, u32), format: PixelFormat, data: Vec<u8>) -> Frame {
    Frame::new(size, format, data).expect("the buffer was made for a picture of this size")
}

/// The planes of a raw picture; what has fewer has empty ones.
struct Planes<'a> {
    first: &'a [u8],
    second: &'a [u8],
    third: &'a [u8],
}

impl<'a> Planes<'a> {
    fn of(frame: &'a Frame) -> Self {
        let first = frame.stride() as usize * frame.size().1 as usize;
        let (first, rest) = frame.data().split_at(first.min(frame.data().len()));
        // Both planes of differences have one size; where there is but one, it is the second.
        let second = if frame.format() == PixelFormat::Nv12 { rest.len() } else { rest.len() / 2 };
        let (second, third) = rest.split_at(second);
        Self { first, second, third }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PixelFormat; 7] = [
        PixelFormat::Rgb8,
        PixelFormat::Gray8,
        PixelFormat::Yuyv,
        PixelFormat::Nv12,
        PixelFormat::I420,
        PixelFormat::I422,
        PixelFormat::I444,
    ];

    /// vivid's colour bars as YUYV, measured, and what they are.
    const BARS: [([u8; 3], [u8; 3]); 8] = [
        ([179, 128, 128], [191, 191, 191]),
        ([160, 44, 141], [191, 191, 0]),
        ([130, 156, 44], [0, 191, 191]),
        ([111, 72, 58], [0, 191, 0]),
        ([83, 183, 197], [191, 0, 191]),
        ([64, 99, 211], [191, 0, 0]),
        ([34, 211, 114], [0, 0, 191]),
        ([16, 128, 128], [0, 0, 0]),
    ];

    #[test]
    fn a_cameras_colour_bars_have_their_colours() {
        for ([y, u, v], expected) in BARS {
            let frame = Frame::new((2, 1), PixelFormat::Yuyv, vec![y, u, y, v]).unwrap();
            let rgb = convert(&frame, PixelFormat::Rgb8).unwrap();
            for (is, expected) in rgb.data().iter().zip(expected.iter().cycle()) {
                assert!(is.abs_diff(*expected) <= 3, "{y} {u} {v} became {:?}", &rgb.data()[..3]);
            }
        }
    }

    #[test]
    fn every_layout_and_back_keeps_the_picture() {
        // Even and odd sizes, of two colours, so that subsampling changes nothing.
        for (width, height) in [(8, 6), (7, 5), (1, 1)] {
            let pixels = [200, 40, 90].repeat(width as usize * height as usize);
            let rgb = Frame::new((width, height), PixelFormat::Rgb8, pixels).unwrap().stamped(5, crate::clock::now());
            for format in ALL {
                let there = convert(&rgb, format).unwrap();
                assert_eq!((there.format(), there.size(), there.sequence()), (format, (width, height), 5));
                assert_eq!(there.captured_at(), rgb.captured_at());
                let back = convert(&there, PixelFormat::Rgb8).unwrap();
                let expected = if format == PixelFormat::Gray8 { [94, 94, 94] } else { [200, 40, 90] };
                for pixel in back.data().chunks(3) {
                    let error = pixel.iter().zip(expected).map(|(is, expected)| is.abs_diff(expected)).max();
                    assert!(error <= Some(3), "{format} {width}x{height}: {pixel:?}");
                }
            }
        }
    }

    #[test]
    fn padded_rows_are_read_as_such() {
        let mut padded = [255, 0, 0, 255, 0, 0, 9, 9].repeat(2);
        padded.extend([0, 0, 255, 0, 0, 255, 9, 9]);
        let frame = Frame::with_stride((2, 3), 8, PixelFormat::Rgb8, padded).unwrap();
        let gray = convert(&frame, PixelFormat::Gray8).unwrap();
        assert_eq!(gray.data().len(), 6);
        assert!(gray.data()[0] == gray.data()[3] && gray.data()[0] > gray.data()[5]);
    }

    #[test]
    fn a_compressed_picture_is_turned_away() {
        let frame = Frame::new((2, 2), PixelFormat::Jpeg, vec![0; 9]).unwrap();
        assert!(matches!(convert(&frame, PixelFormat::Rgb8), Err(ConvertError::Compressed(PixelFormat::Jpeg))));
    }
}
