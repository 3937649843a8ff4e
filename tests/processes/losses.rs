//! Processes that are killed.

use std::time::{Duration, Instant};

use daffi::limits;

use crate::system::{System, limited};

/// For a loaded machine.
const SLACK: Duration = Duration::from_secs(3);

/// By when it has been noticed that a process was killed.
const NOTICED: Duration = limits::SILENCE.saturating_add(SLACK);

/// By when a stream goes on without it, or ends: it may come back, and now and then it is looked whether it has.
const GIVEN_UP: Duration = NOTICED.saturating_add(limits::RESUME).saturating_add(Duration::from_millis(2_500));

#[tokio::test]
async fn a_call_ends_when_its_receiver_is_killed() {
    limited(async {
        let mut system = System::new();
        let mut sender = system.controller("taker", "sender").await;
        let mut receiver = system.process("taker", "receiver").await;
        sender.ask("wait receiver").await;

        sender.tell("hang receiver").await;
        receiver.says("hanging").await;
        receiver.kill().await;
        let killed = Instant::now();
        let lost = r#"node "receiver" was lost during the call; its callback may have run"#;
        assert_eq!(sender.answer().await, lost);
        assert!(killed.elapsed() < NOTICED, "{:?}", killed.elapsed());
        // It is gone, and its place is free.
        let _again = system.process("taker", "receiver").await;
        sender.ask("wait receiver").await;
        assert_eq!(sender.ask("add 1 2 receiver").await, "3");
    })
    .await;
}

#[tokio::test]
async fn a_controller_that_is_killed_is_missed_as_well() {
    limited(async {
        let mut system = System::new();
        let mut controller = system.controller("controller", "controller").await;
        let mut node = system.process("taker", "node").await;
        controller.kill().await;
        let killed = Instant::now();
        let reason = node.says("disconnected").await;
        assert!(reason.contains("nothing was heard"), "{reason}");
        assert!(killed.elapsed() < limits::KEEP_ALIVE + NOTICED, "{:?}", killed.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_death_is_noticed_as_soon_as_the_config_file_says() {
    limited(async {
        let mut system = System::configured("[limits]\nsilence = \"500ms\"\n");
        let mut sender = system.controller("taker", "sender").await;
        let mut receiver = system.process("taker", "receiver").await;
        sender.ask("wait receiver").await;
        sender.tell("hang receiver").await;
        receiver.says("hanging").await;
        // Neither says anything for longer than that.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        receiver.kill().await;
        let killed = Instant::now();
        let lost = r#"node "receiver" was lost during the call; its callback may have run"#;
        assert_eq!(sender.answer().await, lost);
        // By default it takes longer than this, from the receiver's last word on.
        assert!(killed.elapsed() < limits::SILENCE - limits::KEEP_ALIVE, "{:?}", killed.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_results_ends_when_its_source_is_killed() {
    limited(async {
        let mut system = System::new();
        let mut taker = system.controller("caller", "taker").await;
        let mut source = system.process("taker", "source").await;
        taker.ask("wait source").await;

        taker.tell("take-results source").await;
        taker.says("taking").await;
        source.kill().await;
        let killed = Instant::now();
        let lost = r#"node "source" was lost during the call; its callback may have run"#;
        assert_eq!(taker.answer().await, lost);
        assert!(killed.elapsed() < NOTICED, "{:?}", killed.elapsed());
        // It is gone, and its place is free.
        let _again = system.process("taker", "source").await;
        taker.ask("wait source").await;
        assert_eq!(taker.ask("add 1 2 source").await, "3");
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_without_a_receiver_that_is_killed() {
    limited(async {
        let mut system = System::new();
        let mut sender = system.controller("caller", "sender").await;
        let mut one = system.process("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        let mut victim = system.process("victim", "victim").await;
        sender.ask("wait one two victim").await;

        // More than may be on its way, so that it cannot end while the victim holds it up.
        sender.tell("stream 100000").await;
        victim.says("hanging").await;
        victim.kill().await;
        let killed = Instant::now();
        let report = sender.answer().await;
        assert!(killed.elapsed() < GIVEN_UP, "{:?}", killed.elapsed());
        let (others, lost) = report.split_once(", victim ").unwrap_or_else(|| panic!("{report}"));
        assert_eq!(others, "100000 items: one 100000, two 100000");
        let (delivered, why) = lost.split_once(' ').unwrap();
        assert!(delivered.parse::<u64>().unwrap() < 1_000, "{report}");
        assert_eq!(why, r#"(node "victim" was lost during the call; its callback may have run)"#);
        for receiver in [&mut one, &mut two] {
            assert!(receiver.took().await.into_iter().eq(1..=100_000));
            assert_eq!(receiver.says("ended").await, "sender 100000 Finished");
        }
    })
    .await;
}

#[tokio::test]
async fn receivers_learn_that_the_sender_was_killed() {
    limited(async {
        let mut system = System::new();
        let mut one = system.controller("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait one two").await;

        sender.tell("stream-forever").await;
        for receiver in [&mut one, &mut two] {
            receiver.ask("counts 50000").await;
        }
        sender.kill().await;
        let killed = Instant::now();
        for receiver in [&mut one, &mut two] {
            let end = receiver.says("ended").await;
            let delivered = end.strip_prefix("sender ").and_then(|end| end.strip_suffix(" ProducerLost"));
            let delivered = delivered.unwrap_or_else(|| panic!("it ended otherwise: {end}"));
            assert_eq!(receiver.ask(&format!("counts {delivered}")).await, delivered);
        }
        assert!(killed.elapsed() < GIVEN_UP, "{:?}", killed.elapsed());
        // They have each other still.
        assert_eq!(one.ask("add 1 2 two").await, "3");
        assert_eq!(two.ask("stream 10").await, "10 items: one 10");
    })
    .await;
}
