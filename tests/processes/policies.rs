//! A receiver that takes 10 ms for each item, beside one that takes none.

use crate::system::{Process, System, limited};

/// How much more memory a process may have in use during the stream than before it: several times what may be on its way to one
/// receiver, and far less than all items of the stream.
const ROOM: u64 = 48 << 20;

/// The processes of a test: the controller, the sender, and the two receivers.
struct Parts {
    _system: System,
    controller: Process,
    sender: Process,
    fast: Process,
    slow: Process,
}

/// What became of a stream at a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    delivered: u64,
    dropped: u64,
}

impl Parts {
    async fn new() -> Self {
        let mut system = System::new();
        let controller = system.controller("controller", "controller").await;
        let fast = system.process("taker", "fast").await;
        let slow = system.process("slow", "slow").await;
        let mut sender = system.process("caller", "sender").await;
        sender.ask("wait fast slow").await;
        Self { _system: system, controller, sender, fast, slow }
    }

    fn memory(&self) -> [u64; 4] {
        [&self.controller, &self.sender, &self.fast, &self.slow].map(Process::memory)
    }

    /// Streams so many pictures of 256 KiB, and looks at each process's memory now and then; what became of them at the fast one
    /// and at the slow one.
    async fn stream(&mut self, on_slow: &str, count: u64) -> [Account; 2] {
        let before = self.memory();
        self.sender.tell(&format!("pictures {on_slow} {count}")).await;
        for part in 1..=10 {
            self.slow.ask(&format!("counts {}", if on_slow == "block" { count * part / 10 } else { part })).await;
            for (before, now) in before.into_iter().zip(self.memory()) {
                assert!(now < before + ROOM, "{before} bytes have become {now}");
            }
        }
        let answer = self.sender.answer().await;
        let rest = answer.strip_prefix(&format!("{count} items: ")).unwrap_or_else(|| panic!("{answer}"));
        ["fast", "slow"].map(|name| {
            let account = rest.split(", ").find_map(|account| account.strip_prefix(name));
            let words: Vec<_> = account.unwrap_or_else(|| panic!("{answer}")).split_whitespace().collect();
            let [delivered, dropped, "Ok(())"] = words[..] else { panic!("{answer}") };
            let account = Account { delivered: delivered.parse().unwrap(), dropped: dropped.parse().unwrap() };
            assert_eq!(account.delivered + account.dropped, count, "{answer}");
            account
        })
    }
}

#[tokio::test]
async fn lossless_both_have_all_and_no_process_grows() {
    limited(async {
        let mut parts = Parts::new().await;
        let accounts = parts.stream("block", 500).await;
        assert_eq!(accounts, [Account { delivered: 500, dropped: 0 }; 2]);
    })
    .await;
}

#[tokio::test]
async fn what_may_be_dropped_leaves_the_fast_one_alone_and_no_process_grows() {
    limited(async {
        let mut parts = Parts::new().await;
        for on_slow in ["oldest", "latest"] {
            // A gigabyte.
            let [fast, slow] = parts.stream(on_slow, 4_000).await;
            assert!(slow.dropped > 0 && fast.delivered > slow.delivered, "{on_slow}: {fast:?}, {slow:?}");
            // Both ends hear of it, each from its own side.
            while parts.slow.says("dropped").await != "slow" {}
            while parts.sender.says("dropped").await != "slow" {}
            let ended = parts.slow.says("ended").await;
            assert_eq!(ended, format!("sender {} Finished", slow.delivered));
        }
    })
    .await;
}
