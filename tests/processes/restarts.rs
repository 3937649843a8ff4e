//! Processes that come back, and streams that go on.

use crate::system::{Process, System, limited};

const COUNT: i64 = 400_000;

/// How often the controller is started again on a machine so loaded that this takes longer than silence is borne.
const TRIES: usize = 5;

/// A process with the controller in it, and three more at the same port.
struct Started {
    system: System,
    controller: Process,
    sender: Process,
    one: Process,
    two: Process,
}

async fn start() -> Started {
    let mut system = System::with_port();
    let controller = system.controller("caller", "controller").await;
    let mut sender = system.process("caller", "sender").await;
    let one = system.process("taker", "one").await;
    let two = system.process("taker", "two").await;
    sender.ask("wait one two").await;
    Started { system, controller, sender, one, two }
}

async fn has_all(sender: &mut Process, receivers: [&mut Process; 2]) {
    assert_eq!(sender.answer().await, format!("{COUNT} items: one {COUNT}, two {COUNT}"));
    for receiver in receivers {
        assert!(receiver.took().await.into_iter().eq(1..=COUNT), "each once, and in order");
        assert_eq!(receiver.says("ended").await, format!("sender {COUNT} Finished"));
    }
}

#[tokio::test]
async fn a_stream_goes_on_when_the_controller_is_killed_and_started_again() {
    limited(async {
        let Started { mut system, mut controller, mut sender, mut one, mut two } = start().await;
        sender.tell(&format!("stream {COUNT}")).await;
        one.ask(&format!("counts {}", COUNT / 20)).await;
        controller.kill().await;
        let _controller = system.controller("caller", "controller").await;
        has_all(&mut sender, [&mut one, &mut two]).await;
    })
    .await;
}

#[tokio::test]
async fn a_node_is_told_that_the_controller_was_killed_and_started_again() {
    limited(async {
        let mut system = System::with_port();
        let mut controller = system.controller("controller", "controller").await;
        let mut node = system.process("taker", "node").await;
        for _ in 0..TRIES {
            controller.kill().await;
            controller = system.controller("controller", "controller").await;
            let reason = node.says("disconnected").await;
            node.says("connected").await;
            if reason.starts_with("the peer knows nothing of the connection any more") {
                return;
            }
            assert!(reason.starts_with("nothing was heard from the peer"), "{reason}");
        }
        panic!("it noticed by silence only, {TRIES} times");
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_when_the_controller_is_stopped_and_started_again() {
    limited(async {
        let Started { mut system, mut controller, mut sender, mut one, mut two } = start().await;
        sender.tell(&format!("stream {COUNT}")).await;
        one.ask(&format!("counts {}", COUNT / 20)).await;
        controller.tell("stop").await;
        // What is left of its grace the stream takes; it need not.
        controller.kill().await;
        let _controller = system.controller("caller", "controller").await;
        has_all(&mut sender, [&mut one, &mut two]).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_when_a_receiver_stood_still_for_longer_than_silence_is_borne() {
    limited(async {
        let Started { system: _system, controller: _controller, mut sender, mut one, mut two } = start().await;
        sender.tell(&format!("stream {COUNT}")).await;
        one.ask(&format!("counts {}", COUNT / 20)).await;
        one.pause(5).await;
        has_all(&mut sender, [&mut one, &mut two]).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_when_its_sender_stood_still_for_longer_than_silence_is_borne() {
    limited(async {
        let Started { system: _system, controller: _controller, mut sender, mut one, mut two } = start().await;
        sender.tell(&format!("stream {COUNT}")).await;
        one.ask(&format!("counts {}", COUNT / 20)).await;
        sender.pause(5).await;
        has_all(&mut sender, [&mut one, &mut two]).await;
    })
    .await;
}
