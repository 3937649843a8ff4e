//! Files as users open them: what is in them, how fast it comes, how it ends, and what is said of those that are no video.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use daffi_camera::{
    CaptureError, Counts, Mode, PixelFormat, Rate, VideoSource,
    file::{self, OpenError, Options, Speed},
};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

/// As fast as it goes.
fn full() -> Options {
    Options { speed: Speed::Full, ..Options::default() }
}

/// A file in a folder that goes when this does.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

/// So many grey frames of 2x2, each of its number.
fn y4m(frames: u8) -> Vec<u8> {
    let mut video = b"YUV4MPEG2 W2 H2 F50:1 Cmono\n".to_vec();
    (0..frames).for_each(|number| video.extend([b"FRAME\n", &[number; 4][..]].concat()));
    video
}

fn jpeg(size: (u16, u16)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![99; usize::from(size.0) * usize::from(size.1)];
    jpeg_encoder::Encoder::new(&mut bytes, 80).encode(&pixels, size.0, size.1, jpeg_encoder::ColorType::Luma).unwrap();
    bytes
}

#[test]
fn gives_the_frames_of_a_y4m_file() {
    let scratch = Scratch::new();
    // What it is, its content says.
    let path = scratch.file("video.mjpeg", &y4m(3));
    let mut source = file::open(&path, &full()).unwrap();
    assert_eq!(source.name(), path.display().to_string());
    assert_eq!(source.mode(), Mode { size: (2, 2), format: PixelFormat::Gray8, rate: None });
    let before = daffi_camera::clock::now();
    for number in 0..3 {
        let frame = source.next().unwrap().unwrap();
        assert_eq!((frame.sequence(), frame.data()[..].to_vec()), (u64::from(number), vec![number; 4]));
        assert!(frame.captured_at() >= before && frame.captured_at() <= daffi_camera::clock::now());
    }
    assert!(source.next().is_none() && source.next().is_none());
    assert_eq!(source.counts(), Counts { given: 3, ..Counts::default() });
}

#[test]
fn gives_the_frames_of_an_mjpeg_file() {
    let scratch = Scratch::new();
    let (first, second) = (jpeg((24, 8)), jpeg((16, 16)));
    let broken = &first[..first.len() - 2];
    let path = scratch.file("video", &[&first[..], b"padding", broken, &second].concat());
    let mut source = file::open(path, &Options::default()).unwrap();
    assert_eq!(source.mode(), Mode { size: (24, 8), format: PixelFormat::Jpeg, rate: Some(file::DEFAULT_RATE) });
    let frames: Vec<_> = source.by_ref().map(Result::unwrap).map(|frame| (frame.sequence(), frame.size())).collect();
    assert_eq!(frames, [(0, (24, 8)), (2, (16, 16))], "the gap is the damaged one");
    assert_eq!(source.counts(), Counts { given: 2, damaged: 1, ..Counts::default() });
}

#[test]
fn repeats_with_numbers_that_go_on() {
    let scratch = Scratch::new();
    let options = Options { repeat: true, ..full() };
    let path = scratch.file("video.y4m", &y4m(3));
    let frames: Vec<_> = file::open(path, &options).unwrap().take(8).map(Result::unwrap).collect();
    assert!(frames.iter().map(|frame| (frame.sequence(), frame.data()[0])).eq((0..8).map(|n| (n, (n % 3) as u8))));

    // Damaged frames are counted in each round.
    let jpeg = jpeg((8, 8));
    let path = scratch.file("video.mjpeg", &[&jpeg[..jpeg.len() - 2], &jpeg, &jpeg].concat());
    let mut source = file::open(path, &options).unwrap();
    let numbers: Vec<_> = source.by_ref().take(5).map(|frame| frame.unwrap().sequence()).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 7]);
    assert_eq!(source.counts(), Counts { given: 5, damaged: 3, ..Counts::default() });
}

