//! How a node leaves, and what becomes of what it runs.

use std::time::Duration;

use daffi::{CallError, Event, Global, callback, callbacks};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    ask,
    common::{Controller, PATIENCE, event, meet, soon},
    echo,
    raw::Impostor,
};

/// What the tests and the callback `work` share: each test has a number of its own.
struct Bench {
    /// Lets one run of `work` return.
    finish: Semaphore,
    began: (mpsc::Sender<()>, tokio::sync::Mutex<mpsc::Receiver<()>>),
}

static BENCHES: std::sync::LazyLock<[Bench; 5]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|_| {
        let (began, hears) = mpsc::channel(8);
        Bench { finish: Semaphore::new(0), began: (began, hears.into()) }
    })
});

impl Bench {
    async fn has_begun(&self) {
        soon(async { self.began.1.lock().await.recv().await }).await.unwrap();
    }
}

/// Returns when the test lets it.
#[callback]
async fn work(bench: usize) -> String {
    let bench = &BENCHES[bench];
    bench.began.0.send(()).await.unwrap();
    bench.finish.acquire().await.unwrap().forget();
    "done".into()
}

mod remote {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn work(bench: usize) -> String;
}

#[tokio::test]
async fn a_node_that_stops_lets_a_running_callback_finish() {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![work]).await;
    let caller = controller.node("caller", []).await;
    let call = tokio::spawn(remote::work(0).on(&caller).into_future());
    BENCHES[0].has_begun().await;
    let stopped = tokio::spawn(server.stop_within(PATIENCE));
    let mut events = caller.events();
    BENCHES[0].finish.add_permits(1);
    assert_eq!(soon(call).await.unwrap().as_deref(), Ok("done"));
    soon(stopped).await.unwrap();
    server.join().await.unwrap();
    let reason = event(&mut events, |event| match event {
        Event::NodeLeft { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.await, "it left");
}

#[tokio::test]
async fn a_node_that_stops_takes_no_more_calls() {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![work, echo]).await;
    let caller = controller.node("caller", []).await;
    let call = tokio::spawn(remote::work(1).on(&caller).into_future());
    BENCHES[1].has_begun().await;
    // Polled once, it has begun to stop.
    let mut stopping = server.stop_within(PATIENCE);
    assert!(futures_util::poll!(&mut stopping).is_pending());
    // It takes a moment until everybody knows; then it is over for good.
    let refused = soon(async {
        loop {
            if let Err(error) = ask::echo("too late").on(&caller).await {
                return error;
            }
        }
    });
    let refused = refused.await;
    assert!(refused.is_retryable(), "{refused}");
    BENCHES[1].finish.add_permits(1);
    assert_eq!(soon(call).await.unwrap().as_deref(), Ok("done"));
    soon(stopping).await;
}

#[tokio::test]
async fn a_node_that_stops_waits_no_longer_than_its_grace() {
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![work]).await;
    let caller = controller.node("caller", []).await;
    let call = tokio::spawn(remote::work(2).on(&caller).into_future());
    BENCHES[2].has_begun().await;
    soon(server.stop_within(Duration::from_millis(50))).await;
    let lost = soon(call).await.unwrap();
    assert!(matches!(lost, Err(CallError::NodeLost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_stop_goes_on_when_nobody_waits_for_it() {
    let controller = Controller::start().await;
    let server = controller.node("server", []).await;
    drop(server.stop());
    soon(server.join()).await.unwrap();
    // Again, it has nothing to do.
    soon(server.stop()).await;
}

#[tokio::test]
async fn dropping_the_last_handle_leaves() {
    let controller = Controller::start().await;
    let node = controller.node("a", callbacks![echo]).await;
    let other = controller.node("b", []).await;
    let mut events = other.events();
    let clone = node.clone();
    drop(node);
    assert_eq!(ask::echo("still here").on(&other).await.as_deref(), Ok("still here"));
    let ended = clone.join();
    drop(clone);
    event(&mut events, |event| matches!(event, Event::NodeLeft { node, .. } if node == "a").then_some(())).await;
    soon(ended).await.unwrap();
}

#[tokio::test]
async fn dropping_a_controller_ends_it() {
    let controller = Controller::start().await;
    let node = controller.builder("a").reconnect(false).start().await.unwrap();
    let mut events = node.events();
    drop(controller);
    event(&mut events, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
    // It was told, so this is no error.
    soon(node.join()).await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_node_and_controller_stops_both() {
    let state = tempfile::tempdir().unwrap();
    let home = Global::builder().process_name("home").init_controller(true).host("127.0.0.1").port(0);
    let home = home.state_dir(state.path()).callbacks(callbacks![work]).start().await.unwrap();
    let address = home.controller_address().unwrap();
    let token = home.controller_token().unwrap().to_string();
    let other = Global::builder().process_name("other").host("127.0.0.1").port(address.port()).token(token);
    let other = other.callbacks([]).reconnect(false).start().await.unwrap();
    meet(&[&home, &other]).await;
    let call = tokio::spawn(remote::work(3).on(&other).into_future());
    BENCHES[3].has_begun().await;
    let stopped = tokio::spawn(home.stop_within(PATIENCE));
    BENCHES[3].finish.add_permits(1);
    assert_eq!(soon(call).await.unwrap().as_deref(), Ok("done"));
    soon(stopped).await.unwrap();
    soon(home.join()).await.unwrap();
    soon(other.join()).await.unwrap();
    // The port is free again.
    std::net::UdpSocket::bind(address).unwrap();
}

#[tokio::test]
async fn a_node_that_is_refused_when_it_comes_back_tries_again() {
    let first = Controller::start().await;
    let address = first.address();
    let node = first.builder("a").start().await.unwrap();
    let mut events = node.events();
    first.global().stop_within(Duration::ZERO).await;
    event(&mut events, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
    // Another controller in its place, with another key: until somebody notices.
    Impostor::listen_at(address).refused().await;
    let again = || {
        let again = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(address.port());
        again.state_dir(first.state_dir()).start()
    };
    let _controller = soon(async {
        loop {
            // Its socket may still be closing.
            match again().await {
                Ok(controller) => break controller,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    event(&mut events, |event| (*event == Event::Connected).then_some(())).await;
}
