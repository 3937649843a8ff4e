//! Tokens that change: two are valid at once, and then one.

use std::time::Duration;

use daffi::JoinError;
use daffi_controller::Config;
use daffi_core::transport::StateDir;

use crate::{assert_only, common::Controller, refusal};

fn config(controller: &Controller) -> Config {
    Config::ephemeral(controller.address()).with_state(StateDir::at(controller.state_dir()))
}

#[tokio::test]
async fn the_old_token_is_valid_beside_the_new_one_until_it_is_retired() {
    let controller = Controller::start().await;
    let old = controller.token();
    let new = config(&controller).rotate_token(None).unwrap().current.to_string();
    assert_ne!(old, new);
    // Not before it reloads.
    let error = refusal(controller.builder("a").token(&new).start().await);
    assert!(matches!(error, JoinError::WrongToken { .. }), "{error}");
    controller.global().reload_controller().unwrap();
    assert_eq!(controller.token(), new);
    let with_old = controller.builder("old").token(&old).start().await.unwrap();
    let with_new = controller.builder("new").token(&new).start().await.unwrap();

    assert!(config(&controller).retire_token().unwrap());
    controller.global().reload_controller().unwrap();
    let error = refusal(controller.builder("late").token(&old).start().await);
    assert!(matches!(error, JoinError::WrongToken { .. }), "{error}");
    assert!(!error.to_string().contains(&old) && !error.to_string().contains(&new));
    // Who is there stays.
    assert_only(&controller, &["new", "old"]).await;
    drop((with_old, with_new));
}

#[tokio::test]
async fn an_old_token_ends_at_the_time_that_was_said() {
    let controller = Controller::start().await;
    let old = controller.token();
    config(&controller).rotate_token(Some(Duration::ZERO)).unwrap();
    controller.global().reload_controller().unwrap();
    let error = refusal(controller.builder("late").token(&old).start().await);
    assert!(matches!(error, JoinError::WrongToken { .. }), "{error}");
}

#[tokio::test]
async fn secrets_are_in_no_debug_output() {
    let controller = Controller::start().await;
    let token = controller.token();
    let shown = format!("{:?} {:?}", controller.global(), controller.builder("a"));
    let secret = token.parse::<daffi::JoinToken>().unwrap();
    let bytes: Vec<_> = secret.secret()[..4].iter().map(u8::to_string).collect();
    assert!(!shown.contains(&token) && !shown.contains(&bytes.join(", ")), "a secret is in {shown}");
}