#[test]
fn a_file_that_was_emptied_is_not_repeated_for_ever() {
    let scratch = Scratch::new();
    let path = scratch.file("video.y4m", &y4m(1));
    for (content, expected) in [
        (&b""[..], "is empty"),
        (b"YUV4MPEG2 W2 H2 F50:1 Cmono\n", "has no frame"),
        (b"YUV4MPEG2 W2 H2 C420p10\n", "420p10"),
    ] {
        fs::write(&path, y4m(1)).unwrap();
        let mut source = file::open(&path, &Options { repeat: true, ..full() }).unwrap();
        source.next().unwrap().unwrap();
        fs::write(&path, content).unwrap();
        let error = source.next().unwrap().unwrap_err();
        assert!(matches!(&error, CaptureError::Damaged { .. }) && error.to_string().contains(expected), "{error}");
        assert!(source.next().is_none(), "{expected}");
    }
    fs::write(&path, y4m(1)).unwrap();
    let mut source = file::open(&path, &Options { repeat: true, ..full() }).unwrap();
    fs::remove_file(&path).unwrap();
    source.next().unwrap().unwrap();
    assert!(matches!(source.next(), Some(Err(CaptureError::Read { .. }))));
    assert!(source.next().is_none());
}

#[test]
fn a_missing_end_comes_after_the_good_frames() {
    let scratch = Scratch::new();
    let (video, jpeg) = (y4m(3), jpeg((8, 8)));
    let mjpeg = jpeg.repeat(3);
    for video in [&video[..video.len() - 1], &mjpeg[..mjpeg.len() - 1]] {
        let path = scratch.file("video", video);
        let mut source = file::open(path, &Options { repeat: true, ..full() }).unwrap();
        assert_eq!(source.by_ref().take_while(Result::is_ok).count(), 2);
        assert!(source.next().is_none(), "the error was the end");
        assert_eq!(source.counts().given, 2);
    }
    let path = scratch.file("video", &video[..video.len() - 1]);
    let error = file::open(path, &full()).unwrap().find_map(Result::err).unwrap();
    assert!(error.to_string().ends_with("is damaged after 2 frames: it ends within a frame"), "{error}");
    assert!(!error.is_recoverable());
}

#[test]
fn keeps_the_pace() {
    let scratch = Scratch::new();
    let path = scratch.file("video.y4m", &y4m(6));
    // 50 fps as the file says, and 100 as is asked for: never faster.
    for (speed, fps) in [(Speed::Own, 50), (Speed::At(Rate::new(100, 1).unwrap()), 100)] {
        let mut source = file::open(&path, &Options { speed, ..Options::default() }).unwrap();
        assert_eq!(source.mode().rate, Rate::new(fps, 1));
        let began = Instant::now();
        let times: Vec<_> = source.by_ref().map(|frame| frame.unwrap().captured_at()).collect();
        assert!(began.elapsed() >= Duration::from_secs(5) / fps && times.is_sorted());
    }
}

#[test]
fn nobody_waits_for_a_century() {
    let scratch = Scratch::new();
    let path = scratch.file("slow.y4m", b"YUV4MPEG2 W1 H1 F1:4294967295 Cmono\nFRAME\n0FRAME\n1");
    let error = file::open(&path, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("a frame every 4294967295 s; choose another speed"), "{error}");
    assert_eq!(file::open(&path, &full()).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let scratch = Scratch::new();
    let open = |path: &Path| file::open(path, &full()).unwrap_err();

    let missing = open(&scratch.path("none.y4m"));
    assert!(matches!(missing, OpenError::Open { .. }) && missing.to_string().contains("none.y4m"), "{missing}");
    assert!(matches!(open(scratch.0.path()), OpenError::NotAFile { .. }));
    assert!(matches!(open(&scratch.file("empty", b"")), OpenError::Empty { .. }));
    let bare = open(&scratch.file("bare.y4m", b"YUV4MPEG2 W2 H2 F25:1\n"));
    assert!(matches!(bare, OpenError::NoFrame { .. }) && bare.to_string().contains("has no frame"), "{bare}");
    let deep = open(&scratch.file("deep.y4m", b"YUV4MPEG2 W2 H2 F25:1 C422p10\nFRAME\n"));
    assert!(matches!(deep, OpenError::Header { .. }) && deep.to_string().contains("is 422p10; convert it"), "{deep}");
    let cut = open(&scratch.file("cut.jpg", &jpeg((8, 8))[..50]));
    assert!(matches!(cut, OpenError::NoFrame { error: CaptureError::Damaged { frames: 0, .. }, .. }), "{cut}");

    // A pipe would block, and this file opens but does not read.
    #[cfg(target_os = "linux")]
    {
        let pipe = scratch.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(open(&pipe), OpenError::NotAFile { .. }));
        assert!(matches!(open(Path::new("/proc/self/mem")), OpenError::Open { .. }));
    }
}

