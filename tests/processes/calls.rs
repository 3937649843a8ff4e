//! Calls between processes.

use crate::system::{System, limited};

#[tokio::test]
async fn one_way_calls_in_a_loop_all_arrive_once() {
    limited(async {
        let mut system = System::new();
        let mut receiver = system.controller("taker", "process1").await;
        let mut sender = system.process("caller", "process2").await;
        sender.ask("wait process1").await;

        assert_eq!(sender.ask("one-way 100").await, "sent");
        receiver.ask("counts 100").await;
        // Once the sender has left, nothing of it is under way any more.
        assert!(sender.stop().await.success());
        let mut taken = receiver.took().await;
        // They run side by side, so their order is open.
        taken.sort_unstable();
        assert!(taken.into_iter().eq(1..=100));
    })
    .await;
}

#[tokio::test]
async fn broadcasts_in_a_loop_reach_each_process_that_registered() {
    limited(async {
        let mut system = System::new();
        let mut one = system.controller("taker", "one").await;
        let mut two = system.process("taker", "two").await;
        let mut three = system.process("taker", "three").await;
        let mut bystander = system.process("bystander", "bystander").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait one two three bystander").await;

        assert_eq!(sender.ask("broadcast 100").await, "one three two");
        for receiver in [&mut one, &mut two, &mut three] {
            // Each was waited for, so they are in order too.
            assert!(receiver.took().await.into_iter().eq(1..=100));
        }
        assert!(bystander.took().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn calls_go_both_ways_and_the_node_beside_the_controller_is_like_any_other() {
    limited(async {
        let mut system = System::new();
        let mut hub = system.controller("taker", "hub").await;
        let mut one = system.process("taker", "one").await;
        let mut two = system.process("bystander", "two").await;
        for process in [&mut hub, &mut one, &mut two] {
            process.ask("wait hub one two").await;
        }

        assert_eq!(one.ask("add 40 2 hub").await, "42");
        assert_eq!(hub.ask("add 40 2 one").await, "42");
        assert_eq!(hub.ask("add -1 1 two").await, "0");
        assert_eq!(two.ask("add 1 1 one").await, "2");
        // Everybody but the caller answers, for itself.
        assert_eq!(hub.ask("who").await, "one=one two=two");
        assert_eq!(one.ask("who").await, "hub=hub two=two");
        assert_eq!(two.ask("who").await, "hub=hub one=one");
        let nobody = r#"there is no node "three"; present: hub, one, two"#;
        assert_eq!(one.ask("add 1 1 three").await, nobody);
    })
    .await;
}
