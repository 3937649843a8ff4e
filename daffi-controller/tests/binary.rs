//! The `daffi-controller` program as its users meet it: started as a process, stopped by signals.
#![cfg(unix)]

#[path = "binary/access.rs"]
mod access;

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use daffi_core::{
    node::{
        CallError, Callback, Never, Node, Task,
        stub::{self, Handler, NoArgs},
    },
    transport::JoinToken,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    sync::Semaphore,
    time::timeout,
};

/// Far more than anything here takes, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daffi-controller"));
    let names = ["HOST", "PORT", "CONFIG", "GRACE", "LOG", "TOKEN", "TOKEN_FILE", "MAX_NODES", "MAX_BYTES_PER_SECOND"];
    for name in names {
        command.env_remove(format!("DAFFI_{name}"));
    }
    command.env("DAFFI_STATE_DIR", state).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run<const N: usize>(state: &Path, args: [&str; N]) -> Output {
    timeout(PATIENCE, command(state).args(args).output()).await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A controller that listens.
struct Running {
    child: Child,
    port: u16,
    logs: Lines<BufReader<ChildStderr>>,
}

impl Running {
    async fn start<A: AsRef<OsStr>>(state: &Path, args: impl IntoIterator<Item = A>) -> Self {
        let mut child =
            command(state).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let logs = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = next_line(&mut out).await.expect("it says that it listens");
        let port = line.strip_prefix("listening on 127.0.0.1:").unwrap_or_else(|| panic!("it said {line:?}"));
        Self { child, port: port.parse().unwrap(), logs }
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs").cast_signed();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    async fn logged(&mut self, words: &str) {
        while !next_line(&mut self.logs).await.unwrap_or_else(|| panic!("it did not log {words:?}")).contains(words) {}
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}

/// What is in a directory.
fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

async fn next_line(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Option<String> {
    timeout(PATIENCE, lines.next_line()).await.expect("a line comes").unwrap()
}

#[tokio::test]
async fn help_names_every_environment_variable() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), ["--help"]).await;
    assert!(output.status.success());
    for name in ["HOST", "PORT", "STATE_DIR", "CONFIG", "GRACE", "LOG", "TOKEN", "TOKEN_FILE", "CERT", "KEY", "CA"] {
        let name = format!("DAFFI_{name}");
        assert!(text(&output.stdout).contains(&name), "{name}");
    }
}

#[tokio::test]
async fn signals_end_it() {
    let dir = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut controller = Running::start(dir.path(), ["--port", "0"]).await;
        assert_ne!(controller.port, 0);
        controller.signal(signal);
        assert_eq!(controller.ended().await.code(), Some(0), "{signal:?}");
    }
}

