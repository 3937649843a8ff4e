//! Runs the examples as a user does: each in a process of its own, all options but the port left out.

use std::path::Path;

#[cfg(unix)]
use rustix::process::Signal;
use tokio::process::Command;

#[path = "common/programs.rs"]
mod programs;
#[cfg(unix)]
#[path = "examples/receivers.rs"]
mod receivers;
#[cfg(unix)]
#[path = "examples/results.rs"]
mod results;
#[cfg(unix)]
#[path = "examples/services.rs"]
mod services;
#[path = "examples/tools.rs"]
mod tools;
#[cfg(all(feature = "opentelemetry", unix))]
#[path = "examples/trace.rs"]
mod trace;

use programs::{System, run};
#[cfg(target_os = "linux")]
use programs::{leaves_nobody_behind, until};

/// Sends 1 to 100 to two receivers; what the sender said, and what the receivers have.
async fn sequence(sender: &str) -> (Vec<String>, [String; 2]) {
    let system = System::new();
    // Whoever starts first waits for the others.
    let mut second = system.start("sequence_receiver", &["--name", "process2"]);
    let sender = system.start(sender, &[]);
    let mut third = system.start("sequence_receiver", &["--name", "process3"]);
    second.says("process2 has joined").await;
    third.says("process3 has joined").await;
    let said = sender.ends_well().await;
    (said, [second.ends_well().await.concat(), third.ends_well().await.concat()])
}

#[test]
fn a_sequence_in_the_background_is_shared_out() {
    run(async {
        let (said, receivers) = sequence("sequence_bg").await;
        assert_eq!(said, ["100 values sent, in turn to process2, process3"]);
        let mut total = 0;
        for received in receivers {
            assert!(received.contains(" has 50 values, "), "{received}");
            total += received.rsplit(' ').next().unwrap().parse::<i64>().unwrap();
        }
        assert_eq!(total, 5050);
    });
}

#[test]
fn a_sequence_of_broadcasts_reaches_all() {
    run(async {
        let (said, receivers) = sequence("sequence_broadcast").await;
        assert_eq!(said, ["100 values sent, 200 answers"]);
        assert_eq!(receivers, ["process2", "process3"].map(all_in_order));
    });
}

#[test]
fn a_sequence_as_a_stream_reaches_all() {
    run(async {
        let (mut said, receivers) = sequence("sequence_stream").await;
        said.sort();
        assert_eq!(said, ["process2 took 100 of 100 values", "process3 took 100 of 100 values"]);
        assert_eq!(receivers, ["process2", "process3"].map(all_in_order));
    });
}

fn all_in_order(name: &str) -> String {
    format!("{name} has 100 values, in order, their sum is 5050")
}

#[test]
fn tuples_are_streamed() {
    run(async {
        let system = System::new();
        let mut receiver = system.start("stream_of_tuples_receiver", &[]);
        receiver.says("waiting for a stream").await;
        let sender = system.start("stream_of_tuples_sender", &[]);
        for line in ["1 2 a", "3 4 b", "5 6 c", "the stream of process2 ended after 3 items: Finished"] {
            receiver.says(line).await;
        }
        assert_eq!(sender.ends_well().await, ["sent 3 tuples, complete: true"]);
        assert!(receiver.ends_well().await.is_empty());
    });
}

#[test]
fn structs_are_streamed() {
    run(async {
        let system = System::new();
        let receiver = system.start("stream_of_structs_receiver", &[]);
        let sender = system.start("stream_of_structs_sender", &[]);
        assert_eq!(sender.ends_well().await, ["sent 10 readings, complete: true"]);
        let lines = receiver.ends_well().await;
        assert_eq!(lines.len(), 11, "{lines:?}");
        assert_eq!(lines[0], "cellar has 12.0 °C");
        assert_eq!(lines[9..], ["roof has 16.5 °C", "the sender is gone"]);
    });
}

#[test]
fn a_slow_display_sees_the_newest_and_the_log_has_all() {
    run(async {
        let system = System::new();
        let mut sensor = system.start("gauge_sensor", &["--displays", "2"]);
        sensor.says("waiting for 2 displays").await;
        let display = system.start("gauge_display", &[]);
        let log = system.start("gauge_display", &["--log"]);
        let said = sensor.ends_well().await;
        assert!(said.contains(&"log: 300 of 300 values, 0 dropped".to_owned()), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("display was too slow for ")), "{said:?}");
        let shown = display.ends_well().await;
        assert_eq!(shown[shown.len() - 2], "300", "{shown:?}");
        let count = shown.len() - 1;
        assert_eq!(shown[count], format!("{count} values taken, {} missed", 300 - count));
        assert_eq!(log.ends_well().await, ["300 values taken, 0 missed", "the sum is 45150"]);
    });
}

#[test]
fn a_fan_who_comes_late_knows_the_score() {
    run(async {
        let system = System::new();
        let mut game = system.start("scores_game", &[]);
        game.says("waiting for a fan").await;
        let mut first = system.start("scores_fan", &["--name", "first"]);
        // By then there is a whole score that is newer than the first item.
        while first.line().await != "3 : 1" {}
        let second = system.start("scores_fan", &["--name", "second"]);
        game.says("second has come").await;
        let said = game.ends_well().await;
        assert_eq!(said.len(), 2, "{said:?}");
        // In the order in which they were through.
        assert!(said.contains(&"first saw 81 of 81 from number 0 on".to_owned()), "{said:?}");
        let late = |line: &String| line.starts_with("second saw ") && !line.ends_with(" from number 0 on");
        assert!(said.iter().any(late), "{said:?}");
        for fan in [first, second] {
            let saw = fan.ends_well().await;
            assert_eq!(saw[saw.len() - 2..], ["40 : 20", "the game is over: Finished"]);
        }
    });
}

