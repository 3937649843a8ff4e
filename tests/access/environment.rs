//! DAFFI_CERT, DAFFI_KEY and DAFFI_CA, in a process of its own: this program again, of which it runs one test.

use std::process::{Output, Stdio};

use daffi::Global;
use daffi_core::transport::JoinToken;
use tokio::process::Command;

use crate::{
    common::{Controller, soon},
    issued::Files,
};

#[tokio::test]
async fn certificates_come_from_the_environment_too() {
    let files = Files::new();
    let controller = Controller::configured(&files.asks_and_shows(true)).await;
    let token = controller.token().parse::<JoinToken>().unwrap().pinning([7; 32]).to_string();
    let pair = files.node("child");
    let [certificate, key, ca] = [&pair.0, &pair.1, &files.ca()].map(|path| path.to_str().unwrap().to_owned());
    let said =
        child(&controller, &token, &[("DAFFI_CERT", &certificate), ("DAFFI_KEY", &key), ("DAFFI_CA", &ca)]).await;
    assert!(said.contains("child: joined"), "{said}");
    let said = child(&controller, &token, &[("DAFFI_CERT", &certificate), ("DAFFI_CA", &ca)]).await;
    assert!(said.contains("DAFFI_KEY is missing"), "{said}");
    let said = child(&controller, &token, &[("DAFFI_KEY", &key), ("DAFFI_CA", &ca)]).await;
    assert!(said.contains("DAFFI_CERT is missing"), "{said}");
}

async fn child(controller: &Controller, token: &str, env: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "environment::child_joins", "--ignored", "--nocapture"]);
    for variable in ["DAFFI_CERT", "DAFFI_KEY", "DAFFI_CA"] {
        command.env_remove(variable);
    }
    command.env("DAFFI_TOKEN", token).env("TEST_PORT", controller.address().port().to_string());
    command.envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let Output { stdout, .. } = soon(command.output()).await.unwrap();
    String::from_utf8(stdout).unwrap()
}

#[test]
#[ignore = "another test runs it, in a process of its own"]
fn child_joins() {
    let Ok(port) = std::env::var("TEST_PORT") else { return };
    let node = Global::builder().process_name("child").host("127.0.0.1").port(port.parse().unwrap()).callbacks([]);
    match node.start().wait() {
        Ok(node) => {
            println!("\nchild: joined");
            node.stop().wait();
        }
        Err(error) => println!("\nchild: {error}"),
    }
}
