//! Join tokens: where a node finds one, and who is refused for the lack of the right one.
//!
//! What depends on the environment runs in a process of its own: this program again, of which it runs one test.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::Stdio,
    time::Duration,
};

use daffi::{Global, JoinError, StartError};
use daffi_core::transport::{JoinToken, StateDir, StateError};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
};

use crate::{
    Watcher, ask,
    common::{Controller, PATIENCE, event, soon},
    refusal,
};

#[tokio::test]
async fn a_wrong_token_is_refused_before_anything_is_registered() {
    let controller = Controller::start().await;
    let watcher = Watcher::start(&controller).await;
    let right: JoinToken = controller.token().parse().unwrap();
    let wrong = JoinToken::generate(*right.fingerprint()).to_string();
    let error = refusal(controller.builder("a").token(&wrong).start().await);
    assert!(matches!(error, JoinError::WrongToken { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("`daffi-controller token`"), "{said}");
    assert!(!said.contains(&wrong) && !said.contains(&controller.token()), "a secret is in {said}");
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn the_token_of_another_controller_is_refused_by_the_node_itself() {
    let (controller, other) = (Controller::start().await, Controller::start().await);
    let watcher = Watcher::start(&controller).await;
    let error = refusal(controller.builder("a").token(other.token()).start().await);
    assert!(matches!(error, JoinError::WrongController(_)), "{error}");
    assert!(error.to_string().contains("not the one that the join token belongs to"), "{error}");
    watcher.saw_nobody(&controller).await;
}

#[tokio::test]
async fn a_damaged_token_is_refused_at_once() {
    let token = Controller::start().await.token();
    let cut = &token[..token.len() - 3];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    write_secret(&file, cut);
    // Nobody listens there, and nobody is looked for.
    let builder = || Global::builder().port(1).connect_timeout(PATIENCE * 10).callbacks([]);
    for (builder, origin) in [
        (builder().token(cut), "the token given to the builder".to_owned()),
        (builder().token_file(&file), file.display().to_string()),
    ] {
        match refusal(soon(builder.start()).await) {
            JoinError::InvalidToken { origin: said, source } => {
                assert_eq!(said, origin);
                assert!(source.to_string().contains("damaged"), "{source}");
            }
            other => panic!("expected a damaged token, got {other}"),
        }
    }
    let error = refusal(soon(builder().token("hello").start()).await);
    assert!(error.to_string().contains("`daffi-controller token`"), "{error}");
    let error = refusal(soon(builder().token_file(directory.path().join("nothing")).start()).await);
    assert!(error.to_string().contains("nothing"), "{error}");
}

/// Writes a file that only its owner may read.
fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_token_file_that_others_may_read_is_refused() {
    let controller = Controller::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    write_secret(&file, &controller.token());
    let builder = |name| controller.builder(name).token_file(&file);
    drop(builder("a").start().await.unwrap());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = refusal(soon(builder("b").start()).await);
    assert!(matches!(error, JoinError::State(StateError::Exposed { mode: 0o644, .. })), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    let mut child = Child::start(
        "b",
        controller.address(),
        PATIENCE,
        directory.path(),
        &[("DAFFI_TOKEN_FILE", file.to_str().unwrap())],
    );
    assert_eq!(child.says().await, "starts");
    let refused = child.says().await;
    assert!(refused.contains("others may read it"), "{refused}");
}

#[tokio::test]
async fn a_token_file_is_accepted() {
    let controller = Controller::start().await;
    let address = controller.address();
    let node = Global::builder().host(address.ip().to_string()).port(address.port()).callbacks([]);
    drop(node.token_file(controller.state_dir().join("token")).start().await.unwrap());
}

#[tokio::test]
async fn a_token_is_found_in_the_environment_and_in_the_state_directory() {
    let controller = Controller::start().await;
    let mut watcher = Watcher::start(&controller).await;
    let empty = tempfile::tempdir().unwrap();
    let file = controller.state_dir().join("token");
    let token = controller.token();
    for (name, state, variables) in [
        ("variable", empty.path(), vec![("DAFFI_TOKEN", &*token)]),
        ("file", empty.path(), vec![("DAFFI_TOKEN_FILE", file.to_str().unwrap())]),
        ("state", controller.state_dir(), vec![]),
        ("both", empty.path(), vec![("DAFFI_TOKEN", &*token), ("DAFFI_TOKEN_FILE", "/nothing")]),
    ] {
        let mut child = Child::start(name, controller.address(), PATIENCE, state, &variables);
        assert_eq!(child.says().await, "starts");
        assert_eq!(child.says().await, format!("joined {name}"));
        event(&mut watcher.events, |event| match event {
            daffi::Event::NodeJoined { node } if node == name => Some(()),
            _ => None,
        })
        .await;
    }
    let mut child = Child::start("a", controller.address(), PATIENCE, empty.path(), &[("DAFFI_TOKEN", "daffi-x")]);
    assert_eq!(child.says().await, "starts");
    let refused = child.says().await;
    assert!(refused.starts_with("DAFFI_TOKEN: "), "{refused}");
}

#[tokio::test]
async fn without_a_token_a_distant_controller_is_not_even_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    // An address that belongs to nobody, and more time than the test has.
    let distant = SocketAddr::from(([192, 0, 2, 1], 8888));
    let mut child = Child::start("a", distant, PATIENCE * 10, empty.path(), &[]);
    assert_eq!(child.says().await, "starts");
    let refused = child.says().await;
    assert!(refused.starts_with("no join token: "), "{refused}");
    assert!(refused.contains(empty.path().to_str().unwrap()) && refused.contains("DAFFI_TOKEN"), "{refused}");
}

#[tokio::test]
async fn without_a_token_a_node_on_the_controllers_machine_waits_for_one() {
    let state = tempfile::tempdir().unwrap();
    let address = free_port().local_addr().unwrap();
    let mut child = Child::start("a", address, Duration::from_millis(500), state.path(), &[]);
    assert_eq!(child.says().await, "starts");
    let refused = child.says().await;
    assert!(refused.starts_with("no join token: "), "{refused}");

    let mut child = Child::start("a", address, PATIENCE, state.path(), &[]);
    assert_eq!(child.says().await, "starts");
    let controller = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(address.port());
    let _controller = controller.state_dir(state.path()).start().await.unwrap();
    assert_eq!(child.says().await, "joined a");
}

#[tokio::test]
async fn a_node_may_start_before_its_controller() {
    let state = tempfile::tempdir().unwrap();
    let (_, token) = StateDir::at(state.path()).controller().unwrap();
    let port = free_port();
    let address = port.local_addr().unwrap();
    let node = Global::builder().process_name("early").host("127.0.0.1").port(address.port()).callbacks([]);
    let joining = tokio::spawn(node.token(token.to_string()).connect_timeout(PATIENCE).start());
    // It has knocked.
    let port = tokio::net::UdpSocket::from_std(port).unwrap();
    soon(port.recv_from(&mut [0; 1 << 16])).await.unwrap();
    assert!(!joining.is_finished());
    drop(port);
    let controller = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(address.port());
    let _controller = controller.state_dir(state.path()).start().await.unwrap();
    assert_eq!(soon(joining).await.unwrap().unwrap().name(), "early");
}

#[tokio::test]
async fn a_controller_that_does_not_come_is_given_up_in_the_time_that_was_set() {
    let token = Controller::start().await.token();
    let port = free_port().local_addr().unwrap().port();
    let node = Global::builder().host("127.0.0.1").port(port).token(token).callbacks([]);
    match refusal(soon(node.connect_timeout(Duration::from_millis(300)).start()).await) {
        JoinError::Unreachable { address, waited, .. } => {
            assert_eq!((address, waited), (format!("127.0.0.1:{port}"), Duration::from_millis(300)));
        }
        other => panic!("expected nobody to be there, got {other}"),
    }
}

#[tokio::test]
async fn a_controller_on_a_taken_port_says_what_to_do() {
    let controller = Controller::start().await;
    let state = tempfile::tempdir().unwrap();
    let second = Global::builder().init_controller(true).host("127.0.0.1").port(controller.address().port());
    match second.state_dir(state.path()).callbacks([]).start().await {
        Err(StartError::Controller(error)) => {
            assert!(error.to_string().contains("is another controller running?"), "{error}");
        }
        other => panic!("expected the port to be taken, got {other:?}"),
    }
}

#[tokio::test]
async fn somebody_who_wants_neither_a_node_nor_a_controller_is_told_so() {
    let nothing = Global::builder().init_node(false).start().await;
    assert!(matches!(nothing, Err(StartError::Nothing)), "{nothing:?}");
}

#[tokio::test]
async fn a_call_in_a_process_that_has_not_joined_says_so() {
    let mut child = Child::spawn(Child::command("tokens::outsider"));
    let said = child.says().await;
    assert!(said.starts_with("this process has no node"), "{said}");
}

/// A socket on a free port of loopback.
fn free_port() -> UdpSocket {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A process that says what it does, line by line.
struct Child {
    lines: Lines<BufReader<ChildStdout>>,
    _process: tokio::process::Child,
}

impl Child {
    fn start(name: &str, controller: SocketAddr, patience: Duration, state: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = Self::command("tokens::child");
        command.env_remove("DAFFI_TOKEN").env_remove("DAFFI_TOKEN_FILE").env("DAFFI_STATE_DIR", state);
        command.env("TEST_NAME", name).env("TEST_CONTROLLER", controller.to_string());
        command.env("TEST_PATIENCE", patience.as_millis().to_string()).envs(env.iter().copied());
        Self::spawn(command)
    }

    /// This program, which runs one of its ignored tests.
    fn command(test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        command
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { lines, _process: process }
    }

    /// The next thing that it says.
    async fn says(&mut self) -> String {
        soon(async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it says more before it ends");
                // Between them is what the test harness says.
                if let Some(said) = line.strip_prefix("child: ") {
                    return said.to_owned();
                }
            }
        })
        .await
    }
}

/// Joins, says how that went, and ends.
#[test]
#[ignore = "other tests run it, in a process of its own"]
fn child() {
    let Ok(name) = std::env::var("TEST_NAME") else { return };
    let controller: SocketAddr = std::env::var("TEST_CONTROLLER").unwrap().parse().unwrap();
    let patience = Duration::from_millis(std::env::var("TEST_PATIENCE").unwrap().parse().unwrap());
    println!("\nchild: starts");
    let node = Global::builder().process_name(name).host(controller.ip().to_string()).port(controller.port());
    match node.callbacks([]).connect_timeout(patience).start().wait() {
        Ok(node) => {
            println!("child: joined {}", node.name());
            node.stop().wait();
        }
        Err(error) => println!("child: {error}"),
    }
}

/// Calls, and has not joined.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn outsider() {
    println!("\nchild: {}", ask::echo("anybody?").wait().unwrap_err());
}
