//! Rules, tokens and certificates, as somebody uses them who runs the program.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use daffi_core::{
    link::Reader,
    node::{Builder, CallError, Callback, JoinError, Node, stub},
    transport::{CloseCode, Connection, JoinToken, quic::Connector},
    wire::{
        StreamKind,
        control::{ToController, ToNode},
        message,
        offer::Offer,
        preamble,
    },
};
use futures_util::future::join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{PATIENCE, Running, callback, join, names, next_line, run, text};

const CALLED: Callback = callback(|_, _| Box::pin(async { stub::reply(&()) }));

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn arguments(config: &Path) -> [&str; 4] {
    ["--port", "0", "--config", config.to_str().unwrap()]
}

async fn call(caller: &Node) -> Result<(), String> {
    timeout(PATIENCE, caller.wait_function("called")).await.unwrap().unwrap();
    let answer = timeout(PATIENCE, caller.call("called").into_future()).await.unwrap();
    answer.map(drop).map_err(|error| {
        assert!(matches!(error, CallError::NotAllowed { .. }), "{error}");
        error.to_string()
    })
}

#[tokio::test]
async fn sighup_takes_up_other_rules_and_every_refusal_is_logged() {
    const FORBIDS: &str = "[[rule]]\nnodes = \"callee\"\noffer = \"called\"\n";
    const ALLOWS: &str = "[[rule]]\nnodes = \"*\"\noffer = \"*\"\ncall = \"*\"\n";
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "daffi.toml", FORBIDS);
    let mut controller = Running::start(dir.path(), arguments(&config)).await;
    let _callee = join("callee", controller.port, dir.path(), [CALLED]).await;
    let caller = join("caller", controller.port, dir.path(), []).await;
    assert!(call(&caller).await.is_err());
    controller.logged(r#"refused: no rule allows "caller" to call "called" caller="caller" node="callee""#).await;

    fs::write(&config, ALLOWS).unwrap();
    controller.signal(Signal::HUP);
    controller.logged("read the config file, tokens and certificates again").await;
    assert_eq!(call(&caller).await, Ok(()));

    fs::write(&config, "[[rule]]\nnodes = \"*\"\ncalls = \"*\"\n").unwrap();
    controller.signal(Signal::HUP);
    controller.logged("daffi.toml:3: unknown field `calls`, expected one of `nodes`, `call`, `offer`, `stream`").await;
    assert_eq!(call(&caller).await, Ok(()), "what held goes on");

    fs::write(&config, "[[rule]]\nnodes = \"caller\"\ncall = \"*\"\n").unwrap();
    controller.signal(Signal::HUP);
    controller.logged(r#"offers what no rule allows any more: calls to it are refused node="callee""#).await;
    assert!(call(&caller).await.unwrap_err().contains(r#"no rule of the controller allows "callee" to offer it"#));
    controller.signal(Signal::TERM);
    assert_eq!(controller.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_config_file_with_a_mistake_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "daffi.toml", "\n[rules]\n");
    let output = run(dir.path(), arguments(&config)).await;
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("daffi.toml:2: unknown field `rules`, expected one of `certificates`, `limits`, `rule`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_token_is_rotated_and_retired_while_the_controller_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Running::start(dir.path(), ["--port", "0", "--log", "trace"]).await;
    let token = async |args: &[&str]| {
        let output =
            timeout(PATIENCE, crate::command(dir.path()).arg("token").args(args).output()).await.unwrap().unwrap();
        (text(&output.stdout).trim().to_owned(), text(&output.stderr).to_owned())
    };
    let (old, _) = token(&[]).await;
    let (new, said) = token(&["--rotate", "--old-for", "7d"]).await;
    assert_ne!(old, new);
    assert!(said.contains("for 7d") && said.contains("SIGHUP"), "{said}");
    assert!(!said.contains(&old) && !said.contains(&new), "a secret is in {said}");
    let (nothing, said) = token(&["--rotate"]).await;
    assert!(nothing.is_empty() && said.contains("--retire"), "{said}");

    controller.signal(Signal::HUP);
    controller.logged("read the config file").await;
    for text in [&old, &new] {
        assert!(joins(node("node", &controller).token(text)).await.is_ok());
    }
    let (still, said) = token(&["--retire"]).await;
    assert!(still == new && said.contains("is retired"), "{said}");
    controller.signal(Signal::HUP);
    controller.logged("read the config file").await;
    assert!(matches!(joins(node("node", &controller).token(&old)).await, Err(JoinError::WrongToken { .. })));
    controller.signal(Signal::TERM);
    let mut logs = String::new();
    while let Some(line) = next_line(&mut controller.logs).await {
        logs += &line;
    }
    assert!(logs.contains("refused a node"), "{logs}");
    let parsed: JoinToken = new.parse().unwrap();
    let bytes = parsed.secret()[..4].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    for secret in [&old, &new, &bytes] {
        assert!(!logs.contains(secret.as_str()), "a secret is logged");
    }
}

#[tokio::test]
async fn strangers_do_not_flood_the_log() {
    const STRANGERS: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Running::start(dir.path(), ["--port", "0"]).await;
    let token: JoinToken = text(&run(dir.path(), ["token"]).await.stdout).parse().unwrap();
    let wrong = JoinToken::generate(*token.fingerprint()).to_string();
    let strangers = (0..STRANGERS).map(|_| joins(node("node", &controller).token(&wrong)));
    for refused in join_all(strangers).await {
        assert!(matches!(refused, Err(JoinError::WrongToken { .. })), "{refused:?}");
    }
    controller.signal(Signal::TERM);
    let (mut logged, mut passed_over) = (0, 0);
    while let Some(line) = next_line(&mut controller.logs).await {
        if line.contains("refused a node") {
            logged += 1;
        } else if let Some((_, count)) = line.rsplit_once("than were logged passed_over=") {
            passed_over += count.parse::<usize>().unwrap();
        }
    }
    assert!((20..STRANGERS).contains(&logged), "{logged}");
    // An opening that was sent twice on a loaded machine can count twice.
    assert!(logged + passed_over >= STRANGERS, "all are logged or counted: {logged}, {passed_over}");
}

#[tokio::test]
async fn offers_that_are_refused_do_not_flood_the_log() {
    const OFFERS: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "daffi.toml", "[[rule]]\nnodes = \"node\"\noffer = \"nothing\"\n");
    let mut controller = Running::start(dir.path(), arguments(&config)).await;
    let token: JoinToken = text(&run(dir.path(), ["token"]).await.stdout).parse().unwrap();
    let address = ([127, 0, 0, 1], controller.port).into();
    let socket = Connector::new(address).unwrap();
    let connection = Connection::Quic(socket.connect(address, &token, PATIENCE).await.unwrap());
    let mut says = vec![StreamKind::Control as u8];
    says.extend_from_slice(&preamble::encode(preamble::VERSION));
    says.extend_from_slice(token.secret());
    let hello = ToController::Hello { name: "node".into(), offers: vec![], software: String::new(), instance: 0 };
    message::put(&hello, &mut says);
    for number in 0..OFFERS {
        let offer = Offer { name: format!("callback-{number}"), ..Offer::default() };
        message::put(&ToController::Offer { offers: vec![offer] }, &mut says);
    }
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write(&mut [says.into()]).await.unwrap();
    let mut answers = Reader::new(receive);
    let _preamble: [u8; preamble::LENGTH] = answers.bytes().await.unwrap();
    let mut refused = 0;
    while refused < OFFERS {
        let answer = timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap();
        refused += usize::from(matches!(answer, ToNode::OffersRefused { .. }));
    }
    // The count comes by itself, without a further refusal.
    let (mut logged, mut passed_over) = (0, 0);
    while logged + passed_over < OFFERS {
        let line = next_line(&mut controller.logs).await.expect("all are logged or counted");
        logged += usize::from(line.contains("refused callbacks"));
        if let Some((_, count)) = line.rsplit_once("passed_over=") {
            passed_over += count.parse::<usize>().unwrap();
        }
    }
    assert_eq!(logged + passed_over, OFFERS);
    // They came within one second, or within two if it was a slow one.
    assert!((20..OFFERS).contains(&logged), "{logged}");
}

#[tokio::test]
async fn what_a_stranger_says_begins_no_line_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Running::start(dir.path(), ["--port", "0"]).await;
    let token: JoinToken = text(&run(dir.path(), ["token"]).await.stdout).parse().unwrap();
    let address = ([127, 0, 0, 1], controller.port).into();
    let socket = Connector::new(address).unwrap();
    let connection = Connection::Quic(socket.connect(address, &token, PATIENCE).await.unwrap());
    connection.close(CloseCode::Done, "bye\r\nforged\u{1b}[2J\nforged");
    socket.close().await;
    let line = loop {
        let line = next_line(&mut controller.logs).await.expect("it logs that it refused somebody");
        assert!(!line.starts_with("forged"), "{line}");
        if line.contains("refused a node") {
            break line;
        }
    };
    assert!(line.contains("bye??forged?[2J?forged"), "{line}");
}

/// A directory with an authority and what it has issued.
async fn certificates() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for what in [&["ca"][..], &["controller"], &["node", "callee"], &["node", "caller"]] {
        let (printed, said) = cert(dir.path(), what).await;
        assert_eq!(printed.lines().count(), 2, "{said}");
        for path in printed.lines() {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if path.ends_with(".key") { 0o600 } else { 0o644 }, "{path}");
        }
    }
    dir
}

