//! Which node a call goes to.

use std::collections::BTreeMap;

use daffi::{CallError, Global, callbacks};
use futures_util::future::join_all;

use crate::{
    common::{Controller, event, meet},
    probe::Probe,
    served,
    stubs::{bg, fg, one_way, period},
};

/// Three nodes that offer `who`, and one that calls it and offers it too.
struct Three {
    nodes: BTreeMap<&'static str, Global>,
    caller: Global,
    controller: Controller,
}

async fn three() -> Three {
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![served::a::who, served::note]).await;
    let b = controller.node("b", callbacks![served::b::who]).await;
    let c = controller.node("c", callbacks![served::c::who]).await;
    let caller = controller.node("home", callbacks![served::home::who]).await;
    meet(&[&a, &b, &c, &caller]).await;
    Three { nodes: BTreeMap::from([("a", a), ("b", b), ("c", c)]), caller, controller }
}

/// How many of these calls went where.
fn count(results: impl IntoIterator<Item = Result<String, CallError>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for result in results {
        *counts.entry(result.unwrap()).or_default() += 1;
    }
    counts
}

fn evenly(names: &[&str], each: usize) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), each)).collect()
}

#[tokio::test]
async fn calls_take_turns_among_the_other_nodes() {
    let three = three().await;
    let mut one_by_one = Vec::new();
    for _ in 0..30 {
        one_by_one.push(fg::who().on(&three.caller).await);
    }
    assert_eq!(count(one_by_one), evenly(&["a", "b", "c"], 10));
    let at_once = join_all((0..300).map(|_| fg::who().on(&three.caller).into_future())).await;
    assert_eq!(count(at_once), evenly(&["a", "b", "c"], 100));
    let mut in_the_background = Vec::new();
    for _ in 0..30 {
        in_the_background.push(bg::who().on(&three.caller).start().await.unwrap().await);
    }
    assert_eq!(count(in_the_background), evenly(&["a", "b", "c"], 10));
}

#[tokio::test]
async fn turns_follow_who_is_there() {
    let mut three = three().await;
    let mut events = three.caller.events();
    drop(three.nodes.remove("c"));
    event(&mut events, |event| matches!(event, daffi::Event::NodeLeft { node, .. } if node == "c").then_some(())).await;
    let calls = join_all((0..100).map(|_| fg::who().on(&three.caller).into_future())).await;
    assert_eq!(count(calls), evenly(&["a", "b"], 50));

    let back = three.controller.node("c", callbacks![served::c::who]).await;
    meet(&[&three.caller, &back]).await;
    let calls = join_all((0..300).map(|_| fg::who().on(&three.caller).into_future())).await;
    assert_eq!(count(calls), evenly(&["a", "b", "c"], 100));
}

#[tokio::test]
async fn to_pins_a_call_to_a_node() {
    let three = three().await;
    for _ in 0..5 {
        for name in ["a", "b", "c"] {
            assert_eq!(fg::who().on(&three.caller).to(name).await, Ok(name.into()));
            let task = bg::who().on(&three.caller).to(name).start().await.unwrap();
            assert_eq!(task.await, Ok(name.into()));
        }
    }
    let mut probe = Probe::new();
    one_way::note(probe.key, "one way").on(&three.caller).to("a").await.unwrap();
    probe.hears(&["one way"]).await;
    let past = [std::time::SystemTime::UNIX_EPOCH];
    period::note(probe.key, "period").on(&three.caller).to("a").at(past).start().await.unwrap().ended().await;
    probe.hears(&["period"]).await;
}

#[tokio::test]
async fn an_unknown_node_is_an_error_that_lists_who_is_there() {
    let three = three().await;
    let unknown = fg::who().on(&three.caller).to("d").await.unwrap_err();
    assert!(unknown.is_retryable());
    match &unknown {
        CallError::NoNode { name, present } => {
            let mut present = present.clone();
            present.sort();
            assert_eq!((&**name, present), ("d", ["a", "b", "c", "home"].map(String::from).to_vec()));
        }
        other => panic!("expected an unknown node, got {other}"),
    }
    assert!(unknown.to_string().starts_with(r#"there is no node "d"; present: "#), "{unknown}");
    let unknown = bg::who().on(&three.caller).to("d").start().await.unwrap_err();
    assert!(matches!(unknown, CallError::NoNode { .. }), "{unknown}");

    // A node that is there, and does not offer it.
    let elsewhere = one_way::note(1, "").on(&three.caller).to("b").await.unwrap_err();
    assert!(elsewhere.is_retryable());
    assert!(matches!(elsewhere, CallError::NoCallback { .. }), "{elsewhere}");
}