#[test]
fn without_ffmpeg_the_remedy_is_named() {
    let scratch = Scratch::new();
    let options = Options { ffmpeg: Some(scratch.path("ffmpeg")), ..full() };
    let error = file::open(scratch.file("video.mp4", b"\0\0\0\x20ftypisom"), &options).unwrap_err();
    assert!(matches!(error, OpenError::NoFfmpeg { .. }), "{error}");
    assert!(error.to_string().contains("install ffmpeg, or convert the file"), "{error}");
}

/// Runs the real ffmpeg; `false` if there is none.
fn ffmpeg(arguments: &[&str], output: &Path) -> bool {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments).arg(output).stdin(Stdio::null());
    match command.status() {
        Ok(status) => {
            assert!(status.success(), "{command:?}: {status}");
            true
        }
        Err(error) => {
            println!("skipped: ffmpeg does not run here: {error}");
            false
        }
    }
}

const TEST_VIDEO: [&str; 6] = ["-f", "lavfi", "-i", "testsrc=size=65x33:rate=15", "-frames:v", "5"];

#[test]
fn ffmpeg_reads_everything_else() {
    let scratch = Scratch::new();
    let path = scratch.path("-i.mkv");
    if !ffmpeg(&[&TEST_VIDEO[..], &["-c:v", "ffv1", "-pix_fmt", "yuv420p"]].concat(), &path) {
        return;
    }
    let mut source = file::open(&path, &full()).unwrap();
    assert_eq!(source.mode(), Mode { size: (65, 33), format: PixelFormat::I420, rate: None });
    let read: Vec<_> = source.by_ref().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(|frame| frame.sequence()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(source.next().is_none());

    // That codec is lossless: the same frames come without ffmpeg.
    let y4m = scratch.path("video.y4m");
    assert!(ffmpeg(&[&TEST_VIDEO[..], &["-pix_fmt", "yuv420p"]].concat(), &y4m));
    let source = file::open(&y4m, &Options::default()).unwrap();
    assert_eq!(source.mode().rate, Rate::new(15, 1));
    let native: Vec<_> = source.map(Result::unwrap).collect();
    assert!(native.iter().map(|frame| frame.data()).eq(read.iter().map(|frame| frame.data())));

    let repeated = file::open(&path, &Options { repeat: true, ..full() }).unwrap();
    assert!(repeated.take(12).map(|frame| frame.unwrap().sequence()).eq(0..12));
}

#[test]
fn red_is_red_whatever_the_file_calls_it() {
    let scratch = Scratch::new();
    let path = scratch.path("red.mkv");
    let red = ["-f", "lavfi", "-i", "color=red:size=64x48", "-frames:v", "2"];
    let hd = [
        "-vf",
        "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
        "-colorspace",
        "bt709",
        "-color_range",
        "tv",
    ];
    if !ffmpeg(&[&red[..], &hd, &["-c:v", "ffv1"]].concat(), &path) {
        return;
    }
    let frame = file::open(path, &full()).unwrap().next().unwrap().unwrap();
    let (luma, differences) = frame.data().split_at(64 * 48);
    // BT.709 would have 63, 102, 240.
    let read = [luma[0], differences[0], differences[32 * 24]];
    assert!(read.iter().zip([81, 90, 240]).all(|(&read, red)| read.abs_diff(red) < 4), "{read:?}");
}

#[test]
fn reads_mjpeg_as_ffmpeg_writes_it() {
    let scratch = Scratch::new();
    let path = scratch.path("video.mjpeg");
    if !ffmpeg(&[&TEST_VIDEO[..], &["-pix_fmt", "yuvj420p", "-f", "mjpeg"]].concat(), &path) {
        return;
    }
    let frames: Vec<_> = file::open(path, &full()).unwrap().map(Result::unwrap).collect();
    assert!(
        frames.len() == 5 && frames.iter().all(|frame| frame.size() == (65, 33) && frame.format() == PixelFormat::Jpeg)
    );
}

#[test]
fn what_ffmpeg_cannot_read_is_an_error_with_its_words() {
    let scratch = Scratch::new();
    if !ffmpeg(&["-f", "lavfi", "-i", "anullsrc", "-t", "0.1"], &scratch.path("silence.wav")) {
        return;
    }
    for path in [scratch.file("text.mp4", b"This is no video."), scratch.path("silence.wav")] {
        let error = file::open(&path, &full()).unwrap_err();
        let OpenError::NoFrame { error: CaptureError::Ffmpeg { message, .. }, .. } = &error else { panic!("{error}") };
        assert!(!message.is_empty(), "{error}");
    }
}

#[test]
fn a_playlist_makes_ffmpeg_ask_nobody() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/part.ts", listener.local_addr().unwrap());
    let scratch = Scratch::new();
    if !ffmpeg(&["-f", "lavfi", "-i", "anullsrc", "-t", "0.1"], &scratch.path("probe.wav")) {
        return;
    }
    let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n");
    let error = file::open(scratch.file("list.m3u8", list.as_bytes()), &full()).unwrap_err();
    assert!(matches!(error, OpenError::NoFrame { error: CaptureError::Ffmpeg { .. }, .. }), "{error}");
    assert!(listener.accept().is_err(), "it was asked");
}

