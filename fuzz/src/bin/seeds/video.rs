//! Files and pictures.

use daffi_camera::{
    Frame, PixelFormat,
    codec::{Codec, Encoder},
};

pub(super) fn video() -> Vec<Vec<u8>> {
    let jpegs: Vec<_> = jpegs().iter().flat_map(|jpeg| jpeg.data().to_vec()).collect();
    let headers =
        ["YUV4MPEG2 W4 H2 F30:1 C420jpeg", "YUV4MPEG2 W3 H3 Ip A1:1 C444 XCOLORRANGE=FULL", "YUV4MPEG2 W2 H2 Cmono"];
    let y4m = headers.iter().zip([12, 27, 4]).map(|(header, bytes)| {
        let frame = [b"FRAME\n".as_slice(), &vec![99; bytes]].concat();
        [header.as_bytes(), b"\n", &frame, &frame].concat()
    });
    // The first byte is the size of the pieces in which it is read.
    [jpegs].into_iter().chain(y4m).map(|file| [&[13], file.as_slice()].concat()).collect()
}

pub(super) fn jpegs() -> Vec<Frame> {
    let mut encoder = Encoder::new(Codec::Jpeg("70".parse().expect("it is a quality")), None);
    [PixelFormat::Rgb8, PixelFormat::Gray8]
        .map(|format| {
            let pixels = (0..format.row_bytes(16) * 8).map(|at| (at * 5) as u8).collect::<Vec<_>>();
            encoder.encode(&Frame::new((16, 8), format, pixels).expect("it has as many bytes")).expect("it is raw")
        })
        .into()
}
