//! Which node runs a call: the least busy, or the one that a key belongs to.

use std::collections::BTreeSet;

use daffi::{Global, callbacks};

use crate::{
    common::{Controller, meet, soon},
    probe::Probe,
    served,
    stubs::{bg, fg},
};

async fn two(controller: &Controller) -> (Global, Global) {
    let a = controller.node("a", callbacks![served::a::who, served::hold]).await;
    let b = controller.node("b", callbacks![served::b::who, served::hold]).await;
    (a, b)
}

#[tokio::test]
async fn the_least_busy_node_runs_the_next_call() {
    let mut probe = Probe::new();
    let controller = Controller::start().await;
    let (a, b) = two(&controller).await;
    let caller = controller.node("caller", []).await;
    meet(&[&a, &b, &caller]).await;

    let held = bg::hold(probe.key).to("a").on(&caller).start().await.unwrap();
    assert_eq!(probe.told().await, "hold began");
    for _ in 0..10 {
        assert_eq!(fg::who().least_busy().on(&caller).await.as_deref(), Ok("b"));
    }
    probe.open();
    assert_eq!(held.await, Ok(probe.key));

    let mut ran = BTreeSet::new();
    for _ in 0..10 {
        ran.insert(fg::who().least_busy().on(&caller).await.unwrap());
    }
    assert_eq!(ran.len(), 2, "of two that are idle each has its turn");
}

#[tokio::test]
async fn a_key_goes_to_one_node_whoever_calls_until_that_node_leaves() {
    let controller = Controller::start().await;
    let (a, b) = two(&controller).await;
    let callers = [controller.node("caller-1", []).await, controller.node("caller-2", []).await];
    meet(&[&a, &b, &callers[0], &callers[1]]).await;

    let keys: Vec<_> = (0..40_u32).map(u32::to_be_bytes).collect();
    let mut places = Vec::new();
    for key in &keys {
        let place = fg::who().sticky(key).on(&callers[0]).await.unwrap();
        assert_eq!(fg::who().sticky(key).on(&callers[1]).await.as_ref(), Ok(&place));
        places.push(place);
    }
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 2, "keys spread");

    let mut events = callers[0].events();
    b.stop().await;
    crate::common::event(&mut events, |event| matches!(event, daffi::Event::NodeLeft { .. }).then_some(())).await;
    for key in &keys {
        assert_eq!(fg::who().sticky(key).on(&callers[0]).await.as_deref(), Ok("a"));
    }
    let b = controller.node("b", callbacks![served::b::who]).await;
    meet(&[&callers[0], &b]).await;
    for (key, place) in keys.iter().zip(&places) {
        assert_eq!(fg::who().sticky(key).on(&callers[0]).await.as_ref(), Ok(place), "it has its keys back");
    }
}

#[tokio::test]
async fn a_key_that_nobody_can_take_is_an_error() {
    let controller = Controller::start().await;
    let caller = controller.node("caller", []).await;
    let error = soon(fg::who().sticky("key").on(&caller).into_future()).await.unwrap_err();
    assert_eq!(error.to_string(), r#"no other node offers "who"; known callbacks: none"#);
}
