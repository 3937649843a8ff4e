//! A node whose address changes.
//!
//! Not on loopback, where no address changes and a connection keeps to its own; so this needs another address of the machine.

use std::{env, time::Duration};

use crate::{
    path::Parts,
    proxy::Path,
    system::{address, limited},
};

#[tokio::test]
async fn a_session_outlives_a_change_of_the_nodes_address() {
    const COUNT: i64 = 200_000;
    let Some(host) = address() else {
        assert!(env::var_os("CI").is_none(), "this machine has no address but loopback, and CI is to run this test");
        return eprintln!("skipped: this machine has no address but loopback");
    };
    let good = Path { delay: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0.0, seed: 1 };
    limited(async {
        let mut parts = Parts::start(host, good).await;
        // Both move while the stream is under way.
        parts.sender.tell(&format!("stream {COUNT}")).await;
        for (proxy, part) in [(0, 10), (1, 5)] {
            parts.receiver.ask(&format!("counts {}", COUNT / part)).await;
            parts.proxies[proxy].move_away().await;
            parts.has_not_all(COUNT).await;
        }
        parts.has_all(COUNT).await;
        // And once more while nothing is.
        for proxy in &mut parts.proxies {
            proxy.move_away().await;
        }
        assert_eq!(parts.sender.ask("add 40 2 receiver").await, "42");
        for node in [&mut parts.sender, &mut parts.receiver] {
            node.ask("stop").await;
            // Until then it has not lost its connection.
            let reason = node.says("disconnected").await;
            assert!(reason.contains("it left"), "{reason}");
        }
    })
    .await;
}
