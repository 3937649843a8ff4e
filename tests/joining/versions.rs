//! Peers of another protocol version, or of another protocol: both sides are told in words.

use daffi::{Global, JoinError};
use daffi_core::{transport::CloseCode, wire::preamble};

use crate::{
    Watcher,
    common::{Controller, PATIENCE, soon},
    raw::{Impostor, Stranger, opening},
    refusal,
};

#[tokio::test]
async fn a_node_of_another_version_is_told_which_versions_met() {
    let controller = Controller::start().await;
    let watcher = Watcher::start(&controller).await;
    for theirs in [0, preamble::VERSION - 1, preamble::VERSION + 1, u16::MAX] {
        let stranger = Stranger::connect(&controller).await;
        let (_send, _receive) = stranger.say(opening(theirs)).await;
        let (code, reason) = stranger.dismissal().await;
        assert_eq!(code, CloseCode::Version);
        for said in [&preamble::VERSION.to_string(), &theirs.to_string(), "version", "upgrade"] {
            assert!(reason.contains(said), "{reason:?} does not say {said:?}");
        }
    }
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn a_peer_that_does_not_speak_daffi_is_dismissed() {
    let controller = Controller::start().await;
    let watcher = Watcher::start(&controller).await;
    for bytes in [b"\0GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 64], vec![0; 64]] {
        let stranger = Stranger::connect(&controller).await;
        let (_send, _receive) = stranger.say(bytes).await;
        assert_eq!(stranger.dismissal().await.0, CloseCode::Malformed);
    }
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn a_node_that_meets_a_controller_of_another_version_says_so_and_gives_up() {
    let mut impostor = Impostor::listen();
    let address = impostor.address();
    let reason = "this controller speaks a later version of the daffi protocol than the node";
    let node = Global::builder().host(address.ip().to_string()).port(address.port()).token(impostor.token());
    let joining = tokio::spawn(node.callbacks([]).connect_timeout(PATIENCE * 10).start());
    assert_eq!(impostor.dismiss(preamble::VERSION + 1, reason).await, Ok(preamble::VERSION));
    match refusal(soon(joining).await.unwrap()) {
        JoinError::Version { reason: said } => assert_eq!(said, reason),
        other => panic!("expected the versions to differ, got {other}"),
    }
}
