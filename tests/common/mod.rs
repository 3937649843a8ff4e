//! What the tests over real QUIC share: a controller that keeps its secrets in a directory of its own, and nodes that join it.

#![allow(dead_code, reason = "every test program compiles this file and uses a part of it")]

use std::{net::SocketAddr, time::Duration};

use daffi::{Builder, Event, Events, Global, Limits};
use daffi_core::node::Callback;
use tempfile::TempDir;

/// How long to wait for what is certain to come, however loaded the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A controller on a free port of loopback, without a node. Dropping it stops it.
pub(crate) struct Controller {
    global: Global,
    state: TempDir,
}

impl Controller {
    /// Starts it, with a fresh key and token.
    pub(crate) async fn start() -> Self {
        Self::start_within(Limits::default()).await
    }

    /// The same with limits of its own.
    pub(crate) async fn start_within(limits: Limits) -> Self {
        let state = tempfile::tempdir().expect("a directory for the controller's secrets");
        let builder = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(0);
        let global = builder.limits(limits).state_dir(state.path()).start().await.expect("the controller starts");
        Self { global, state }
    }

    /// Starts it with this config file.
    pub(crate) async fn configured(config: &str) -> Self {
        let state = tempfile::tempdir().expect("a directory for the controller's secrets");
        let path = state.path().join("daffi.toml");
        std::fs::write(&path, config).expect("the config file can be written");
        let builder = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(0);
        let builder = builder.state_dir(state.path()).config_file(path);
        let global = builder.start().await.expect("the controller starts");
        Self { global, state }
    }

    /// Gives it another config file, and has it read that.
    pub(crate) fn reconfigure(&self, config: &str) -> Result<(), daffi::StartError> {
        std::fs::write(self.state.path().join("daffi.toml"), config).expect("the config file can be written");
        self.global.reload_controller()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.global.controller_address().expect("it runs a controller")
    }

    /// Its join token.
    pub(crate) fn token(&self) -> String {
        self.global.controller_token().expect("it runs a controller").to_string()
    }

    /// The directory with its key and token.
    pub(crate) fn state_dir(&self) -> &std::path::Path {
        self.state.path()
    }

    /// The `Global` that it is.
    pub(crate) const fn global(&self) -> &Global {
        &self.global
    }

    /// A node of this name that is about to join it, and offers nothing: add to it what the test needs.
    pub(crate) fn builder(&self, name: &str) -> Builder {
        let address = self.address();
        let builder = Global::builder().process_name(name).host(address.ip().to_string()).port(address.port());
        builder.token(self.token()).callbacks([]).connect_timeout(PATIENCE)
    }

    /// A node of this name that has joined it and offers these: `controller.node("a", callbacks![add]).await`.
    pub(crate) async fn node(&self, name: &str, callbacks: impl IntoIterator<Item = Callback>) -> Global {
        self.builder(name).callbacks(callbacks).start().await.expect("the node joins")
    }
}

/// Waits until each node sees all of them.
pub(crate) async fn meet(nodes: &[&Global]) {
    for node in nodes {
        for other in nodes {
            node.wait_process(other.name()).timeout(PATIENCE).await.expect("all nodes have joined");
        }
    }
}

/// Waits for the first event that this one wants, and gives what it makes of it.
pub(crate) async fn event<T>(events: &mut Events, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    soon(async {
        while let Some(event) = events.next().await {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("the node ended before the event came");
    })
    .await
}

/// Waits for what is certain to come, so that a test which is wrong about that fails instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes within 30 s")
}
