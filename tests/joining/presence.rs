//! Who is there: waiting for nodes and callbacks, what nodes know of each other, and the events that tell of changes.

use std::time::{Duration, Instant};

use daffi::{Event, Global, WaitError, callback, callbacks};
use daffi_core::transport::StateDir;

use crate::{
    ask,
    common::{Controller, PATIENCE, event, meet, soon},
    echo,
};

/// How late a timeout may fire on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(1);

/// Adds two numbers.
#[callback]
async fn add(a: i64, b: &i64) -> Result<i64, String> {
    a.checked_add(*b).ok_or_else(|| "overflow".into())
}

#[tokio::test]
async fn waiting_for_what_is_there_does_not_wait() {
    let controller = Controller::start().await;
    let _a = controller.node("a", callbacks![echo]).await;
    let node = controller.node("b", []).await;
    // The welcome told of both.
    node.wait_process("a").timeout(Duration::ZERO).await.unwrap();
    node.wait_process("b").timeout(Duration::ZERO).await.unwrap();
    node.wait_function("echo").timeout(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_when_it_comes() {
    let controller = Controller::start().await;
    let node = controller.node("b", []).await;
    let waits = [node.wait_process("a"), node.wait_function("echo"), node.wait_function("add").timeout(PATIENCE)];
    let waits = waits.map(|wait| tokio::spawn(wait.into_future()));
    let (blocking_process, blocking_function) = (node.wait_process("a"), node.wait_function("add"));
    let thread = std::thread::spawn(move || blocking_process.wait().and_then(|()| blocking_function.wait()));
    assert!(waits.iter().all(|wait| !wait.is_finished()));
    let a = controller.node("a", callbacks![echo]).await;
    // A callback that is offered later counts as well.
    node.wait_function("echo").await.unwrap();
    assert!(!waits[2].is_finished());
    a.offer(callbacks![add]).unwrap();
    for wait in waits {
        soon(wait).await.unwrap().unwrap();
    }
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_in_vain_ends_in_time_and_lists_who_is_there() {
    let controller = Controller::start().await;
    let _a = controller.node("a", callbacks![echo]).await;
    let node = controller.node("b", callbacks![add]).await;
    for timeout in [Duration::from_millis(50), Duration::from_millis(1_500)] {
        for (wait, thing, there) in [
            (node.wait_process("c"), r#"node "c""#, &["a", "b"][..]),
            // What the node offers itself does not count.
            (node.wait_function("add"), r#"callback "add""#, &["echo"]),
        ] {
            let began = Instant::now();
            let error = wait.timeout(timeout).await.unwrap_err();
            let took = began.elapsed();
            assert!(took >= timeout && took <= timeout + LATE, "{took:?}");
            let WaitError::Timeout { what, after, mut present } = error else { panic!("{error}") };
            present.sort();
            assert_eq!(
                (&*what, after, &*present),
                (thing, timeout, &*there.iter().map(ToString::to_string).collect::<Vec<_>>())
            );
        }
    }
    let wait = node.wait_process("c").timeout(Duration::from_millis(50));
    let error = tokio::task::spawn_blocking(|| wait.wait()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains(r#"node "c" did not appear within 50ms; present: "#), "{error}");
}

#[tokio::test]
async fn waiting_ends_when_the_node_stops() {
    let controller = Controller::start().await;
    let node = controller.node("a", []).await;
    let waits = [node.wait_process("b"), node.wait_function("echo")].map(|wait| tokio::spawn(wait.into_future()));
    node.stop().await;
    for wait in waits {
        let ended = soon(wait).await.unwrap();
        assert!(matches!(ended, Err(WaitError::Stopped { .. })), "{ended:?}");
    }
}

#[tokio::test]
async fn every_node_knows_who_offers_what() {
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![echo, add]).await;
    let b = controller.node("b", []).await;
    meet(&[&a, &b]).await;
    for node in [&a, &b] {
        let mut nodes = node.nodes();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let [a, b] = nodes.as_slice() else { panic!("expected two nodes, got {nodes:?}") };
        assert_eq!((&*a.name, &*b.name, b.callbacks.len()), ("a", "b", 0));
        let mut offers: Vec<_> = a.callbacks.iter().map(|c| (&*c.name, &*c.signature)).collect();
        offers.sort_unstable();
        let signatures =
            [("add", "add(a: i64, b: &i64) -> Result<i64, String>"), ("echo", "echo(text: String) -> String")];
        assert_eq!(offers, signatures);
        for callback in &a.callbacks {
            let (file, line) = callback.location.rsplit_once(':').unwrap();
            assert!(file.ends_with(".rs") && line.parse::<u32>().is_ok(), "{}", callback.location);
        }
    }
}

#[tokio::test]
async fn events_tell_who_joined_who_left_and_why() {
    let controller = Controller::start().await;
    let watcher = controller.node("watcher", []).await;
    let mut events = watcher.events();
    for (name, stops) in [("a", true), ("b", false)] {
        let node = controller.node(name, []).await;
        assert_eq!(soon(events.next()).await, Some(Event::NodeJoined { node: name.into() }));
        if stops {
            node.stop().await;
        } else {
            drop(node);
        }
        match soon(events.next()).await {
            Some(Event::NodeLeft { node, reason }) => {
                assert_eq!(node, name);
                let expected = if stops { "it left" } else { "it closed the connection: it stopped" };
                assert_eq!(reason, expected);
            }
            other => panic!("expected {name} to leave, got {other:?}"),
        }
        assert!(watcher.nodes().iter().all(|node| node.name != name));
    }
}

#[tokio::test]
async fn callbacks_offered_later_reach_everybody() {
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![echo]).await;
    let b = controller.node("b", []).await;
    meet(&[&a, &b]).await;
    let mut events = b.events();
    b.offer(callbacks![echo]).unwrap();
    a.offer(callbacks![add]).unwrap();
    let mut offered = Vec::new();
    for _ in 0..2 {
        let offer = event(&mut events, |event| match event {
            Event::CallbacksOffered { node, callbacks } => Some((node.clone(), callbacks.clone())),
            _ => None,
        });
        offered.push(offer.await);
    }
    offered.sort();
    assert_eq!(offered, [("a".into(), vec!["add".into()]), ("b".into(), vec!["echo".into()])]);
    a.wait_function("echo").await.unwrap();
    assert_eq!(ask::echo("to b").on(&a).await.as_deref(), Ok("to b"));
    assert_eq!(ask::echo("to a").on(&b).await.as_deref(), Ok("to a"));
    // Who joins later hears of them in the welcome.
    let c = controller.node("c", []).await;
    c.wait_function("add").timeout(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_node_joins_again_when_its_controller_is_back() {
    let state = tempfile::tempdir().unwrap();
    let (_, token) = StateDir::at(state.path()).controller().unwrap();
    let start = |port: u16| {
        let controller = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(port);
        controller.state_dir(state.path()).start()
    };
    let controller = start(0).await.unwrap();
    let port = controller.controller_address().unwrap().port();
    let node = |name: &str| {
        let node = Global::builder().process_name(name).host("127.0.0.1").port(port).token(token.to_string());
        node.connect_timeout(PATIENCE)
    };
    let a = node("a").callbacks(callbacks![echo]).start().await.unwrap();
    let b = node("b").callbacks([]).start().await.unwrap();
    meet(&[&a, &b]).await;
    let mut events = b.events();
    controller.stop_within(Duration::ZERO).await;
    event(&mut events, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
    let _controller = start(port).await.unwrap();
    event(&mut events, |event| (*event == Event::Connected).then_some(())).await;
    b.wait_function("echo").timeout(PATIENCE).await.unwrap();
    assert_eq!(ask::echo("again").on(&b).await.as_deref(), Ok("again"));
}
