//! A short soak, as the program runs it: its processes are killed and paused, and everything is accounted for.

use std::process::{Command, Stdio};

use serde_json::Value;

/// By it a receiver is killed first, then the controller, and then that one stands still for longer than silence is borne.
const SEED: &str = "893";

#[test]
fn a_short_soak_with_faults_is_accounted_for() {
    let soak = Command::new(env!("CARGO_BIN_EXE_daffi-bench"))
        .args(["soak", "--seconds", "15", "--faults", "--json", "--seed", SEED])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let (told, log) = (String::from_utf8_lossy(&soak.stdout), String::from_utf8_lossy(&soak.stderr));
    assert!(soak.status.success(), "{told}\n{log}");
    let verdict: Value = serde_json::from_str(told.trim()).expect("one line of JSON");
    assert_eq!(verdict["verdict"], "ok", "{log}");
    assert_eq!(verdict["accounted"], true, "{log}");
    assert_eq!((&verdict["lost"], &verdict["repeated"]), (&0.into(), &0.into()), "{log}");
    for (what, least) in [("faults", 2), ("calls", 100), ("items", 1_000)] {
        assert!(verdict[what].as_u64().is_some_and(|count| count >= least), "{what}: {told}");
    }
    for measured in ["resume_ms", "notice_ms"] {
        assert!(verdict[measured]["count"].as_u64().is_some_and(|count| count > 0), "{measured}: {told}\n{log}");
    }
}