/// Programs in ffmpeg's place, that do what it seldom does.
#[cfg(unix)]
mod stand_in {
    use super::*;

    /// A shell script as the ffmpeg, and any file to read with it.
    fn open(scratch: &Scratch, script: &str) -> Result<file::FileSource, OpenError> {
        scratch.file("good.y4m", &y4m(2));
        let text = scratch.file("text", format!("#!/bin/sh\ncd '{}'\n{script}", scratch.0.path().display()).as_bytes());
        let program = scratch.path("ffmpeg");
        // A program that this process had open for writing may be busy: another thread's child may have it open still.
        let install = Command::new("install").args(["-m", "755"]).args([&text, &program]).status();
        assert!(install.unwrap().success());
        file::open(scratch.file("video.any", b"anything"), &Options { ffmpeg: Some(program), ..full() })
    }

    #[test]
    fn a_failure_after_good_frames_has_its_status_and_words() {
        let scratch = Scratch::new();
        let mut source = open(&scratch, "cat good.y4m; echo one >&2; echo; echo 'two \x1b[31m' >&2; exit 3").unwrap();
        let frames: Vec<_> = source.by_ref().take(2).map(Result::unwrap).collect();
        assert_eq!(frames.len(), 2);
        let error = source.next().unwrap().unwrap_err();
        // The empty line is where a frame should begin.
        assert!(matches!(&error, CaptureError::Damaged { frames: 2, .. }), "{error}");

        let mut source = open(&scratch, "cat good.y4m; echo one >&2; echo 'two \x1b[31m' >&2; exit 3").unwrap();
        assert_eq!(source.by_ref().take(2).filter(Result::is_ok).count(), 2);
        let error = source.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "ffmpeg failed (exit status: 3): one; two  [31m");
        assert!(source.next().is_none());
    }

    #[test]
    fn a_failure_in_the_midst_of_a_frame_is_no_damage() {
        let scratch = Scratch::new();
        let mut source = open(&scratch, "head -c 45 good.y4m; kill -9 $$").unwrap();
        source.next().unwrap().unwrap();
        let error = source.next().unwrap().unwrap_err();
        assert!(matches!(&error, CaptureError::Ffmpeg { status, .. } if status.contains("signal: 9")), "{error}");
    }

    #[test]
    fn a_failure_before_the_first_frame_is_told_at_once() {
        let scratch = Scratch::new();
        for output in ["", "head -c 9 good.y4m;", "head -c 28 good.y4m;"] {
            let error = open(&scratch, &format!("{output} echo boom >&2; exit 1")).unwrap_err();
            assert!(error.to_string().ends_with("ffmpeg failed (exit status: 1): boom"), "{output} {error}");
        }
        let nothing = open(&scratch, "exit 0").unwrap_err();
        assert!(matches!(nothing, OpenError::Header { .. }), "{nothing}");
        let junk = open(&scratch, "yes").unwrap_err();
        assert!(matches!(junk, OpenError::Header { .. }), "{junk}");
    }

    #[test]
    fn many_words_do_not_hold_it_up() {
        let scratch = Scratch::new();
        // Far more than a pipe holds.
        let mut source = open(&scratch, "yes warning | head -c 1000000 >&2; cat good.y4m").unwrap();
        assert_eq!(source.by_ref().map(Result::unwrap).count(), 2);
    }

    #[test]
    fn it_is_gone_when_the_source_is() {
        let scratch = Scratch::new();
        let mut source = open(&scratch, "echo $$ >pid; cat good.y4m; exec sleep 1000").unwrap();
        source.next().unwrap().unwrap();
        let pid = fs::read_to_string(scratch.path("pid")).unwrap().trim().parse().unwrap();
        let alive = || test_kill_process(Pid::from_raw(pid).unwrap()).is_ok();
        assert!(alive());
        drop(source);
        assert!(!alive(), "killed and waited for");
    }
}
