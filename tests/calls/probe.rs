//! A wire between a test and the callbacks that it calls. The callbacks are functions that all tests share: each test passes them
//! the number of its own probe.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, watch};

use crate::common::soon;

static WIRES: LazyLock<Mutex<HashMap<u64, Arc<Wire>>>> = LazyLock::new(Mutex::default);

struct Wire {
    tell: mpsc::UnboundedSender<String>,
    open: watch::Sender<bool>,
}

/// The test's end. Dropping it lets every callback go that it holds.
pub(crate) struct Probe {
    pub(crate) key: u64,
    told: mpsc::UnboundedReceiver<String>,
}

impl Probe {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = mpsc::unbounded_channel();
        let open = watch::Sender::new(false);
        WIRES.lock().unwrap().insert(key, Arc::new(Wire { tell, open }));
        Self { key, told }
    }

    /// The next thing that a callback tells.
    pub(crate) async fn told(&mut self) -> String {
        soon(self.told.recv()).await.expect("the wire lives as long as the probe")
    }

    /// What was told and not yet heard.
    pub(crate) fn told_already(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// Waits until exactly these were told, in any order.
    pub(crate) async fn hears(&mut self, expected: &[&str]) {
        let mut heard = BTreeSet::new();
        for _ in expected {
            heard.insert(self.told().await);
        }
        assert_eq!(heard.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected.iter().copied().collect());
    }

    /// Lets go the callbacks that wait in [`held`].
    pub(crate) fn open(&self) {
        wire(self.key).open.send_replace(true);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.open();
    }
}

fn wire(key: u64) -> Arc<Wire> {
    WIRES.lock().unwrap().get(&key).expect("the key of a probe").clone()
}

/// Tells the test.
pub(crate) fn tell(key: u64, what: impl Into<String>) {
    // A test that has ended is not interested any more.
    let _ = wire(key).tell.send(what.into());
}

/// Waits until the test lets go.
pub(crate) async fn held(key: u64) {
    let mut open = wire(key).open.subscribe();
    open.wait_for(|open| *open).await.expect("wires are never taken down");
}

/// Tells the test when it is dropped: what a callback holds when it is stopped.
pub(crate) struct Guard(u64, &'static str);

impl Guard {
    pub(crate) fn new(key: u64, what: &'static str) -> Self {
        tell(key, format!("{what} began"));
        Self(key, what)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        tell(self.0, format!("{} is gone", self.1));
    }
}
