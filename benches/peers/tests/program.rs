//! The program as it is run: processes, figures, exit status.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn every_system_answers_calls_in_turn() {
    let systems = "daffi,tonic-hop,raw-tcp,raw-quinn";
    let args = ["calls", "--runs", "2", "--count", "50", "--json", "--systems", systems];
    let (status, lines, errors) = run(&args);
    assert!(status.success(), "{errors}");
    assert_eq!(texts(&lines, "system").join(","), systems);
    for line in &lines {
        let number = |field: &str| line[field].as_f64().unwrap();
        assert_eq!((&line["work"], &line["unit"]), (&"calls".into(), &"us".into()));
        assert_eq!((&line["receivers"], &line["runs"], &line["count"]), (&1.into(), &2.into(), &50.into()));
        assert!(
            0.0 < number("min") && number("min") <= number("median") && number("median") <= number("max"),
            "{line}"
        );
        assert!(number("p50_us") == number("median") && number("p50_us") <= number("p99_us"), "{line}");
        assert!(number("cpu_s_per_unit") > 0.0, "{line}");
    }
    let order: Vec<_> = errors.lines().filter_map(|line| line.strip_prefix("round ")?.split(':').next()).collect();
    let expected: Vec<_> = ["1", "2"]
        .iter()
        .flat_map(|round| systems.split(',').map(move |system| format!("{round}, {system}")))
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn many_in_flight_are_told_as_a_rate() {
    let (status, lines, errors) = run(&["calls-64", "--count", "1000", "--json", "--systems", "raw-quinn,daffi"]);
    assert!(status.success(), "{errors}");
    assert_eq!(texts(&lines, "unit"), ["calls/s", "calls/s"]);
    assert!(lines.iter().all(|line| line["in_flight"] == 64 && line["tls"] == true));
}

#[test]
fn without_json_it_is_a_table() {
    let output = program(&["calls", "--count", "50", "--systems", "raw-tcp"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.lines().nth(2).unwrap().starts_with("raw-tcp "), "{table}");
}

#[test]
fn streams_go_to_one_and_to_two_and_all_arrives() {
    let systems = "daffi,zenoh-tcp,zenoh-quic,tonic-hop,raw-tcp,raw-quinn";
    let (status, lines, errors) = run(&["tiny", "--count", "500", "--json", "--systems", systems]);
    assert!(status.success(), "{errors}");
    assert_eq!(texts(&lines, "system").join(","), format!("{systems},{systems}"));
    assert_eq!(lines.iter().filter(|line| line["receivers"] == 2).count(), 6);
    for line in &lines {
        assert_eq!((&line["unit"], &line["lost"], &line["count"]), (&"items/s".into(), &0.into(), &500.into()));
        assert!(
            line["median"].as_f64().unwrap() > 0.0 && line["cpu_s_per_unit_of"]["receivers"].as_f64().unwrap() > 0.0
        );
        assert!(line.get("p99_us").is_none() && line.get("in_flight").is_none(), "{line}");
    }
}

#[test]
fn frames_go_to_as_many_as_are_wanted() {
    let systems = "daffi,zenoh-tls,raw-quinn";
    let args = ["frames", "--count", "10", "--receivers", "3", "--json", "--systems", systems];
    let (status, lines, errors) = run(&args);
    assert!(status.success(), "{errors}");
    assert_eq!(texts(&lines, "system").join(","), systems);
    assert!(lines.iter().all(|line| line["unit"] == "MiB/s" && line["receivers"] == 3));
}

#[test]
fn live_frames_have_an_age() {
    let (status, lines, errors) = run(&["live", "--count", "10", "--json", "--systems", "daffi,raw-tcp"]);
    assert!(status.success(), "{errors}");
    for line in &lines {
        let number = |field: &str| line[field].as_f64().unwrap();
        assert!(0.0 < number("p50_us") && number("p50_us") <= number("p99_us"), "{line}");
        assert_eq!(number("p99_us"), number("median"));
    }
}

#[test]
fn a_slow_receiver_is_told_apart_and_left_away() {
    let (status, lines, errors) = run(&["slow-receiver", "--count", "10", "--json", "--systems", "zenoh-tcp"]);
    assert!(status.success(), "{errors}");
    assert_eq!(texts(&lines, "system"), ["zenoh-tcp", "zenoh-tcp-alone"]);
    assert!(lines[0]["slow"]["items"].as_u64().unwrap() > 0 && lines[1].get("slow").is_none());
    assert_eq!((&lines[0]["receivers"], &lines[1]["receivers"]), (&3.into(), &2.into()));
}

#[test]
fn daffi_3_is_measured_or_missed() {
    let (status, lines, errors) = run(&["tiny", "--count", "100", "--json", "--systems", "daffi-3,raw-tcp"]);
    if status.success() {
        assert_eq!(texts(&lines, "system"), ["daffi-3", "raw-tcp", "daffi-3", "raw-tcp"]);
    } else {
        assert!(errors.contains("daffi-3 failed") && errors.contains("install-daffi-3"), "{errors}");
        assert_eq!(texts(&lines, "system"), ["raw-tcp", "raw-tcp"], "the others are measured nevertheless");
    }
}

#[test]
fn a_report_without_a_place_for_it_is_refused_before_anything_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let document = dir.path().join("benchmarks.md");
    let args = ["report", "--document", document.to_str().unwrap()];
    let refused = || {
        let Output { status, stderr, .. } = program(&args).output().unwrap();
        assert!(!status.success());
        String::from_utf8(stderr).unwrap()
    };
    assert!(refused().contains("root of the repository"));
    std::fs::write(&document, "# Benchmarks\n").unwrap();
    let error = refused();
    assert!(error.contains("measured: begin") && !error.contains("round 1"), "{error}");
}