async fn cert(dir: &Path, args: &[&str]) -> (String, String) {
    let mut command = crate::command(&dir.join("state"));
    command.arg("cert").args(args).arg("--dir").arg(dir);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    (text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

fn node(name: &str, controller: &Running) -> Builder {
    Node::builder().name(name).controller("127.0.0.1", controller.port).callbacks([]).reconnect(false)
}

/// Joins and leaves again.
async fn joins(builder: Builder) -> Result<(), JoinError> {
    let node = timeout(PATIENCE, builder.join()).await.expect("it is answered")?;
    node.stop(Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn a_controller_and_its_nodes_use_the_certificates_that_it_made() {
    let dir = certificates().await;
    let path = |name: &str| dir.path().join(name);
    let [ca, certificate, key] = ["ca.pem", "controller.pem", "controller.key"].map(|name| path(name).into_os_string());
    let args = ["--port", "0", "--require-certificate", "--log", "trace"].map(Into::into);
    let args = args.into_iter().chain(["--ca".into(), ca, "--cert".into(), certificate, "--key".into(), key]);
    let mut controller = Running::start(dir.path(), args).await;
    let token = dir.path().join("token");
    let shows = |name: &str, shown: &str| {
        let [certificate, key] = ["pem", "key"].map(|kind| path(&format!("node-{shown}.{kind}")));
        node(name, &controller).token_file(&token).certificate(certificate, key)
    };
    assert!(joins(shows("caller", "caller")).await.is_ok());
    assert!(joins(shows("callee", "callee").ca(path("ca.pem"))).await.is_ok());
    for (builder, words) in [
        (shows("callee", "caller"), r#"names "caller", and not "callee""#),
        (node("caller", &controller).token_file(&token), "got none"),
    ] {
        match joins(builder).await {
            Err(JoinError::CertificateRefused { reason }) => assert!(reason.contains(words), "{reason}"),
            other => panic!("expected the certificate to be refused, got {other:?}"),
        }
    }
    controller.signal(Signal::TERM);
    let mut logs = String::new();
    while let Some(line) = next_line(&mut controller.logs).await {
        logs += &line;
    }
    assert!(logs.contains("refused a node") && logs.contains("a connection was not established"), "{logs}");
    for key in ["controller.key", "ca.key", "node-caller.key"] {
        let text = fs::read_to_string(path(key)).unwrap();
        assert!(!logs.contains(text.lines().nth(1).unwrap()), "{key} is logged");
    }
}

/// What the program prints with `token`, and nothing else.
async fn token(state: &Path, args: &[&str]) -> String {
    let output = timeout(PATIENCE, crate::command(state).arg("token").args(args).output()).await.unwrap().unwrap();
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn to_print_the_token_changes_nothing_of_a_controller_that_runs() {
    let dir = certificates().await;
    let state = dir.path().join("state");
    let config = write(dir.path(), "daffi.toml", "");
    let mut controller = Running::start(&state, arguments(&config)).await;
    let file = state.join("token");
    let before = fs::read_to_string(&file).unwrap();
    let own = token(&state, &[]).await;
    assert_eq!(own, before.trim());

    fs::write(&config, "[certificates]\nca = \"ca.pem\"\ncertificate = \"controller.pem\"\nkey = \"controller.key\"\n")
        .unwrap();
    let to_be = token(&state, &["--config", config.to_str().unwrap()]).await;
    assert_ne!(to_be, own);
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "nodes still find the token of the controller that runs");
    assert!(joins(node("node", &controller).token_file(&file)).await.is_ok());

    // Neither does a reload that cannot have the token pin the other certificate.
    let in_the_way = state.join("lock");
    fs::create_dir(&in_the_way).unwrap();
    controller.signal(Signal::HUP);
    controller.logged("did not reload").await;
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert!(joins(node("node", &controller).token_file(&file)).await.is_ok());

    fs::remove_dir(in_the_way).unwrap();
    controller.signal(Signal::HUP);
    controller.logged("read the config file").await;
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), to_be);
    assert!(joins(node("node", &controller).token_file(&file)).await.is_ok());
}

#[tokio::test]
async fn the_token_of_a_controller_with_a_certificate_is_printed_without_naming_it() {
    let dir = certificates().await;
    let state = dir.path().join("state");
    let [ca, certificate, key] = ["ca.pem", "controller.pem", "controller.key"].map(|name| dir.path().join(name));
    let given = ["--ca", ca.to_str().unwrap(), "--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let controller = Running::start(&state, given.iter().chain(&["--port", "0"])).await;
    let kept = fs::read_to_string(state.join("token")).unwrap();
    assert_eq!(token(&state, &[]).await, kept.trim());
    assert_eq!(token(&state, &given).await, kept.trim());
    assert_eq!(names(&state), ["token"], "no certificate is made that this token is not for");
    assert!(joins(node("node", &controller).token(token(&state, &[]).await)).await.is_ok());

    // Without its certificate no controller starts there, and the token that all nodes have stays.
    let output = run(&state, ["--port", "0"]).await;
    let message = text(&output.stderr);
    assert!(message.contains("name that certificate") && !message.contains("remove"), "{message}");
    assert_eq!(names(&state), ["token"]);
    assert_eq!(fs::read_to_string(state.join("token")).unwrap(), kept);
}

#[tokio::test]
async fn a_controller_that_cannot_start_leaves_the_token_to_the_one_that_runs() {
    let dir = certificates().await;
    let state = dir.path().join("state");
    let controller = Running::start(&state, ["--port", "0"]).await;
    let kept = fs::read_to_string(state.join("token")).unwrap();
    let port = controller.port.to_string();
    let [certificate, key, ca] = ["controller.pem", "controller.key", "ca.pem"].map(|name| dir.path().join(name));
    let [certificate, key, ca] = [&certificate, &key, &ca].map(|path| path.to_str().unwrap());
    let output = run(&state, ["--port", &port, "--cert", certificate, "--key", key, "--ca", ca]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("could not listen"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(state.join("token")).unwrap(), kept);
}

#[tokio::test]
async fn certificates_are_not_overwritten_unless_asked_for() {
    let dir = certificates().await;
    let before = fs::read(dir.path().join("ca.key")).unwrap();
    for what in [&["ca"][..], &["controller"], &["node", "caller"]] {
        let (printed, said) = cert(dir.path(), what).await;
        assert!(printed.is_empty() && said.contains("--force"), "{said}");
    }
    assert_eq!(fs::read(dir.path().join("ca.key")).unwrap(), before);
    let certificate = fs::read(dir.path().join("node-caller.pem")).unwrap();
    cert(dir.path(), &["node", "caller", "--force"]).await;
    assert_ne!(fs::read(dir.path().join("node-caller.pem")).unwrap(), certificate);
}

#[tokio::test]
async fn an_authority_whose_key_others_may_read_issues_nothing() {
    let dir = certificates().await;
    let key = dir.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (printed, said) = cert(dir.path(), &["node", "another"]).await;
    assert!(printed.is_empty() && said.contains("ca.key") && said.contains("chmod 600"), "{said}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (printed, said) = cert(dir.path(), &["node", "another"]).await;
    assert!(printed.contains("node-another.pem"), "{said}");
}

#[tokio::test]
async fn certificates_for_nobody_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (printed, said) = cert(dir.path(), &["node", "caller"]).await;
    assert!(printed.is_empty() && said.contains("cert ca"), "{said}");
    let dir = certificates().await;
    for name in ["../x", "a b", "", "a\nb", "controller.daffi"] {
        let (printed, said) = cert(dir.path(), &["node", name]).await;
        assert!(printed.is_empty() && said.contains("no"), "{name:?}: {said}");
    }
    let (printed, said) = cert(dir.path(), &["node", "x", "--days", "0"]).await;
    assert!(printed.is_empty() && said.contains("--days"), "{said}");
}
