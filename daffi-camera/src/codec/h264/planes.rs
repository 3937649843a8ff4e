//! The planes of I420 as openh264 takes and gives them.

use std::iter;

use openh264::formats::{YUVSlices, YUVSource};

use super::H264Error;
use crate::{Frame, InvalidFrame, MAX_SIDE, PixelFormat, convert::convert};

/// The size that a picture is coded with: its sides are even and not below 16, which is the least that openh264 encodes.
pub(super) fn coded_size((width, height): (u32, u32)) -> (usize, usize) {
    let side = |side: u32| side.next_multiple_of(2).max(16) as usize;
    (side(width), side(height))
}

/// The frame as I420 of the size that it is coded with. The last column and row are repeated.
pub(super) fn codable(frame: &Frame) -> Result<Frame, H264Error> {
    let frame = convert(frame, PixelFormat::I420)?;
    let size = (frame.size().0 as usize, frame.size().1 as usize);
    let (width, height) = coded_size(frame.size());
    // openh264 reckons with 32 bits: a stride that is no width's is not left to it.
    if size == (width, height) && frame.stride() <= MAX_SIDE {
        return Ok(frame);
    }
    let stride = frame.stride() as usize;
    let (luma, differences) = frame.data().split_at(stride * size.1);
    let half = |data| Plane { data, stride: stride.div_ceil(2), size: (size.0.div_ceil(2), size.1.div_ceil(2)) };
    let (u, v) = differences.split_at(differences.len() / 2);
    let data = resized(Plane { data: luma, stride, size }, [half(u), half(v)], (width, height));
    // Sides of 16 to 3840.
    Ok(Frame::new((width as u32, height as u32), PixelFormat::I420, data)?)
}

/// The picture without what lies beyond that size, which is to be no larger.
pub(super) fn cut(picture: &impl YUVSource, size: (u32, u32)) -> Result<Frame, InvalidFrame> {
    let ((width, height), (stride, u_stride, v_stride)) = (picture.dimensions(), picture.strides());
    let luma = Plane { data: picture.y(), stride, size: (width, height) };
    let half = |data, stride| Plane { data, stride, size: (width / 2, height / 2) };
    let differences = [half(picture.u(), u_stride), half(picture.v(), v_stride)];
    Frame::new(size, PixelFormat::I420, resized(luma, differences, (size.0 as usize, size.1 as usize)))
}

/// The planes of an I420 frame with even sides.
pub(super) fn planes(frame: &Frame) -> YUVSlices<'_> {
    let ((width, height), stride) = (frame.size(), frame.stride() as usize);
    let (luma, differences) = frame.data().split_at(stride * height as usize);
    let (u, v) = differences.split_at(differences.len() / 2);
    let strides = (stride, stride.div_ceil(2), stride.div_ceil(2));
    YUVSlices::new((luma, u, v), (width as usize, height as usize), strides)
}

/// A plane of I420.
#[derive(Clone, Copy)]
struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    size: (usize, usize),
}

/// I420 of another size, without padding: cut off on the right and below, or the last column and row repeated.
fn resized(luma: Plane<'_>, differences: [Plane<'_>; 2], (width, height): (usize, usize)) -> Vec<u8> {
    let half = (width.div_ceil(2), height.div_ceil(2));
    let mut picture = Vec::with_capacity(width * height + 2 * half.0 * half.1);
    luma.append((width, height), &mut picture);
    differences.iter().for_each(|plane| plane.append(half, &mut picture));
    picture
}

impl Plane<'_> {
    fn append(&self, (width, height): (usize, usize), picture: &mut Vec<u8>) {
        for row in 0..height {
            let row = &self.data[row.min(self.size.1 - 1) * self.stride..][..self.size.0];
            picture.extend_from_slice(&row[..width.min(row.len())]);
            picture.extend(iter::repeat_n(row[row.len() - 1], width.saturating_sub(row.len())));
        }
    }
}