#[cfg(unix)]
#[test]
fn the_shop_serves_and_refuses() {
    run(async {
        let system = System::new();
        let mut shop = system.start("shop_service", &[]);
        shop.says("the shop is open").await;
        let said = system.start("shop_client", &[]).ends_well().await;
        let expected = [
            "10 of apple at 50 cents",
            "2 of melon at 300 cents",
            "bought 3 of apple for 150 cents",
            "melon: the shop has only 2",
            "gave back receipt 1",
            "shop had apples for 50 cents before",
            "taking stock takes too long",
        ];
        assert_eq!(said, expected);
        // Its state outlives its customers.
        let said = system.start("shop_client", &[]).ends_well().await;
        assert_eq!(said[0], "10 of apple at 60 cents");
        shop.signal(Signal::INT);
        let sold = ["sold 3 of apple", "took back 3 of apple", "apple costs 60 cents now"];
        assert_eq!(shop.ends_well().await, [&sold[..], &sold, &["the shop is closed"]].concat());
    });
}

#[test]
fn a_pipeline_passes_calls_and_their_deadline_on() {
    run(async {
        let system = System::new();
        let [first, second, third] =
            ["pipeline_first", "pipeline_second", "pipeline_third"].map(|name| system.start(name, &[]));
        let said = system.start("pipeline_caller", &[]).ends_well().await;
        assert!(said.len() == 2 && said[0] == "7 words" && said[1].starts_with("no answer in time"), "{said:?}");
        let third = third.ends_well().await;
        assert_eq!(third, ["third counts", "third has counted 7 words", "third counts", "third was stopped"]);
        assert_eq!(first.ends_well().await, ["first cleans"; 2]);
        assert_eq!(second.ends_well().await, ["second splits"; 2]);
    });
}

#[test]
fn a_schedule_runs_until_it_is_cancelled() {
    run(async {
        let system = System::new();
        let worker = system.start("schedule_worker", &[]);
        let mut caller = system.start("schedule_caller", &[]);
        caller.says("tidy every Some(200ms), run by caller").await;
        let said = caller.ends_well().await.concat();
        assert!(said.starts_with("cancelled after ") && said.ends_with(" schedules left: 0"), "{said}");
        let worked = worker.ends_well().await;
        let expected = (1..=5).map(|times| format!("tidied up: {times}")).collect::<Vec<_>>();
        assert_eq!(worked[..5], expected);
        assert_eq!(worked.last().unwrap(), "the caller is gone");
    });
}

/// Bytes that do not repeat themselves; the length is no multiple of anything.
fn write_bytes(path: &Path, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_file_is_copied_to_all_receivers() {
    run(async {
        let system = System::new();
        let (input, out) = (system.path("input"), system.path("out"));
        let bytes = write_bytes(&input, (5 << 20) + 12_345);
        let arguments = ["--input", input.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"];
        let said = system.start_anywhere("file_stream", &arguments).ends_well().await;

        let summary: serde_json::Value = serde_json::from_str(said.last().unwrap()).unwrap();
        assert_eq!(summary["receivers"], 3);
        assert_eq!(summary["bytes"], bytes.len());
        assert_eq!(summary["equal"], true);
        assert!(summary["seconds"].as_f64().unwrap() > 0.0);
        if cfg!(target_os = "linux") {
            for part in ["sender", "controller", "receiver"] {
                let peak = summary["peak_rss_mib"][part].as_f64().unwrap();
                assert!(peak > 1.0 && peak < 64.0, "{part}: {peak} MiB");
            }
        }
        for number in 1..=3 {
            let copy = std::fs::read(out.join(format!("receiver-{number}.bin"))).unwrap();
            assert!(copy == bytes, "copy {number} differs");
        }
    });
}

#[test]
fn an_empty_file_is_copied_too() {
    run(async {
        let system = System::new();
        let input = system.path("input");
        write_bytes(&input, 0);
        let arguments = ["--input", input.to_str().unwrap(), "--receivers", "1", "--json"];
        let said = system.start_anywhere("file_stream", &arguments).ends_well().await;
        assert!(said.last().unwrap().starts_with(r#"{"receivers":1,"bytes":0,"equal":true,"#), "{said:?}");
    });
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    run(async {
        let system = System::new();
        for (input, reason) in [(system.path("none"), "No such file"), (system.path("."), "directory")] {
            let (status, said, errors) =
                system.start_anywhere("file_stream", &["--input", input.to_str().unwrap()]).ends().await;
            assert_eq!(status.code(), Some(1));
            assert!(said.is_empty(), "{said:?}");
            let expected = format!("file_stream: could not read {}: ", input.display());
            assert!(errors.starts_with(&expected) && errors.contains(reason), "{errors}");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_copy_leaves_no_process_behind() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        run(async {
            let system = System::new();
            let (input, out) = (system.path("pipe"), system.path("out"));
            // A pipe that nobody closes: the copy cannot come to its end.
            assert!(Command::new("mkfifo").arg(&input).status().await.unwrap().success());
            let _pipe = std::fs::File::options().read(true).write(true).open(&input).unwrap();
            let arguments = ["--input", input.to_str().unwrap(), "--out", out.to_str().unwrap()];
            let sender = system.start_anywhere("file_stream", &arguments);
            // All are there when the last receiver has made its file.
            until(|| out.join("receiver-3.bin").exists()).await;
            let (status, _, errors) = leaves_nobody_behind(sender, signal, 4).await;
            match signal {
                Signal::KILL => assert_eq!(status.code(), None),
                _ => assert!(status.code() == Some(1) && errors.contains("stopped by"), "{status}: {errors}"),
            }
        });
    }
}