#[test]
fn nats_is_measured_or_missed() {
    let (status, lines, errors) = run(&["calls", "--count", "50", "--json", "--systems", "nats,nats-tls,raw-tcp"]);
    if status.success() {
        assert_eq!(texts(&lines, "system"), ["nats", "nats-tls", "raw-tcp"]);
        assert_eq!(lines.iter().map(|line| &line["tls"]).collect::<Vec<_>>(), [false, true, false]);
    } else {
        assert!(errors.contains("nats failed") && errors.contains("apt-get install nats-server"), "{errors}");
        assert_eq!(texts(&lines, "system"), ["raw-tcp"], "the others are measured nevertheless");
    }
}

#[test]
fn an_unknown_system_is_refused_with_those_that_there_are() {
    let Output { status, stderr, .. } = program(&["calls", "--systems", "pigeons"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stderr.contains("raw-tcp"), "{stderr}");
}

#[test]
fn a_system_that_does_not_do_the_work_is_refused() {
    let Output { status, stderr, .. } = program(&["calls", "--systems", "daffi,zenoh-tcp"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stderr.contains("zenoh-tcp does not do calls"), "{stderr}");
}

/// The children of a killed program hold its stderr open, so its end is the end of them all.
#[test]
fn no_child_outlives_the_program() {
    let mut child = program(&["calls", "--runs", "100000", "--count", "50", "--systems", "daffi"]).spawn().unwrap();
    let lines = stderr_of(&mut child);
    let first = lines.recv_timeout(PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.unwrap().starts_with("round 1"));
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("there are children left"),
        }
    }
}

fn program(args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_daffi-peers"));
    program.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// Exit status, the lines of JSON, and what stands on stderr.
fn run(args: &[&str]) -> (ExitStatus, Vec<Value>, String) {
    let Output { status, stdout, stderr } = program(args).output().unwrap();
    let lines = String::from_utf8(stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (status, lines, String::from_utf8_lossy(&stderr).into_owned())
}

fn texts<'a>(lines: &'a [Value], field: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[field].as_str().unwrap()).collect()
}

fn stderr_of(child: &mut Child) -> Receiver<String> {
    let stderr = child.stderr.take().unwrap();
    let (sender, lines) = channel();
    thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}
