//! The controller's own certificate: by whose word nodes take it for theirs.

use daffi::{Global, JoinError, StartError};
use daffi_core::transport::{JoinToken, quic::ConnectError};

use crate::{
    common::Controller,
    issued::{Files, Pair, past},
    refusal,
};

/// The controller's secret, with a fingerprint that is nobody's.
fn unpinned(controller: &Controller) -> String {
    controller.token().parse::<JoinToken>().unwrap().pinning([7; 32]).to_string()
}

#[tokio::test]
async fn a_node_trusts_its_authority_instead_of_the_fingerprint() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks_and_shows(false)).await;
    let token = unpinned(&controller);
    let error = refusal(controller.builder("a").token(&token).start().await);
    assert!(matches!(error, JoinError::WrongController(ConnectError::WrongController { .. })), "{error}");
    controller.builder("a").token(&token).ca(files.ca()).start().await.unwrap().stop().await;
}

#[tokio::test]
async fn a_controller_of_another_authority_is_not_trusted() {
    let (files, others) = (Files::new(), Files::new());
    let controller = Controller::configured(&files.asks_and_shows(false)).await;
    let error = refusal(controller.builder("a").ca(others.ca()).start().await);
    assert!(matches!(error, JoinError::WrongController(ConnectError::ForeignController { .. })), "{error}");
    assert!(error.to_string().contains("DAFFI_CA"), "{error}");
    // Nor is one that vouches for itself.
    let controller = Controller::start().await;
    let error = refusal(controller.builder("a").ca(others.ca()).start().await);
    assert!(matches!(error, JoinError::WrongController(_)), "{error}");
}

#[tokio::test]
async fn a_node_is_not_taken_for_a_controller() {
    let files = Files::new();
    let Pair(certificate, key) = files.node("a");
    let config = format!("{}certificate = {certificate:?}\nkey = {key:?}\n", files.asks(false));
    let said = start_error(&config).await;
    assert!(said.contains("for a controller's certificate") && said.contains("cert controller"), "{said}");
}

#[tokio::test]
async fn the_token_outlives_the_certificate() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks_and_shows(false)).await;
    let token = controller.token();
    // Another key and certificate, of the same authority.
    controller.reconfigure(&files.asks_and_shows(false)).unwrap();
    assert_eq!(controller.token(), token);
    controller.builder("a").token(&token).start().await.unwrap().stop().await;
}

#[tokio::test]
async fn certificates_that_no_node_would_take_are_an_error_at_the_start() {
    let files = Files::new();
    let expired = files.save("old", &files.authority.issue_controller(past()).unwrap());
    let Pair(certificate, key) = &expired;
    let shows = |certificate, key| format!("certificate = {certificate:?}\nkey = {key:?}\n");
    let good = files.controller();
    for (config, words) in [
        (files.asks(false) + &shows(certificate, key), "xpired"),
        (files.asks(false) + &shows(&good.0, key), "does not fit"),
        (format!("[certificates]\ncertificate = {certificate:?}\n"), "the key is missing"),
        ("[certificates]\nrequired = true\n".into(), "there is no authority"),
        ("[certificates]\nca = \"nowhere.pem\"\n".into(), "could not read"),
    ] {
        let said = start_error(&config).await;
        assert!(said.contains(words), "{said}");
    }
}

/// Why a controller with this config file does not start.
async fn start_error(config: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daffi.toml");
    std::fs::write(&path, config).unwrap();
    let builder = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(0);
    match builder.state_dir(dir.path()).config_file(path).start().await {
        Err(StartError::Controller(error)) => error.to_string(),
        other => panic!("expected the controller not to start, got {other:?}"),
    }
}