#[tokio::test]
async fn options_come_from_the_environment_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir.path().join("unused"))
        .env("DAFFI_PORT", "0")
        .env("DAFFI_HOST", "127.0.0.2")
        .env("DAFFI_LOG", "error")
        .args([OsStr::new("--state-dir"), dir.path().as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = next_line(&mut out).await.unwrap();
    assert!(line.starts_with("listening on 127.0.0.2:"), "{line}");
    child.start_kill().unwrap();
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(text(&output.stderr), "", "it logs errors only");
    assert!(dir.path().join("token").exists() && !dir.path().join("unused").exists());
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(dir.path(), ["--port", "0"]).await;
    let port = first.port.to_string();
    let second = run(dir.path(), ["--port", &port]).await;
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(text(&second.stdout), "");
    let message = text(&second.stderr);
    assert!(message.contains(&format!("could not listen on 127.0.0.1:{port}")), "{message}");
    assert!(message.contains("another controller"), "{message}");
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for (args, what) in [(&["--port", "0"][..], "could not create"), (&["token"], "could not read")] {
        let output = timeout(PATIENCE, command(&file.join("state")).args(args).output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(text(&output.stdout), "");
        let message = text(&output.stderr);
        assert!(message.contains(what) && message.contains("file/state"), "{message}");
    }
}

#[tokio::test]
async fn a_host_without_address_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), ["--host", "no such host", "--port", "0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no such host"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn the_token_is_made_once_and_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("made/when/needed");
    let output = run(&state, ["token"]).await;
    assert!(output.status.success());
    let message = text(&output.stderr);
    assert!(message.contains("made this token in") && message.contains("when/needed"), "{message}");
    let token = text(&output.stdout).strip_suffix('\n').unwrap();
    assert!(token.starts_with("daffi-") && token.parse::<JoinToken>().is_ok(), "{token}");
    let mode = fs::metadata(state.join("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(&state, ["token"]).await;
    assert_eq!((text(&again.stdout), text(&again.stderr)), (text(&output.stdout), ""));
}

#[tokio::test]
async fn nodes_join_with_the_token_and_it_is_never_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Running::start(dir.path(), ["--port", "0", "--log", "trace"]).await;
    let token = run(dir.path(), ["token"]).await.stdout;
    let token = text(&token).trim();
    let node = join("node", controller.port, dir.path(), []).await;
    node.stop(PATIENCE).await;
    controller.signal(Signal::TERM);
    let mut logs = String::new();
    while let Some(line) = next_line(&mut controller.logs).await {
        logs += &line;
    }
    assert_eq!(controller.ended().await.code(), Some(0));
    assert!(logs.contains("node joined"), "{logs}");
    assert!(!logs.contains(token), "the token is a secret");
}

#[tokio::test]
async fn a_call_under_way_may_finish_within_the_grace() {
    static CALLED: Semaphore = Semaphore::const_new(0);
    static RELEASED: Semaphore = Semaphore::const_new(0);
    const HELD: Callback = callback(|_, _| {
        Box::pin(async {
            CALLED.add_permits(1);
            RELEASED.acquire().await.unwrap().forget();
            stub::reply(&())
        })
    });

    let dir = tempfile::tempdir().unwrap();
    let mut controller = Running::start(dir.path(), ["--port", "0", "--grace", "10m"]).await;
    let mut called = controller.call(dir.path(), HELD, &CALLED).await;
    controller.signal(Signal::TERM);
    controller.logged("stopping").await;
    RELEASED.add_permits(1);
    assert_eq!(called.result().await, Ok(()));
    assert_eq!(controller.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_call_that_does_not_end_is_waited_for_until_the_grace_is_over_or_a_second_signal_comes() {
    static CALLED: Semaphore = Semaphore::const_new(0);
    const STUCK: Callback = callback(|_, _| {
        Box::pin(async {
            CALLED.add_permits(1);
            std::future::pending().await
        })
    });

    let dir = tempfile::tempdir().unwrap();
    for (grace, second_signal, code) in [("50ms", None, 0), ("10m", Some(Signal::INT), 130)] {
        let mut controller = Running::start(dir.path(), ["--port", "0", "--grace", grace]).await;
        let mut called = controller.call(dir.path(), STUCK, &CALLED).await;
        controller.signal(Signal::TERM);
        controller.logged("stopping").await;
        if let Some(signal) = second_signal {
            controller.signal(signal);
        }
        assert_eq!(controller.ended().await.code(), Some(code), "grace {grace}, then {second_signal:?}");
        if second_signal.is_none() {
            // The nodes were told. Otherwise they find out by themselves.
            assert!(called.result().await.is_err());
        }
    }
}

/// An async callback without parameters. Its name is `called`.
const fn callback(handler: fn(stub::State, stub::Payload) -> stub::BoxFuture<stub::Outcome>) -> Callback {
    let handler = Handler::Async(handler);
    let options = stub::CallbackOptions { inline: false, no_cancel: false, limit: None, lossless: false };
    Callback { name: "called", signature: SIGNATURE, file: file!(), line: line!(), options, handler }
}

static STUB: stub::Stub = stub::Stub {
    name: "called",
    signature: SIGNATURE,
    file: file!(),
    line: line!(),
    idempotent: false,
    on_slow: daffi_core::node::OnSlow::Block,
};

const SIGNATURE: stub::Signature =
    stub::Signature { text: "called()", kind: stub::Kind::Call, parameters: &[], result: "()" };

async fn join<const N: usize>(name: &str, port: u16, state: &Path, callbacks: [Callback; N]) -> Node {
    let builder = Node::builder().name(name).controller("127.0.0.1", port).token_file(state.join("token"));
    timeout(PATIENCE, builder.callbacks(callbacks).reconnect(false).join()).await.expect("it joins").unwrap()
}

/// A call that has reached its callback.
struct Called {
    task: Task<()>,
    _nodes: [Node; 2],
}

impl Running {
    /// Has one node call another's callback, and waits until the callback has released a permit.
    async fn call(&self, state: &Path, callback: Callback, called: &Semaphore) -> Called {
        let callee = join("callee", self.port, state, [callback]).await;
        let caller = join("caller", self.port, state, []).await;
        timeout(PATIENCE, caller.wait_function("called")).await.expect("it is offered").unwrap();
        let args = stub::encode_args(&NoArgs {});
        let call = stub::background::<(), Never>(&STUB, args, stub::decode, stub::decode).on(&caller);
        let task = timeout(PATIENCE, call.start()).await.expect("it is sent").unwrap();
        timeout(PATIENCE, called.acquire()).await.expect("it is called").unwrap().forget();
        Called { task, _nodes: [callee, caller] }
    }
}

impl Called {
    async fn result(&mut self) -> Result<(), CallError> {
        timeout(PATIENCE, &mut self.task).await.expect("it ends")
    }
}

/// A small file system of its own, in memory. Gone when dropped.
#[cfg(target_os = "linux")]
struct Disk(tempfile::TempDir);

/// How much of a disk a file takes at least.
#[cfg(target_os = "linux")]
const BLOCK: u64 = 4096;

#[cfg(target_os = "linux")]
impl Disk {
    /// `None` where this user may mount nothing.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        assert!(env::var_os("CI").is_none(), "this user may not mount a file system, and CI is to run this test");
        eprintln!("skipped: this user may not mount a file system");
        None
    }

    /// Fills it up, but for so many blocks; the file that does.
    fn fill(&self, free: u64) -> PathBuf {
        let filler = self.0.path().join("filler");
        let full = fs::write(&filler, vec![7; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let file = fs::File::options().write(true).open(&filler).unwrap();
        file.set_len(file.metadata().unwrap().len() - free * BLOCK).unwrap();
        filler
    }

    /// What is in its files.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = names(self.0.path()).into_iter();
        names.map(|name| (name.clone(), fs::read(self.0.path().join(name)).unwrap())).collect()
    }

    /// Has a command find no room, and change nothing.
    async fn is_too_full_for(&self, args: &[&str]) {
        let before = self.files();
        let output = timeout(PATIENCE, command(self.0.path()).args(args).output()).await.unwrap().unwrap();
        let message = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{args:?}: {message}");
        assert!(message.contains("No space left on device") && message.contains("make room there"), "{message}");
        assert!(self.files() == before, "{args:?} changed something: {:?}", names(self.0.path()));
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let mounted = std::process::Command::new("mount").args(["-o", &options]).arg(self.0.path()).status().unwrap();
        assert!(mounted.success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_and_one_that_cannot_be_written_leave_nothing_half_written() {
    let Some(disk) = Disk::mount() else { return };
    let filler = disk.fill(0);
    for args in [&["--port", "0"][..], &["token"]] {
        disk.is_too_full_for(args).await;
    }
    assert_eq!(names(disk.0.path()), ["filler"]);
    fs::remove_file(&filler).unwrap();
    disk.remount("ro");
    let output = run(disk.0.path(), ["--port", "0"]).await;
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("Read-only file system") && message.contains("choose another"), "{message}");
    disk.remount("rw");
    let controller = Running::start(disk.0.path(), ["--port", "0"]).await;
    assert_eq!(names(disk.0.path()), ["controller.pem", "token"]);
    drop(controller);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_leaves_tokens_and_certificates_as_they_are() {
    let Some(disk) = Disk::mount() else { return };
    let dir = disk.0.path().to_str().unwrap();
    let ca = ["cert", "ca", "--force", "--dir", dir];
    let certificate = ["cert", "node", "caller", "--force", "--dir", dir];
    for args in [&["token"][..], &["token", "--rotate"], &["token", "--retire"], &ca, &certificate] {
        let output = timeout(PATIENCE, command(disk.0.path()).args(args).output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    // With room for one file there is none for the other, which belongs to it.
    for free in [0, 1] {
        let filler = disk.fill(free);
        for args in [&["token", "--rotate"][..], &ca, &certificate] {
            disk.is_too_full_for(args).await;
        }
        fs::remove_file(filler).unwrap();
    }
}

/// The disk fills up between the key and the token: the next start goes on with the key that is there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_key_without_a_token_is_completed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let first = run(dir.path(), ["token"]).await;
    assert!(first.status.success());
    let key = fs::read(dir.path().join("controller.pem")).unwrap();
    fs::remove_file(dir.path().join("token")).unwrap();
    let second = run(dir.path(), ["token"]).await;
    assert!(second.status.success());
    assert_eq!(fs::read(dir.path().join("controller.pem")).unwrap(), key);
    assert_ne!(first.stdout, second.stdout);
}
