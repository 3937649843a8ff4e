//! A service that stays until it is interrupted, and a client.

use rustix::process::Signal;

use crate::programs::{System, run};

#[test]
fn counters_of_one_type_have_names_of_their_own() {
    run(async {
        let system = System::new();
        let mut service = system.start("counter_service", &[]);
        service.says("counting").await;
        let said = system.start("counter_client", &[]).ends_well().await;
        let expected = [
            "left has 20",
            "added 10 numbers to right, complete: true",
            "right has 55",
            "left has 50",
            "left has reached 50",
            "the one without a name has 0",
        ];
        assert_eq!(said, expected);
        service.signal(Signal::INT);
        assert_eq!(service.ends_well().await, ["left has 50, right has 55"]);
    });
}

#[test]
fn stubs_that_do_not_fit_are_told() {
    run(async {
        let system = System::new();
        let mut service = system.start("contract_service", &[]);
        let duplicate = service.line().await;
        let (first, second) = duplicate.split_once(" and at ").unwrap();
        assert!(first.starts_with(r#"two callbacks are named "weather.forecast": at examples/contract/weather.rs:"#));
        assert!(second.starts_with("examples/contract/service.rs:"), "{duplicate}");
        service.says("the forecast is open").await;

        let (status, said, warnings) = system.start("contract_client", &[]).ends().await;
        assert!(status.success(), "{warnings}");
        assert_eq!(said[..2], ["Oslo: [15, 16, 17]", "Rome: [15, 16]"]);
        assert_eq!(said[2], "Bern was not asked for: the numbers of arguments differ");
        let stub = "  stub     `tomorrow(city: &str) -> Vec<i32>` at examples/contract/client.rs:";
        let callback = "  callback `forecast(city: &str, days: u32) -> Vec<i32>` of node \"weather\" at ";
        let place = said[4].strip_prefix(callback).unwrap_or_default();
        assert!(said[3].starts_with(stub) && place.starts_with("examples/contract/weather.rs:"), "{said:?}");
        assert_eq!(said[5..], ["Kyiv: [15]"]);

        let warned: Vec<_> = warnings.lines().filter(|line| line.contains("WARN")).collect();
        assert!(warned.len() == 1 && warned[0].contains("the types of the arguments differ"), "{warnings}");
        assert!(warned[0].contains("in_other_words") && warned[0].contains("examples/contract/weather.rs:"));
        service.signal(Signal::INT);
        assert_eq!(service.ends_well().await, ["3 days of Oslo", "2 days of Rome", "1 days of Kyiv"]);
    });
}

#[test]
fn callbacks_know_whom_they_answer() {
    run(async {
        let system = System::new();
        let mut service = system.start("whoami_service", &[]);
        service.says("the porter is there").await;
        let said = system.start("whoami_client", &[]).ends_well().await;
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let expected = [
            "Good evening, guest",
            &format!(r#"porter says "the bar closes at ten", as part of {trace}"#),
            r#"porter says "the third place is empty too""#,
            "that is enough",
        ];
        assert_eq!(said, expected);
        let called = service.line().await;
        assert!(called.starts_with(r#"guest called "whoami", with "#) && called.ends_with("s left"), "{called}");
        service.says(&format!(r#"porter passes "the bar closes at ten" on, as part of {trace}"#)).await;
        service.says("nobody waits for the search any more").await;
        service.signal(Signal::INT);
        assert!(service.ends_well().await.is_empty());
    });
}

#[test]
fn rules_say_who_may_do_what() {
    run(async {
        let system = System::new();
        let mut service = system.start("vault_service", &[]);
        service.says("the vault is open").await;
        let refused = |who: &str, what: &str| {
            format!(
                "node {who:?} may not call {what:?} of node \"vault\": no rule of the controller allows {who:?} to call it; whoever keeps \
                 its rules can add one"
            )
        };
        for (name, expected) in [
            ("clerk-1", ["pays in 5: 5".into(), "sees: 5".into(), refused("clerk-1", "empty")]),
            ("guest", ["deposit", "balance", "empty"].map(|what| refused("guest", what))),
            ("director", ["pays in 5: 10".into(), "sees: 10".into(), "takes: 10".into()]),
        ] {
            assert_eq!(system.start("vault_client", &["--name", name]).ends_well().await, expected, "{name}");
        }
        service.says("director empties the vault").await;
        service.signal(Signal::INT);
        assert!(service.ends_well().await.is_empty());
    });
}

#[test]
fn every_modifier_can_be_waited_for() {
    run(async {
        let system = System::new();
        let mut service = system.start("plain_service", &[]);
        service.says("ready").await;
        let said = system.start("plain_client", &[]).ends_well().await;
        let expected = [
            "FG: 9",
            "BG: 16",
            "BROADCAST: server says 25",
            "STREAM: 3 items, complete: true",
            "STREAM: server has the sum 55",
            "results: 3",
            "results: 2",
            "results: 1",
            "PERIOD: ended, failed: 0",
            "four threads: [36, 49, 64, 81]",
        ];
        assert_eq!(said, expected);
        let mut noted = service.ends_well().await;
        assert!(noted.extract_if(.., |line| line == "noted: tick").count() >= 2);
        // What nobody waits for may be overtaken.
        noted.retain(|line| line != "noted: nobody waits for this");
        assert_eq!(noted, ["noted: one", "noted: two", "noted: three"]);
    });
}
