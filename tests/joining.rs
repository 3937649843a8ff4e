//! Joining and leaving over real QUIC: who is let in, who is refused and how both sides are told, who sees whom, and what becomes of
//! work under way when somebody leaves.

mod common;

#[path = "joining/leaving.rs"]
mod leaving;
#[path = "joining/names.rs"]
mod names;
#[path = "joining/presence.rs"]
mod presence;
#[path = "joining/raw.rs"]
mod raw;
#[path = "joining/standby.rs"]
mod standby;
#[path = "joining/tokens.rs"]
mod tokens;
#[path = "joining/versions.rs"]
mod versions;

use daffi::{Event, Global, StartError, callback};

use common::{Controller, event, meet};

/// Returns what it is given.
#[callback]
async fn echo(text: String) -> String {
    text
}

mod ask {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn echo(text: &str) -> String;
}

/// Somebody who would notice a node that was let in for a moment.
struct Watcher {
    node: Global,
    events: daffi::Events,
}

impl Watcher {
    async fn start(controller: &Controller) -> Self {
        let node = controller.node("watcher", []).await;
        let events = node.events();
        Self { node, events }
    }

    /// Nobody joined until now, but for those who were there when it began.
    async fn saw_nobody(mut self, controller: &Controller) {
        let after = controller.node("after", []).await;
        let first = event(&mut self.events, |event| match event {
            Event::NodeJoined { node } => Some(node.clone()),
            _ => None,
        });
        assert_eq!(first.await, "after");
        meet(&[&self.node, &after]).await;
        let mut names: Vec<_> = self.node.nodes().into_iter().map(|node| node.name).collect();
        names.sort();
        assert_eq!(names, ["after", "watcher"]);
    }
}

/// The reason for which a node did not join.
#[track_caller]
fn refusal(started: Result<Global, StartError>) -> daffi::JoinError {
    match started {
        Err(StartError::Join(error)) => error,
        other => panic!("expected the node to be refused, got {other:?}"),
    }
}
