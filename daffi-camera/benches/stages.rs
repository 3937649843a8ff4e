//! What each stage between camera and window takes, for one frame of 320x180 and one of 1280x720.
//!
//! ```sh
//! cargo bench -p daffi-camera
//! cargo bench -p daffi-camera --features h264
//! ```
//!
//! A bench thread does nothing but the stage: its time is CPU time. What a stage of the window takes is measured with a window, by
//! `tests/window`; what capturing takes is up to the camera's driver.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use daffi_camera::{
    Arrivals, Frame, Percent, PixelFormat, Scaler,
    codec::{Codec, Decoder, Encoder},
    convert,
    pattern::{Picture, Stamp},
};

const SIZES: [(u32, u32); 2] = [(320, 180), (1280, 720)];

fn stages(criterion: &mut Criterion) {
    for size in SIZES {
        let picture = Picture::new(size).expect("the pattern comes in this size");
        let draw = |frame| picture.draw(Stamp { frame, drawn_at: Duration::from_secs(1_000) });
        let rgb = draw(7);
        let mut bench = |stage: &str, run: &mut dyn FnMut() -> Frame| {
            let name = format!("{stage}, {}x{}", size.0, size.1);
            criterion.bench_function(&name, |bencher| bencher.iter(|| black_box(run())));
        };

        bench("draw the pattern", &mut || draw(black_box(7)));
        for format in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420] {
            let raw = convert(&rgb, format).expect("every raw layout can be made of RGB");
            bench(&format!("convert {format} to RGB"), &mut || {
                convert(black_box(&raw), PixelFormat::Rgb8).expect("and back")
            });
        }
        let mut scaler = Scaler::new(Percent::new(20).expect("it is in range"));
        bench("scale to 20 %", &mut || scaler.scale(black_box(&rgb)).expect("RGB can be scaled"));

        // H.264 lives on what does not change from frame to frame.
        let frames: Vec<Frame> = (0..30).map(draw).collect();
        let mut codecs = vec!["jpeg:80"];
        if cfg!(feature = "h264") {
            codecs.push("h264:3000000");
        }
        for codec in codecs {
            let parsed: Codec = codec.parse().expect("it was built in");
            let mut encoder = Encoder::new(parsed, None);
            let mut moving = frames.iter().cycle();
            bench(&format!("encode {codec}"), &mut || {
                let frame = moving.next().expect("it begins anew");
                encoder.encode(frame).expect("RGB can be encoded")
            });
            // Every frame a sync frame, as the same one is decoded again and again.
            let packed = Encoder::new(parsed, None).encode(&rgb).expect("RGB can be encoded");
            let mut decoder = Decoder::new();
            bench(&format!("decode {codec}"), &mut || {
                decoder.decode(black_box(&packed)).expect("what was just encoded can be decoded")
            });
        }

        let mut arrivals = Arrivals::new();
        bench("check", &mut || {
            arrivals.record(black_box(&rgb), Ok(&rgb), Duration::from_secs(1_001));
            rgb.clone()
        });
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
