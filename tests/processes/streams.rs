//! Streams between processes.

use crate::system::{System, limited};

#[tokio::test]
async fn a_stream_to_one_process_is_there_when_the_call_returns() {
    limited(async {
        let mut system = System::new();
        let mut receiver = system.controller("taker", "receiver").await;
        let mut sender = system.process("taker", "sender").await;
        sender.ask("wait receiver").await;

        assert_eq!(sender.ask("stream 100").await, "100 items: receiver 100");
        assert!(receiver.took().await.into_iter().eq(1..=100));
        // Its own callback of that name is not called.
        assert!(sender.took().await.is_empty());
        assert_eq!(receiver.says("ended").await, "sender 100 Finished");
    })
    .await;
}

#[tokio::test]
async fn a_stream_to_three_processes_is_there_when_the_call_returns() {
    limited(async {
        let mut system = System::new();
        let mut sender = system.controller("taker", "sender").await;
        let mut one = system.process("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        let mut three = system.process("taker", "three").await;
        let mut bystander = system.process("bystander", "bystander").await;
        sender.ask("wait one two three bystander").await;

        assert_eq!(sender.ask("stream 100").await, "100 items: one 100, three 100, two 100");
        for receiver in [&mut one, &mut two, &mut three] {
            assert!(receiver.took().await.into_iter().eq(1..=100));
        }
        assert!(sender.took().await.is_empty());
        assert!(bystander.took().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_source_that_fails_leaves_the_items_before_it() {
    limited(async {
        let mut system = System::new();
        let mut one = system.controller("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait one two").await;

        for (command, says) in
            [("stream-and-fail 1000", "the camera is gone"), ("stream-and-panic 1000", "it panicked: out of film")]
        {
            assert_eq!(sender.ask(command).await, format!("the source failed after 1000 items: {says}"));
            for receiver in [&mut one, &mut two] {
                let end = receiver.says("ended").await;
                assert_eq!(end, format!("sender 1000 SourceFailed {{ message: {says:?} }}"));
                assert!(receiver.took().await.into_iter().eq(1..=1000));
                receiver.ask("forget").await;
            }
        }
        assert_eq!(sender.ask("stream 10").await, "10 items: one 10, two 10");
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_item_is_never_whole_in_the_controller_and_never_twice_in_a_receiver() {
    const MIB: u64 = 1 << 20;
    limited(async {
        let mut system = System::new();
        let controller = system.controller("controller", "controller").await;
        let receiver = system.process("taker", "receiver").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait receiver").await;
        assert_eq!(sender.ask("large-pictures 128 2").await, "2 items: receiver 2 0 Ok(())");
        // What may be on its way, and the program.
        assert!(controller.most_memory() < 64 * MIB, "{} bytes", controller.most_memory());
        // The item as it came, the item as the callback has it, and a part of the next; a third one would be too much.
        assert!(receiver.most_memory() < 3 * 128 * MIB, "{} bytes", receiver.most_memory());
    })
    .await;
}

#[tokio::test]
async fn small_calls_get_through_beside_a_stream_at_full_speed() {
    limited(async {
        let mut system = System::new();
        let _controller = system.controller("controller", "controller").await;
        let mut receiver = system.process("taker", "receiver").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait receiver").await;

        sender.tell("call-beside-stream 300 receiver").await;
        receiver.ask("counts 100").await;
        assert_eq!(sender.answer().await, "300 calls");
        assert!(receiver.says("ended").await.ends_with(" Cancelled"));
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_receiver_that_stands_still_for_a_while_misses_nothing() {
    limited(async {
        let mut system = System::new();
        let mut sender = system.controller("caller", "sender").await;
        let mut one = system.process("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        sender.ask("wait one two").await;

        sender.tell("stream 300000").await;
        one.ask("counts 1").await;
        // Not as long as it takes until it is given up for lost.
        one.pause(2).await;
        assert_eq!(sender.answer().await, "300000 items: one 300000, two 300000");
        for receiver in [&mut one, &mut two] {
            assert!(receiver.took().await.into_iter().eq(1..=300_000));
        }
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_receiver_may_stand_still_for_as_long_as_the_config_file_says() {
    limited(async {
        let mut system = System::configured("[limits]\nsilence = \"10s\"\n");
        let mut sender = system.controller("caller", "sender").await;
        let mut receiver = system.process("taker", "receiver").await;
        sender.ask("wait receiver").await;
        sender.tell("stream 300000").await;
        receiver.ask("counts 1").await;
        receiver.pause(5).await;
        assert_eq!(sender.answer().await, "300000 items: receiver 300000");
        receiver.ask("stop").await;
        // Until then it has not lost its connection.
        let reason = receiver.says("disconnected").await;
        assert!(!reason.contains("nothing was heard") && !reason.contains("had heard nothing"), "{reason}");
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_infinite_stream_takes_no_memory_and_ends_with_its_call() {
    /// How much more memory a process may have in use at the end of the stream than soon after its beginning. All items of
    /// the stream take more.
    const ROOM: u64 = 8 << 20;
    limited(async {
        let mut system = System::new();
        let controller = system.controller("controller", "controller").await;
        let mut receiver = system.process("taker", "receiver").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait receiver").await;

        sender.tell("stream-forever").await;
        // By then it has all that it needs.
        receiver.ask("counts 200000").await;
        let before = [&controller, &sender, &receiver].map(|process| process.memory());
        receiver.ask("counts 2200000").await;
        let after = [&controller, &sender, &receiver].map(|process| process.memory());
        for (before, after) in before.into_iter().zip(after) {
            assert!(after < before + ROOM, "{before} bytes have become {after}");
        }

        sender.tell("drop").await;
        assert_eq!(sender.answer().await, "dropped");
        sender.says("source-dropped").await;
        let end = receiver.says("ended").await;
        let delivered = end.strip_prefix("sender ").and_then(|end| end.strip_suffix(" Cancelled"));
        let delivered = delivered.unwrap_or_else(|| panic!("it ended otherwise: {end}"));
        assert_eq!(receiver.ask(&format!("counts {delivered}")).await, delivered);
    })
    .await;
}
