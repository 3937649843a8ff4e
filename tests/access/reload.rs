//! Rules that change while nodes are there.

use daffi::{Right, StartError, callbacks};

use crate::{
    ask, assert_forbidden,
    common::{Controller, meet},
    open,
};

fn rules(client: &str, server: &str) -> String {
    format!("[[rule]]\nnodes = \"client\"\n{client}\n[[rule]]\nnodes = \"server\"\n{server}\n")
}

#[tokio::test]
async fn new_rules_allow_and_forbid_from_the_next_call_on() {
    let controller = Controller::configured("").await;
    let server = controller.node("server", callbacks![open]).await;
    let client = controller.node("client", []).await;
    meet(&[&server, &client]).await;
    assert_eq!(ask::open().on(&client).await, Ok(7));
    let forbidden = ["client", "server", "open"];
    for _ in 0..2 {
        controller.reconfigure(&rules("call = \"other\"", "offer = \"open\"")).unwrap();
        assert_forbidden(ask::open().on(&client).await, forbidden, Right::Call);
        // It stays, and is known; whoever asks for it is refused.
        controller.reconfigure(&rules("call = \"open\"", "offer = \"other\"")).unwrap();
        assert_forbidden(ask::open().on(&client).await, forbidden, Right::Offer);
        controller.reconfigure(&rules("call = \"open\"", "offer = \"open\"")).unwrap();
        assert_eq!(ask::open().on(&client).await, Ok(7));
    }
    controller.reconfigure("").unwrap();
    assert_eq!(ask::open().on(&client).await, Ok(7));
}

#[tokio::test]
async fn a_mistake_leaves_all_as_it_was() {
    let controller = Controller::configured(&rules("call = \"open\"", "offer = \"open\"")).await;
    let server = controller.node("server", callbacks![open]).await;
    let client = controller.node("client", []).await;
    meet(&[&server, &client]).await;
    for (mistake, words) in [
        ("[[rule]]\nnode = \"client\"\n", "daffi.toml:2: unknown field `node`"),
        ("[[rule]]\nnodes = \"client\"\ncall = \"a b\"\n", "daffi.toml:3: \"a b\" is no pattern for names"),
        ("[certificates]\nca = \"nowhere.pem\"\n", "nowhere.pem"),
    ] {
        match controller.reconfigure(mistake) {
            Err(StartError::Controller(error)) => assert!(error.to_string().contains(words), "{error}"),
            other => panic!("expected the mistake to be found, got {other:?}"),
        }
        assert_eq!(ask::open().on(&client).await, Ok(7));
    }
}
