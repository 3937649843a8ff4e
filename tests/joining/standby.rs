//! Several controllers of which a node joins the first that lets it in.

use std::net::{SocketAddr, UdpSocket};

use daffi::{Builder, CallError, Event, Global, JoinError, Limits, callback, callbacks, limits};
use daffi_core::transport::{StateDir, quic};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};

use crate::common::{PATIENCE, event, soon};

/// What all controllers of a system share: their key and token.
struct Keys {
    state: TempDir,
    token: String,
}

impl Keys {
    fn make() -> Self {
        let state = tempfile::tempdir().unwrap();
        let (_, token) = StateDir::at(state.path()).controller().unwrap();
        Self { token: token.to_string(), state }
    }

    /// Starts a controller.
    async fn controller(&self) -> (Global, SocketAddr) {
        self.controller_within(Limits::default()).await
    }

    async fn controller_within(&self, limits: Limits) -> (Global, SocketAddr) {
        let controller = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(0);
        let controller = controller.limits(limits).state_dir(self.state.path()).start().await.unwrap();
        let address = controller.controller_address().unwrap();
        (controller, address)
    }

    /// A node that knows these controllers.
    fn node(&self, name: &str, controllers: &[SocketAddr]) -> Builder {
        let (first, others) = controllers.split_first().unwrap();
        let builder = Global::builder().process_name(name).host(first.ip().to_string()).port(first.port());
        let builder = builder.token(&self.token).callbacks([]).connect_timeout(PATIENCE);
        others.iter().fold(builder, |builder, other| builder.or_controller(other.ip().to_string(), other.port()))
    }
}

/// A port at which nobody answers, and that nobody else takes.
fn dead() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

static BEGAN: Notify = Notify::const_new();
static FINISH: Semaphore = Semaphore::const_new(0);

/// Keeps its controller from stopping until the test lets it.
#[callback]
async fn hold() {
    BEGAN.notify_one();
    FINISH.acquire().await.unwrap().forget();
}

mod remote {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn hold();
}

#[tokio::test]
async fn where_nobody_answers_the_next_is_asked() {
    let keys = Keys::make();
    let (_socket, nobody) = dead();
    let (_controller, standby) = keys.controller().await;
    let node = soon(keys.node("a", &[nobody, standby]).start()).await.unwrap();
    let there = keys.node("b", &[standby]).start().await.unwrap();
    there.wait_process(node.name()).timeout(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn where_the_first_is_about_to_stop_the_next_is_joined_meanwhile() {
    let keys = Keys::make();
    let (controller, first) = keys.controller().await;
    let (_standby, second) = keys.controller().await;
    let callee = keys.node("callee", &[first]).callbacks(callbacks![hold]).reconnect(false).start().await.unwrap();
    let caller = keys.node("caller", &[first]).reconnect(false).start().await.unwrap();
    caller.wait_process("callee").timeout(PATIENCE).await.unwrap();
    let mut events = caller.events();
    let call = tokio::spawn(remote::hold().on(&caller).into_future());
    soon(BEGAN.notified()).await;
    let stopped = tokio::spawn(controller.stop_within(PATIENCE * 10));
    event(&mut events, |event| (*event == Event::ControllerStopping).then_some(())).await;

    let node = soon(keys.node("a", &[first, second]).start()).await.unwrap();
    let there = keys.node("b", &[second]).start().await.unwrap();
    there.wait_process(node.name()).timeout(PATIENCE).await.unwrap();
    // The first had not stopped before.
    assert!(!call.is_finished() && !stopped.is_finished());
    FINISH.add_permits(1);
    soon(call).await.unwrap().unwrap();
    soon(stopped).await.unwrap();
    drop(callee);
}

#[tokio::test]
async fn where_the_first_takes_connections_and_says_nothing_the_next_is_joined() {
    let keys = Keys::make();
    let (identity, _) = StateDir::at(keys.state.path()).controller().unwrap();
    let mut mute = quic::Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &identity).unwrap();
    let first = mute.local_addr().unwrap();
    let mute = tokio::spawn(async move {
        let connection = mute.accept().await.unwrap().establish(limits::SILENCE).await.unwrap();
        std::future::pending::<()>().await;
        drop(connection);
    });
    let (_controller, standby) = keys.controller().await;
    let node = soon(keys.node("a", &[first, standby]).start()).await.unwrap();
    let there = keys.node("b", &[standby]).start().await.unwrap();
    there.wait_process(node.name()).timeout(PATIENCE).await.unwrap();
    assert!(!mute.is_finished());
    mute.abort();
}

#[tokio::test]
async fn where_the_first_is_full_the_next_is_joined() {
    let keys = Keys::make();
    let mut one = Limits::default();
    one.nodes = 1;
    let (_controller, first) = keys.controller_within(one).await;
    let (_standby, second) = keys.controller().await;
    let _place = keys.node("a", &[first]).start().await.unwrap();
    let there = keys.node("b", &[second]).start().await.unwrap();
    let node = soon(keys.node("c", &[first, second]).start()).await.unwrap();
    there.wait_process(node.name()).timeout(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_node_whose_name_another_has_by_the_time_it_comes_ends_and_says_why() {
    let keys = Keys::make();
    let (controller, first) = keys.controller().await;
    let (_standby, second) = keys.controller().await;
    let node = keys.node("a", &[first, second]).start().await.unwrap();
    let _namesake = keys.node("a", &[second]).start().await.unwrap();
    soon(controller.stop()).await;
    match soon(node.join()).await {
        Err(JoinError::Disconnected { reason }) => assert!(reason.contains("is here already"), "{reason}"),
        other => panic!("expected the node to give up, got {other:?}"),
    }
    assert!(matches!(remote::hold().on(&node).await, Err(CallError::NotConnected { .. })));
}

#[tokio::test]
async fn nodes_of_a_controller_that_stops_meet_at_the_next() {
    let keys = Keys::make();
    let (controller, first) = keys.controller().await;
    let (_standby, second) = keys.controller().await;
    let a = keys.node("a", &[first, second]).start().await.unwrap();
    let b = keys.node("b", &[first, second]).start().await.unwrap();
    let mut events = [a.events(), b.events()];
    soon(controller.stop()).await;
    for events in &mut events {
        event(events, |event| (*event == Event::Connected).then_some(())).await;
    }
    a.wait_process("b").timeout(PATIENCE).await.unwrap();
    b.wait_process("a").timeout(PATIENCE).await.unwrap();
}
