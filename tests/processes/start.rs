//! Processes start in any order.

use crate::system::{System, limited};

const NAMES: [&str; 3] = ["hub", "one", "two"];

/// Starts three processes in this order, the hub with the controller in it, and sends a stream from each to the others.
async fn all_meet(order: [&'static str; 3]) {
    let mut system = System::with_port();
    let mut processes = Vec::new();
    for name in order {
        let mut process = system.launch("taker", name, name == "hub");
        // The next one starts when this one is looking for the others.
        process.says("starting").await;
        processes.push((name, process));
    }
    for (_, process) in &mut processes {
        process.says("ready").await;
        assert_eq!(process.ask("wait hub one two").await, "met");
    }
    for (name, process) in &mut processes {
        let others: Vec<_> = NAMES.iter().filter(|other| *other != name).map(|other| format!("{other} 10")).collect();
        assert_eq!(process.ask("stream 10").await, format!("10 items: {}", others.join(", ")), "in order {order:?}");
    }
    for (name, process) in &mut processes {
        assert!(process.took().await.into_iter().eq((1..=10).chain(1..=10)), "{name} in order {order:?}");
    }
}

#[tokio::test]
async fn the_controller_starts_first() {
    limited(async {
        all_meet(["hub", "one", "two"]).await;
        all_meet(["hub", "two", "one"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_controller_starts_second() {
    limited(async {
        all_meet(["one", "hub", "two"]).await;
        all_meet(["two", "hub", "one"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_controller_starts_last() {
    limited(async {
        all_meet(["one", "two", "hub"]).await;
        all_meet(["two", "one", "hub"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_process_is_waited_for_before_and_after_it_starts() {
    limited(async {
        let mut system = System::new();
        let mut hub = system.controller("taker", "hub").await;
        let missing = r#"node "late" did not appear within 200ms; present: hub"#;
        assert_eq!(hub.ask("wait-briefly late").await, missing);

        hub.tell("wait late").await;
        let _late = system.process("taker", "late").await;
        assert_eq!(hub.answer().await, "met");
        assert_eq!(hub.ask("wait-briefly late").await, "met");
    })
    .await;
}
