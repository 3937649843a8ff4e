//! Certificates of nodes: who is refused, when, and what both sides are told.

use daffi::{JoinError, callbacks};
use daffi_core::transport::JoinToken;

use crate::{
    ask, assert_only,
    common::{Controller, meet},
    issued::{Files, Shows},
    open, refusal,
};

/// A node was refused for its certificate, and told so in these words.
#[track_caller]
fn assert_refused(error: &JoinError, words: &[&str]) {
    assert!(matches!(error, JoinError::CertificateRefused { .. }), "{error}");
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[tokio::test]
async fn a_node_with_a_certificate_of_its_own_joins_and_calls() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks(true)).await;
    let server = controller.builder("server").shows(&files.node("server")).callbacks(callbacks![open]);
    let server = server.start().await.unwrap();
    // A name that is no DNS name.
    let client = controller.builder("client.é").shows(&files.node("client.é")).start().await.unwrap();
    meet(&[&server, &client]).await;
    assert_eq!(ask::open().on(&client).await, Ok(7));
}

#[tokio::test]
async fn a_node_without_one_is_refused_where_one_is_needed() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks(true)).await;
    assert_refused(&refusal(controller.builder("a").start().await), &["got none", "DAFFI_CERT", "cert node NAME"]);
    controller.reconfigure(&files.asks(false)).unwrap();
    assert_only(&controller, &[]).await;
}

#[tokio::test]
async fn a_node_without_one_joins_where_one_is_only_looked_at() {
    let (files, others) = (Files::new(), Files::new());
    let controller = Controller::configured(&files.asks(false)).await;
    controller.node("a", []).await.stop().await;
    // What is shown has to be in order all the same.
    let foreign = others.node("b");
    assert_refused(&refusal(controller.builder("b").shows(&foreign).start().await), &["does not trust"]);
    assert_refused(
        &refusal(controller.builder("b").shows(&files.expired_node("b")).start().await),
        &["expired", "cert node NAME"],
    );
    assert_only(&controller, &[]).await;
}

#[tokio::test]
async fn expired_foreign_and_other_certificates_are_refused_before_anything_is_registered() {
    let (files, others) = (Files::new(), Files::new());
    let controller = Controller::configured(&files.asks(true)).await;
    let cases = [
        (files.expired_node("a"), "expired"),
        (others.node("a"), "an authority that it does not trust"),
        (files.controller(), "not made for this"),
        (files.node("b"), "names \"b\", and not \"a\""),
    ];
    for (shown, words) in cases {
        assert_refused(&refusal(controller.builder("a").shows(&shown).start().await), &[words, "cert node NAME"]);
    }
    controller.reconfigure(&files.asks(false)).unwrap();
    assert_only(&controller, &[]).await;
}

#[tokio::test]
async fn nobody_takes_the_name_of_another() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks(true)).await;
    let holder = controller.builder("holder").shows(&files.node("holder")).callbacks(callbacks![open]);
    let holder = holder.start().await.unwrap();
    let other = files.node("other");
    for name in ["holder", "HOLDER", "holder.x", "Other", "*"] {
        assert!(controller.builder(name).shows(&other).start().await.is_err(), "{name}");
    }
    let other = controller.builder("other").shows(&other).start().await.unwrap();
    meet(&[&holder, &other]).await;
    assert_eq!(ask::open().on(&other).to("holder").await, Ok(7));
}

#[tokio::test]
async fn a_certificate_does_not_replace_the_token() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks(true)).await;
    let right: JoinToken = controller.token().parse().unwrap();
    let wrong = JoinToken::generate(*right.fingerprint()).to_string();
    let error = refusal(controller.builder("a").shows(&files.node("a")).token(&wrong).start().await);
    assert!(matches!(error, JoinError::WrongToken { .. }), "{error}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_says_which() {
    let (files, others) = (Files::new(), Files::new());
    let controller = Controller::configured(&files.asks(true)).await;
    let (mine, theirs) = (files.node("a"), others.node("a"));
    let certificate = |error: JoinError| {
        assert!(matches!(error, JoinError::Certificate(_)), "{error}");
        error.to_string()
    };
    let said = certificate(refusal(controller.builder("a").certificate("/nowhere.pem", &mine.1).start().await));
    assert!(said.contains("could not read /nowhere.pem"), "{said}");
    let said = certificate(refusal(controller.builder("a").certificate(&mine.0, &theirs.1).start().await));
    assert!(said.contains("does not fit"), "{said}");
    let said = certificate(refusal(controller.builder("a").shows(&mine).ca(&mine.1).start().await));
    assert!(said.contains("certificates of authorities"), "{said}");
    #[cfg(unix)]
    {
        std::fs::set_permissions(&mine.1, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let said = certificate(refusal(controller.builder("a").shows(&mine).start().await));
        assert!(said.contains("others may read it"), "{said}");
    }
}
