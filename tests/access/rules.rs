//! Rules for calls and offers, and what a node is told that breaks them.

use std::sync::atomic::Ordering;

use daffi::{Event, JoinError, Right, callbacks};
use daffi_core::transport::CloseCode;

use crate::{
    OPENED, ask, ask_all, assert_forbidden, assert_only,
    common::{Controller, event, meet},
    open,
    raw::{Stranger, hello},
    refusal, shut,
};

const RULES: &str = r#"
[[rule]]
nodes = "server-*"
offer = ["open", "shut"]

[[rule]]
nodes = ["client", "cli?nt-[12]"]
call = "o*n"
"#;

#[tokio::test]
async fn a_call_that_no_rule_allows_does_not_reach_its_callback() {
    let controller = Controller::configured(RULES).await;
    let server = controller.node("server-1", callbacks![open, shut]).await;
    let (client, other) = (controller.node("client", []).await, controller.node("other", []).await);
    meet(&[&server, &client, &other]).await;
    assert_eq!(ask::open().on(&client).await, Ok(7));
    // The second time it is known, and not looked up.
    for _ in 0..2 {
        assert_forbidden(ask::shut().on(&client).await, ["client", "server-1", "shut"], Right::Call);
        assert_forbidden(ask::open().on(&other).await, ["other", "server-1", "open"], Right::Call);
    }
    let dynamic = other.call("open").await.map(drop).unwrap_err();
    assert!(dynamic.to_string().contains("no rule of the controller allows"), "{dynamic}");
    let one_way = client.call("shut").to("server-1").await.map(drop).unwrap_err();
    assert!(one_way.to_string().contains(r#"node "client" may not call "shut""#), "{one_way}");
}

#[tokio::test]
async fn a_broadcast_is_a_call_to_each() {
    let controller = Controller::configured(RULES).await;
    let one = controller.node("server-1", callbacks![open, shut]).await;
    let two = controller.node("server-2", callbacks![open, shut]).await;
    let client = controller.node("client-2", []).await;
    meet(&[&one, &two, &client]).await;
    let opened = OPENED.load(Ordering::Relaxed);
    let replies = ask_all::open().on(&client).await.unwrap();
    assert!(replies.len() == 2 && replies.iter().all(|reply| reply.result == Ok(7)), "{replies:?}");
    assert!(OPENED.load(Ordering::Relaxed) >= opened + 2);
    let replies = ask_all::shut().on(&client).await.unwrap();
    assert_eq!(replies.len(), 2);
    for reply in replies {
        assert_forbidden(reply.result, ["client-2", &reply.node, "shut"], Right::Call);
    }
}

#[tokio::test]
async fn a_node_that_offers_what_it_may_not_is_refused() {
    let controller = Controller::configured(RULES).await;
    let error = refusal(controller.builder("client").callbacks(callbacks![open, shut]).start().await);
    match &error {
        JoinError::NotAllowed { reason } => {
            for word in [r#""client""#, r#""open""#, r#""shut""#, "no rule of this controller"] {
                assert!(reason.contains(word), "{reason}");
            }
        }
        other => panic!("expected the offer to be refused, got {other}"),
    }
    assert_only(&controller, &[]).await;
}

#[tokio::test]
async fn a_later_offer_that_is_not_allowed_is_refused_and_the_node_goes_on() {
    const RULES: &str = "[[rule]]\nnodes = \"server\"\noffer = \"open\"\n[[rule]]\nnodes = \"*\"\ncall = \"*\"\n";
    let controller = Controller::configured(RULES).await;
    let server = controller.node("server", []).await;
    let client = controller.node("client", []).await;
    meet(&[&server, &client]).await;
    let mut events = server.events();
    server.offer(callbacks![shut, open]).unwrap();
    let refused = event(&mut events, |event| match event {
        Event::OffersRefused { callbacks, reason } => Some((callbacks.clone(), reason.clone())),
        _ => None,
    });
    let (callbacks, reason) = refused.await;
    assert_eq!(callbacks, ["shut"]);
    assert!(reason.contains(r#"allows node "server" to offer "shut""#), "{reason}");
    client.wait_function("open").await.unwrap();
    assert_eq!(ask::open().on(&client).await, Ok(7));
    assert!(matches!(ask::shut().on(&client).await, Err(daffi::CallError::NoCallback { .. })));
    // It offers it no more: once a rule allows it, it may offer it anew.
    controller.reconfigure(&format!("{RULES}[[rule]]\nnodes = \"server\"\noffer = \"shut\"\n")).unwrap();
    server.offer(callbacks![shut]).unwrap();
    client.wait_function("shut").await.unwrap();
}

#[tokio::test]
async fn names_that_are_none_are_refused_as_such_whatever_the_rules() {
    let controller = Controller::configured(RULES).await;
    for bad in ["", "a b", "a/b", "a\nb", "-a", "*", "server-*"] {
        for (name, callback) in [(bad, "open"), ("server-1", bad)] {
            let stranger = Stranger::connect(&controller).await;
            let (_send, _receive) = stranger.say(hello(&controller, name, callback)).await;
            let (code, reason) = stranger.dismissal().await;
            assert_eq!(code, CloseCode::InvalidName, "{reason}");
            assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }
    assert_only(&controller, &[]).await;
}

#[tokio::test]
async fn a_node_in_the_controllers_process_goes_by_the_rules_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daffi.toml");
    std::fs::write(&path, RULES).unwrap();
    let home = daffi::Global::builder().process_name("home").init_controller(true).host("127.0.0.1").port(0);
    let home = home.state_dir(dir.path()).config_file(&path).callbacks(callbacks![open]).start().await;
    assert!(matches!(refusal(home), JoinError::NotAllowed { .. }));
}
