//! Names of nodes and callbacks: which are refused, and by whom.

use daffi::{Global, JoinError, callback, callbacks};
use daffi_core::transport::CloseCode;

use crate::{
    Watcher, ask,
    common::{Controller, event, meet},
    echo,
    raw::{Stranger, hello},
    refusal,
};

const BAD_NAMES: [&str; 9] = ["", " ", "a b", "a/b", "a\nb", "a\u{7f}", "a\0", "-a", ".."];

#[tokio::test]
async fn a_taken_name_is_an_error_and_its_first_holder_keeps_working() {
    let controller = Controller::start().await;
    let first = controller.node("a", callbacks![echo]).await;
    let watcher = Watcher::start(&controller).await;
    let mut events = watcher.node.events();
    match refusal(controller.builder("a").start().await) {
        JoinError::NameTaken { reason } => assert!(reason.contains(r#"a node named "a" is here already"#), "{reason}"),
        other => panic!("expected the name to be taken, got {other}"),
    }
    assert_eq!(ask::echo("still here").on(&watcher.node).to("a").await.as_deref(), Ok("still here"));
    first.stop().await;
    event(&mut events, |event| matches!(event, daffi::Event::NodeLeft { .. }).then_some(())).await;
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn a_name_is_free_again_once_its_node_has_left() {
    let controller = Controller::start().await;
    controller.node("a", []).await.stop().await;
    drop(controller.node("a", []).await);
    let third = controller.node("a", callbacks![echo]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&third, &caller]).await;
    assert_eq!(ask::echo("third").on(&caller).to("a").await.as_deref(), Ok("third"));
}

#[tokio::test]
async fn separators_and_control_characters_are_refused_before_a_controller_is_looked_for() {
    let long = "x".repeat(129);
    for name in BAD_NAMES.into_iter().chain([&*long]) {
        // Nobody listens there.
        let error = refusal(Global::builder().process_name(name).port(1).callbacks([]).start().await);
        assert!(matches!(&error, JoinError::InvalidName { name: said, .. } if said == name), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

#[tokio::test]
async fn the_controller_checks_names_itself() {
    let controller = Controller::start().await;
    let watcher = Watcher::start(&controller).await;
    for bad in BAD_NAMES {
        for bytes in [hello(&controller, bad, "fine"), hello(&controller, "fine", bad)] {
            let stranger = Stranger::connect(&controller).await;
            let (_send, _receive) = stranger.say(bytes).await;
            let (code, reason) = stranger.dismissal().await;
            assert_eq!(code, CloseCode::InvalidName, "{reason}");
            assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn a_node_without_a_name_makes_one_up_that_is_its_own() {
    let controller = Controller::start().await;
    let address = controller.address();
    let nameless = || {
        let builder = Global::builder().host(address.ip().to_string()).port(address.port());
        builder.token(controller.token()).callbacks([]).start()
    };
    let (a, b) = (nameless().await.unwrap(), nameless().await.unwrap());
    assert_ne!(a.name(), b.name());
    meet(&[&a, &b]).await;
}

mod first {
    use daffi::callback;

    #[callback]
    pub(crate) fn twin() {}
}

mod second {
    use daffi::callback;

    #[callback]
    pub(crate) fn twin() {}
}

#[callback]
fn other() {}

#[tokio::test]
async fn two_callbacks_of_one_name_are_an_error_that_says_where_they_are() {
    let controller = Controller::start().await;
    let watcher = Watcher::start(&controller).await;
    let refused = refusal(controller.builder("a").callbacks(callbacks![first::twin, second::twin]).start().await);
    assert_twins(&refused);
    // Without a list these are all of the program, the twins among them.
    let address = controller.address();
    let all = Global::builder().host(address.ip().to_string()).port(address.port()).token(controller.token());
    assert_twins(&refusal(all.start().await));
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn offering_a_name_again_is_an_error_and_offers_nothing() {
    let controller = Controller::start().await;
    let node = controller.node("a", callbacks![first::twin]).await;
    assert_twins(&node.offer(callbacks![other, second::twin]).unwrap_err());
    let watcher = controller.node("watcher", []).await;
    let offered: Vec<_> = watcher.nodes().into_iter().flat_map(|node| node.callbacks).collect();
    assert_eq!(offered.iter().map(|callback| &*callback.name).collect::<Vec<_>>(), ["twin"]);
    node.offer(callbacks![other]).unwrap();
    watcher.wait_function("other").await.unwrap();
}

#[track_caller]
fn assert_twins(error: &JoinError) {
    let JoinError::DuplicateCallback { name, first, second } = error else {
        panic!("expected two callbacks of one name, got {error}");
    };
    assert_eq!(name, "twin");
    assert_ne!(first, second);
    for place in [first, second] {
        let (file, line) = place.rsplit_once(':').unwrap();
        assert!(file.ends_with("names.rs") && line.parse::<u32>().is_ok(), "{place}");
        assert!(error.to_string().contains(place), "{error}");
    }
}
