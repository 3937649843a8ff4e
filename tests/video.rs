//! The video demo without windows: producer and viewers in processes of their own, over real sockets.

use std::{fs, path::Path};

#[cfg(target_os = "linux")]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "common/programs.rs"]
mod programs;

use programs::{System, run};
#[cfg(target_os = "linux")]
use programs::{children_of, leaves_nobody_behind, until};

/// One viewer's summary.
fn summary(line: &str) -> Value {
    let summary: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let keys = summary.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    let expected = ["frames", "in_order", "intact", "latency_p50_us", "latency_p99_us", "missed", "viewer"];
    assert_eq!(keys, expected);
    summary
}

/// Checks that a viewer has seen all frames, whole and in order.
fn saw_all(line: &str, viewer: &str, frames: u64) {
    let summary = summary(line);
    assert_eq!(summary["viewer"], viewer);
    assert_eq!(summary["frames"], frames, "{line}");
    assert_eq!((&summary["in_order"], &summary["intact"]), (&true.into(), &true.into()), "{line}");
    assert_eq!(summary["missed"], 0, "{line}");
    assert!(summary["latency_p50_us"].as_u64() <= summary["latency_p99_us"].as_u64(), "{line}");
}

/// The options of a short video.
fn short<'a>(frames: &'a str, others: &[&'a str]) -> Vec<&'a str> {
    [&["--source", "pattern", "--fps", "200", "--frames", frames, "--headless", "--json"], others].concat()
}

#[test]
fn one_command_plays_the_video_to_two_processes() {
    run(async {
        let lines = System::new().start_anywhere("video", &short("150", &[])).ends_well().await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        saw_all(&lines[0], "process2", 150);
        saw_all(&lines[1], "process3", 150);
    });
}

#[test]
fn scaled_and_coded_video_is_whole_too() {
    run(async {
        let others = ["--size", "640x360", "--scale", "20", "--codec", "jpeg:50", "--viewers", "3"];
        let lines = System::new().start_anywhere("video", &short("60", &others)).ends_well().await;
        assert_eq!(lines.len(), 3, "{lines:?}");
        for (line, viewer) in lines.iter().zip(["process2", "process3", "process4"]) {
            saw_all(line, viewer, 60);
        }
    });
}

#[test]
fn producer_and_viewers_start_in_any_order_and_end_with_the_video() {
    run(async {
        let system = System::new();
        let viewer = |name| system.start("video_viewer", &["--name", name, "--headless", "--json"]);
        let second = viewer("process2");
        let producer =
            system.start("video_producer", &["--source", "pattern", "--fps", "200", "--frames", "90", "--json"]);
        let third = viewer("process3");
        let told = producer.ends_well().await;
        assert_eq!(told.len(), 2, "{told:?}");
        for (viewer, (name, told)) in [second, third].into_iter().zip(["process2", "process3"].into_iter().zip(told)) {
            saw_all(&viewer.ends_well().await[0], name, 90);
            saw_all(&told, name, 90);
        }
    });
}

#[test]
fn a_slow_viewer_loses_nothing() {
    run(async {
        let system = System::new();
        let slow = system.start("video_viewer", &["--name", "process2", "--headless", "--json", "--delay", "10ms"]);
        let quick = system.start("video_viewer", &["--name", "process3", "--headless", "--json"]);
        let producer = system.start("video_producer", &["--source", "pattern", "--fps", "0", "--frames", "100"]);
        producer.ends_well().await;
        saw_all(&slow.ends_well().await[0], "process2", 100);
        saw_all(&quick.ends_well().await[0], "process3", 100);
    });
}

#[test]
fn what_a_camera_loses_is_told_and_the_video_goes_on() {
    run(async {
        let faults = ["drop@10:3", "repeat@20", "stall@30:30ms", "unplug@40:10ms"];
        let faults = faults.iter().flat_map(|fault| ["--fault", fault]).collect::<Vec<_>>();
        let (status, lines, errors) = System::new().start_anywhere("video", &short("60", &faults)).ends().await;
        assert!(status.success(), "{errors}");
        assert!(errors.contains("test pattern was unplugged; waiting for it to come back"), "{errors}");
        for line in lines {
            let summary = summary(&line);
            assert_eq!((&summary["frames"], &summary["missed"]), (&60.into(), &3.into()), "{line}");
            assert_eq!((&summary["in_order"], &summary["intact"]), (&true.into(), &true.into()), "{line}");
        }
    });
}

#[test]
fn damage_is_seen() {
    for format in ["rgb", "jpeg"] {
        run(async {
            // As JPEG the frames go out as they come: the viewers see what the camera gave.
            let codec = if format == "jpeg" { "jpeg" } else { "raw" };
            let others = ["--fault", "corrupt@20", "--format", format, "--codec", codec];
            let (status, lines, errors) = System::new().start_anywhere("video", &short("40", &others)).ends().await;
            assert_eq!(status.code(), Some(1));
            assert!(errors.contains("video: not all frames arrived whole and in order"), "{errors}");
            for line in lines {
                let summary = summary(&line);
                assert_eq!((&summary["frames"], &summary["intact"]), (&40.into(), &false.into()), "{line}");
            }
        });
    }
}

#[test]
fn an_unplugged_camera_ends_the_video_with_a_reason() {
    run(async {
        let (status, lines, errors) =
            System::new().start_anywhere("video", &short("60", &["--fault", "unplug@30"])).ends().await;
        assert_eq!(status.code(), Some(1));
        saw_all(&lines[0], "process2", 30);
        saw_all(&lines[1], "process3", 30);
        assert!(errors.ends_with("video: test pattern was unplugged\n"), "{errors}");
    });
}

#[test]
fn a_file_is_played_and_repeated() {
    run(async {
        let system = System::new();
        let file = system.path("grey.y4m");
        let mut video = b"YUV4MPEG2 W32 H16 F100:1 Ip C420jpeg\n".to_vec();
        for frame in 0..10 {
            video.extend(b"FRAME\n");
            video.extend([16 + frame; 32 * 16 * 3 / 2]);
        }
        fs::write(&file, video).unwrap();
        let source = format!("file:{}", file.display());
        let once = ["--source", &source, "--headless", "--json"];
        for line in system.start_anywhere("video", &once).ends_well().await {
            assert_eq!(summary(&line)["frames"], 10, "{line}");
        }
        let repeated = [&once[..], &["--repeat", "--fps", "0", "--frames", "35"]].concat();
        for line in system.start_anywhere("video", &repeated).ends_well().await {
            assert_eq!((&summary(&line)["frames"], &summary(&line)["missed"]), (&35.into(), &0.into()), "{line}");
        }
    });
}

#[test]
fn what_cannot_be_played_is_said() {
    run(async {
        let system = System::new();
        let refused = [
            (["--source", "file:/nowhere/at/all.y4m"], 1, "/nowhere/at/all.y4m"),
            (["--size", "3x3"], 1, "32x16"),
            (["--source=pattern", "--repeat"], 1, "--repeat means nothing for the test pattern"),
            (["--source=file:/nowhere", "--size=64x64"], 1, "--size means nothing for a file"),
            (["--source", "telepathy"], 2, "`camera`, `camera:DEVICE`, `pattern` or `file:PATH`"),
            (["--scale", "0"], 2, "1 to 1000"),
            (["--codec", "jpeg:0"], 2, "1 to 100"),
            (["--fault", "burn@1"], 2, "stall@FRAME:TIME"),
        ];
        for (option, code, expected) in refused {
            let options = [&["--headless"], &option[..]].concat();
            let (status, lines, errors) = system.start_anywhere("video", &options).ends().await;
            assert_eq!(status.code(), Some(code), "{option:?}: {errors}");
            assert!(lines.is_empty() && errors.contains(expected), "{option:?}: {errors}");
        }
    });
}

#[test]
fn without_a_display_a_viewer_says_so_and_the_demo_goes_without() {
    if !cfg!(target_os = "linux") {
        return;
    }
    run(async {
        let system = System::new();
        let (status, _, errors) = system.start("video_viewer", &[]).ends().await;
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("DISPLAY is not set") && errors.contains("--headless"), "{errors}");
        let options = ["--source", "pattern", "--frames", "20", "--json"];
        for line in system.start_anywhere("video", &options).ends_well().await {
            assert_eq!(summary(&line)["frames"], 20);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_viewer_is_told_and_does_not_hold_up_the_other() {
    run(async {
        let system = System::new();
        let pictures = system.path("pictures");
        let options = short("400", &["--snapshots", pictures.to_str().unwrap(), "--snapshot-every", "100"]);
        let video = system.start_anywhere("video", &options);
        until(|| pictures.join("process3-000000.png").exists()).await;
        let viewer = children_of(video.id())[0];
        kill_process(Pid::from_raw(viewer).unwrap(), Signal::KILL).unwrap();
        let (status, lines, errors) = video.ends().await;
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("process2 has left the video: "), "{errors}");
        assert!(errors.ends_with("video: a viewer did not end as it should\n"), "{errors}");
        assert!(summary(&lines[0])["frames"].as_u64() < Some(400), "{lines:?}");
        saw_all(&lines[1], "process3", 400);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_camera_that_is_away_does_not_hold_up_the_end() {
    run(async {
        let system = System::new();
        let options = ["--source", "pattern", "--headless", "--json", "--fault", "unplug@5:1h"];
        let mut video = system.start_anywhere("video", &options);
        video.complains("waiting for it to come back").await;
        video.signal(Signal::INT);
        for line in video.ends_well().await {
            // The last of the five may still have been on its way.
            assert!(summary(&line)["frames"].as_u64() <= Some(5), "{line}");
        }
    });
}

#[test]
fn a_video_of_which_no_frame_can_be_sent_ends() {
    run(async {
        let system = System::new();
        // Each JPEG ends in the middle, and has to be decoded to be sent raw.
        let options = ["--source", "pattern", "--frames", "400", "--fps", "0", "--headless", "--format", "jpeg"];
        let faults = (0..200).map(|frame| format!("corrupt@{frame}")).collect::<Vec<_>>();
        let faults = faults.iter().flat_map(|fault| ["--fault", fault]).collect::<Vec<_>>();
        let (status, lines, errors) = system.start_anywhere("video", &[&options[..], &faults].concat()).ends().await;
        assert_eq!(status.code(), Some(1));
        assert!(lines.iter().all(|line| line.contains("no frame arrived")), "{lines:?}");
        assert!(errors.contains("video: 100 frames in a row could not be sent"), "{errors}");
    });
}

/// A picture of every frame shows that a viewer sees them.
#[cfg(target_os = "linux")]
async fn sees_more(pictures: &Path, viewer: &str) {
    let count = || {
        let entries = fs::read_dir(pictures).into_iter().flatten();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(viewer)).count()
    };
    let before = count();
    until(|| count() > before + 2).await;
}

#[cfg(target_os = "linux")]
#[test]
fn a_viewer_comes_and_goes_at_any_time() {
    run(async {
        let system = System::new();
        let pictures = system.path("pictures");
        let snapshots = ["--snapshots", pictures.to_str().unwrap(), "--snapshot-every", "1"];
        let viewer = |name| {
            let options = [&["--name", name, "--headless", "--json"], &snapshots[..]].concat();
            system.start("video_viewer", &options)
        };
        let options = ["--source", "pattern", "--size", "64x32", "--fps", "50", "--expect", "process2"];
        let producer = system.start("video_producer", &options);
        let second = viewer("process2");
        sees_more(&pictures, "process2").await;
        // One comes, and both see the video.
        let third = viewer("process3");
        sees_more(&pictures, "process3").await;
        sees_more(&pictures, "process2").await;
        // One goes, and is not missed.
        second.signal(Signal::INT);
        let said = second.ends_well().await;
        let summary = summary(&said[0]);
        assert_eq!(
            (&summary["in_order"], &summary["intact"], &summary["missed"]),
            (&true.into(), &true.into(), &0.into())
        );
        sees_more(&pictures, "process3").await;
        // One is killed, and none is left; one of the same name comes back.
        third.signal(Signal::KILL);
        third.ends().await;
        let second = viewer("process2");
        sees_more(&pictures, "process2").await;
        producer.signal(Signal::INT);
        producer.ends_well().await;
        let said = second.ends_well().await;
        assert!(said[0].contains(r#""in_order":true,"intact":true"#), "{said:?}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_video_leaves_no_process_behind() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        run(async {
            let system = System::new();
            let pictures = system.path("pictures");
            let options = ["--source", "pattern", "--headless", "--json", "--snapshots", pictures.to_str().unwrap()];
            let video = system.start_anywhere("video", &options);
            // The first frame of the second viewer is there: both run.
            until(|| pictures.join("process3-000000.png").exists()).await;
            let (status, lines, errors) = leaves_nobody_behind(video, signal, 2).await;
            match signal {
                Signal::KILL => assert_eq!(status.code(), None),
                _ => {
                    assert!(status.success() && errors.contains("stopped by"), "{status}: {errors}");
                    assert!(lines.iter().all(|line| summary(line)["frames"].as_u64() > Some(0)), "{lines:?}");
                    assert_eq!(lines.len(), 2);
                }
            }
        });
    }
}
