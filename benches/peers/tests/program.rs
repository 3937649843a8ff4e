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
