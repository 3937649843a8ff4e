//! Tests of callbacks and of what calls them: a controller and nodes in the test's own process, on a network in memory that can
//! be slow, lossy or dead, and on a clock that can be paused.
//!
//! Nothing is faked but the packets and the time: nodes, controller, wire format, credit and time-outs are the real ones. What
//! takes half a minute takes no time in a test, and takes exactly half a minute on the test's clock.
//!
//! ```
//! use std::time::Duration;
//!
//! use daffi::{CallError, callback, callbacks, testing::Network};
//!
//! #[callback]
//! async fn price(item: String) -> u64 {
//!     item.len() as u64 * 100
//! }
//!
//! mod remote {
//!     #[daffi::fetcher]
//!     pub async fn price(item: String) -> u64;
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let net = Network::new();
//!     let _shop = net.node("shop").callbacks(callbacks![price]).join().await?;
//!     let client = net.node("client").callbacks([]).join().await?;
//!     client.wait_process("shop").await?;
//!
//!     // Client to controller, controller to shop, and both back: 80 ms.
//!     net.links().delay(Duration::from_millis(20));
//!     let start = net.now();
//!     assert_eq!(remote::price("pear".into()).on(&client).await?, 400);
//!     assert_eq!(net.now().duration_since(start)?, Duration::from_millis(80));
//!
//!     // Nobody is told, so the call waits until the controller takes the shop for dead.
//!     net.link("shop").partition();
//!     let lost = remote::price("fig".into()).on(&client).await;
//!     assert_eq!(lost, Err(CallError::NodeLost { node: "shop".into() }));
//!
//!     // The shop comes back by itself.
//!     net.link("shop").heal();
//!     client.wait_process("shop").await?;
//!     assert_eq!(remote::price("fig".into()).on(&client).await?, 300);
//!     Ok(())
//! }
//! ```
//!
//! # Setting up
//!
//! [`Network::new`] makes a network with a controller on it. [`Network::node`] is a node's builder that knows the network: give it
//! callbacks and [`join`](NodeBuilder::join). A node without `.callbacks(..)` offers all of the program, as everywhere. Tests run
//! in one process and side by side, so say at each call which node makes it, with `.on(&node)`.
//!
//! Everything runs on the runtime of the test. Tests that pause the clock need tokio's features `macros`, `rt` and `test-util`
//! among the dev-dependencies, and its single-threaded runtime, which is what `#[tokio::test]` gives. Without a paused clock
//! everything works too, in real time.
//!
//! This module is always there, for it brings nothing along that daffi does not need anyway: a feature of its own would spare
//! nobody a dependency. What a program does not call the linker leaves out.
//!
//! # Time
//!
//! While the clock is paused, it stands still as long as anything is left to do, and then jumps to the next thing that is due.
//! So a time-out is exact, however slow the machine. The controller's clock and those of all nodes are the same:
//! - [`Network::advance`] lets time pass,
//! - [`Network::now`] is the time of day, by which PERIOD's `.at(times)` goes,
//! - [`Network::starting_at`] sets it.
//!
//! A paused clock stands still while a sync callback runs or an iterator makes items, which is as it should be:
//! [`std::thread::sleep`] takes real time and none of the test's. But what blocks its thread until something happens that takes time
//! waits for ever. There are three cases, and the remedy is to make them async, or not to pause the clock:
//! - a sync callback that calls another node over a slow link with `.wait()`,
//! - a stream over a slow link whose source is an iterator of more items than may be on their way at a time, 32,768 items or 1 MiB:
//!   send `futures_util::stream::iter(items)` instead,
//! - a sync callback that takes a whole stream, [`Incoming`](crate::Incoming), over a slow link.
//!
//! # Faults
//!
//! Each node has one link, to the controller, that goes by the node's name; [`Network::link`] is one, [`Network::links`] all of
//! them. What can be done to them is [`Links`]:
//!
//! | what | what the nodes see |
//! |---|---|
//! | [`delay`](Links::delay) | a call takes four times as much: two links, there and back |
//! | [`loss`](Links::loss) | what was lost arrives later, and so does what is behind it on its stream; nothing is missing |
//! | [`cut`](Links::cut) | the connection is gone at once, for both sides; the node joins again, calls have failed, streams go on |
//! | [`partition`](Links::partition) | silence; after 2.4 seconds, or what the controller's limit `silence` says, both sides give up, and the node tries to join again |
//! | [`heal`](Links::heal) | what was held up arrives; a node that was given up joins again, within 2 s |
//!
//! All traffic goes through the controller, so two nodes cannot be parted from each other alone. To part some from the rest,
//! partition the links of either.
//!
//! [`Network::crash_controller`], [`Network::stop_controller`] and [`Network::restart_controller`] are for the controller's own
//! end. A node's is `node.stop(grace)`, or dropping it; if it is to crash without a word, partition its link before.
//!
//! # Chance
//!
//! Which packets are lost is told by random numbers that are the same in each run, and differ between streams. What happens on one
//! link does not change them for another. [`Network::seed`] chooses other ones: a test may try many.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use daffi_controller::{Access, ConfigFile, Limits};
pub use daffi_core::{node::Builder as NodeBuilder, transport::memory::Links};
use daffi_core::{
    node::Node,
    transport::{JoinToken, Listener, memory},
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

/// The name that the controller listens under.
const CONTROLLER: &str = "controller";

/// A network in memory, with a controller on it. See the [module](self).
///
/// Clones are the same network. The controller ends when the last is dropped.
#[derive(Clone)]
pub struct Network {
    network: memory::Network,
    access: Access,
    runtime: Handle,
    limits: Limits,
    controller: Arc<Mutex<Option<Controller>>>,
}

#[derive(Debug)]
struct Controller {
    stop: watch::Sender<Option<Duration>>,
    task: JoinHandle<()>,
}

impl Network {
    /// A network without delay or faults, with a controller, on the current runtime. Its time of day begins with the system's.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[track_caller]
    pub fn new() -> Self {
        let Ok(runtime) = Handle::try_current() else {
            panic!("a test network runs on the test's runtime: make it within one, for example in a `#[tokio::test]`");
        };
        // Nodes check a fingerprint when they check a certificate, and here there is none.
        let access = Access::from(JoinToken::generate([0; 32]));
        let network = memory::Network::new();
        let network = Self { network, access, runtime, limits: Limits::default(), controller: Arc::default() };
        network.restart_controller();
        network
    }

    /// The same with another seed than 0 for what is left to chance. To be said before the first node joins.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.network = self.network.seed(seed);
        self
    }

    /// The same where the time of day is this now. To be said before the first node joins.
    #[must_use]
    pub fn starting_at(mut self, time: SystemTime) -> Self {
        self.network = self.network.starting_at(time);
        self
    }

    /// The same with these limits of the controller's. To be said before the first node joins.
    ///
    /// # Panics
    ///
    /// If no controller can keep to them.
    #[must_use]
    #[track_caller]
    pub fn limits(mut self, limits: Limits) -> Self {
        if let Err(wrong) = limits.check() {
            panic!("{wrong}");
        }
        self.limits = limits;
        self.restart_controller();
        self
    }

    /// The same where the controller goes by a config file of this text: by its limits and rules. Certificates take no part: there are
    /// none on this network. To be said before the first node joins.
    ///
    /// # Panics
    ///
    /// If the text cannot be understood.
    #[must_use]
    #[track_caller]
    pub fn config(self, text: &str) -> Self {
        let ConfigFile { limits, rules, .. } = parse(text);
        self.access.replace(self.access.token().into(), rules);
        self.limits(limits)
    }

    /// What a reload of the controller does whose config file has this text now: its rules hold from now on, for everybody. The limits
    /// stay as they were.
    ///
    /// # Panics
    ///
    /// If the text cannot be understood.
    #[track_caller]
    pub fn reload_controller(&self, text: &str) {
        self.access.replace(self.access.token().into(), parse(text).rules);
    }

    /// Sets up a node of this name on the network: give it callbacks and join.
    pub fn node(&self, name: impl Into<String>) -> NodeBuilder {
        Node::builder().name(name).network(&self.network, CONTROLLER).token(self.access.token().to_string())
    }

    /// The link of the node of this name. It need not have joined yet: what is done to the link holds when it does.
    pub fn link(&self, node: impl Into<String>) -> Links {
        self.network.link(node)
    }

    /// All links, those of nodes that join later included.
    pub fn links(&self) -> Links {
        self.network.links()
    }

    /// The time of day here: it begins with the system's, or where [`starting_at`](Self::starting_at) says, and passes with
    /// tokio's clock.
    pub fn now(&self) -> SystemTime {
        self.network.now()
    }

    /// Lets time pass: all that falls due until then happens, each in its turn and at its time. (`tokio::time::advance` jumps,
    /// and what was due on the way finds itself late.) A millisecond is enough for everything that takes no time.
    ///
    /// Unless the clock is paused it takes that long indeed. Cancel safe.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The controller is gone without a word, as if its process had been killed or its machine had lost power. Nodes notice
    /// after as much silence as its limit `silence` says, and then try to join again, until a controller is there. Nothing happens if
    /// there is none.
    pub fn crash_controller(&self) {
        if let Some(controller) = self.controller().take() {
            self.network.crash(CONTROLLER);
            controller.task.abort();
        }
    }

    /// Stops the controller as it should be: from now on it refuses nodes and new work, lets what runs finish within `grace`, and
    /// tells each node. Nodes try to join again, until a controller is there. Nothing happens if there is none.
    ///
    /// Cancel safe: once polled, the stop goes on.
    pub async fn stop_controller(&self, grace: Duration) {
        let Some(Controller { stop, task }) = self.controller().take() else {
            return;
        };
        stop.send_replace(Some(grace));
        if let Err(error) = task.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    /// Starts the controller again, with the same token and nobody on it: nodes join again by themselves, within 2 seconds after they
    /// noticed that the one before is gone. If that runs still, it [crashes](Self::crash_controller) first.
    pub fn restart_controller(&self) {
        self.crash_controller();
        let (stop, stopped) = watch::channel(None);
        let listener = Listener::Memory(self.network.listen(CONTROLLER));
        let task = daffi_controller::serve(listener, self.access.clone(), self.limits.clone(), stopped);
        let task = self.runtime.spawn(task);
        *self.controller() = Some(Controller { stop, task });
    }

    fn controller(&self) -> MutexGuard<'_, Option<Controller>> {
        // It is replaced whole.
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
fn parse(config: &str) -> ConfigFile {
    match ConfigFile::parse(config, Path::new("config")) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

impl Default for Network {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("now", &self.now()).finish_non_exhaustive()
    }
}
