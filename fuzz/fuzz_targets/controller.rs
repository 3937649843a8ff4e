#![no_main]
//! The controller as a whole: two nodes that behave, and peers that say whatever the input makes them say, on a network in memory
//! with a paused clock, under the limits of the input and under its rules, which change on the way. Whatever happens:
//!
//! - nothing panics, and every call and stream between the two ends, with its own result, or with the refusal that a rule or limit is
//!   the reason for;
//! - when all have left nobody is in the directory, and neither a call nor a stream is under way;
//! - memory is bounded while it runs, and given back after it.

#[path = "controller/nodes.rs"]
mod nodes;
#[path = "controller/outcomes.rs"]
mod outcomes;
#[path = "controller/peer.rs"]
mod peer;
#[path = "controller/script.rs"]
mod script;
#[path = "controller/terms.rs"]
mod terms;

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicIsize, Ordering},
    },
    time::Duration,
};

use daffi_core::transport::{JoinToken, Listener, memory};
use daffi_fuzz::{memory_in_use, within};
use libfuzzer_sys::fuzz_target;
use tokio::{
    runtime::{Builder, RngSeed},
    sync::watch,
    time::{Instant, timeout},
};

use self::{
    nodes::Pair,
    peer::Peers,
    script::{Input, Step},
    terms::Law,
};

/// Where the controller listens.
const CONTROLLER: &str = "controller";

/// The most that a run may take beside what its input accounts for: windows of 4 MiB for each stream and hop, and the rest.
const MEMORY: usize = 64 << 20;

/// What all runs together may leave behind: caches fill up, and then no more.
const LEFT_BEHIND: isize = 16 << 20;

/// Longer than anything here can take, on the network's clock: a hostile receiver is taken off a stream after 10 s.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a controller takes to stop on which nothing is under way: it waits for each connection's farewell, a second each time.
const QUICK: Duration = Duration::from_secs(5);

static TOKEN: LazyLock<JoinToken> = LazyLock::new(|| JoinToken::generate([0; 32]));
static LEFT: AtomicIsize = AtomicIsize::new(0);

fuzz_target!(|input: Input| {
    let before = memory_in_use() as isize;
    within(MEMORY, 1, || {
        let mut runtime = Builder::new_current_thread();
        // Which of two things it takes first that are ready at the same moment is no matter of chance then.
        runtime.rng_seed(RngSeed::from_bytes(&[0]));
        let runtime = runtime.enable_time().start_paused(true).build();
        runtime.expect("there is memory for a runtime").block_on(run(input));
    });
    let left = LEFT.fetch_add(memory_in_use() as isize - before, Ordering::Relaxed);
    assert!(left < LEFT_BEHIND, "the runs so far have left {left} bytes behind");
});

async fn run(Input { limits, rules, steps }: Input) {
    let network = memory::Network::new();
    let (stop, stopped) = watch::channel(None);
    let listener = Listener::Memory(network.listen(CONTROLLER));
    let limits = limits.into_limits();
    let law = Law::new(&limits);
    let controller = tokio::spawn(daffi_controller::serve(listener, law.access(), limits, stopped));

    let mut pair = Pair::join(&network, law.clone()).await;
    // The two offer what they like: these rules are a reload after they have joined.
    law.replace(rules);
    let mut peers = Peers::new(&network);
    let mut last = None;
    for step in steps.into_iter().take(64) {
        match step {
            Step::Work(work) => pair.begin(work),
            Step::Peer { peer, does } => {
                last = Some((peer, does.clone()));
                peers.act(peer, does).await;
            }
            Step::Again { times } => {
                for (peer, does) in std::iter::repeat_n(last.clone(), usize::from(times)).flatten() {
                    peers.act(peer, does).await;
                }
            }
            Step::Pass { millis } => tokio::time::sleep(Duration::from_millis(u64::from(millis))).await,
            Step::Rules(rules) => law.replace(rules),
        }
    }
    timeout(PATIENCE, pair.finish()).await.expect("all that was begun comes to an end");
    peers.leave();
    // A peer whose link is dead is given up after 5 s.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(peer::who_is_there(&network).await, ["observer"], "all have left");

    let asked = Instant::now();
    stop.send_replace(Some(PATIENCE));
    controller.await.expect("the controller does not panic");
    assert!(asked.elapsed() < QUICK, "a call or stream was still under way: it took {:?} to stop", asked.elapsed());
}
