//! The examples as a user runs them: each in a process of its own.

#![allow(dead_code, reason = "every test program compiles this file and uses a part of it")]

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
};

/// How long a test may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test, and fails it if it takes too long.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the examples take too long") });
}

/// A system of examples: a port for its controller and a directory for the token.
pub(crate) struct System {
    port: u16,
    directory: TempDir,
    /// The X display for windows, such as `:99`; without it there is none.
    pub(crate) display: Option<String>,
}

impl System {
    pub(crate) fn new() -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, directory: tempfile::tempdir().unwrap(), display: None }
    }

    /// Where its controller listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts an example at this system's port.
    pub(crate) fn start(&self, example: &str, arguments: &[&str]) -> Program {
        let port = self.port.to_string();
        self.start_anywhere(example, &[&["--port", port.as_str()], arguments].concat())
    }

    /// Starts an example.
    pub(crate) fn start_anywhere(&self, example: &str, arguments: &[&str]) -> Program {
        // target/debug/deps/examples-... is this test, target/debug/examples/... are the examples.
        let test = std::env::current_exe().unwrap();
        let program = test.parent().unwrap().parent().unwrap().join("examples").join(example);
        let program = program.with_extension(std::env::consts::EXE_EXTENSION);
        assert!(program.exists(), "{} is not there: `cargo build --examples` builds it", program.display());
        self.start_program(&program, arguments)
    }

    /// Starts a program, which is told this system's port in `DAFFI_PORT`.
    pub(crate) fn start_program(&self, program: &Path, arguments: &[&str]) -> Program {
        let mut command = Command::new(program);
        command.args(arguments).env("DAFFI_STATE_DIR", self.path("state")).env("DAFFI_PORT", self.port.to_string());
        command.env_remove("DAFFI_TOKEN").env_remove("DAFFI_TOKEN_FILE");
        command.env_remove("WAYLAND_DISPLAY").env_remove("XAUTHORITY");
        command.env_remove("DISPLAY").envs(self.display.iter().map(|at| ("DISPLAY", at)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let name = program.file_stem().unwrap().to_string_lossy().into_owned();
        Program { name, child, lines, errors, complaints: String::new() }
    }
}

/// An example that runs; it is killed when this is dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: BufReader<ChildStderr>,
    /// What was read of the errors.
    complaints: String,
}

impl Program {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for it yet")
    }

    /// Waits for this line.
    pub(crate) async fn says(&mut self, expected: &str) {
        assert_eq!(self.line().await, expected, "{}", self.name);
    }

    /// Waits for the next line.
    pub(crate) async fn line(&mut self) -> String {
        match self.lines.next_line().await.unwrap() {
            Some(line) => line,
            None => {
                self.errors.read_to_string(&mut self.complaints).await.unwrap();
                panic!("{} has ended: {}", self.name, self.complaints);
            }
        }
    }

    /// Waits until it complains about this.
    pub(crate) async fn complains(&mut self, expected: &str) {
        while !self.complaints.contains(expected) {
            let read = self.errors.read_line(&mut self.complaints).await.unwrap();
            assert!(read > 0, "{} has ended: {}", self.name, self.complaints);
        }
    }

    /// Waits until it has ended; what else it said, and complained about.
    pub(crate) async fn ends(mut self) -> (ExitStatus, Vec<String>, String) {
        let mut said = String::new();
        // Both at once: it may wait until somebody reads.
        let (out, errors) = (self.lines.get_mut(), &mut self.errors);
        tokio::try_join!(out.read_to_string(&mut said), errors.read_to_string(&mut self.complaints)).unwrap();
        let lines = said.lines().map(str::to_owned).collect();
        (self.child.wait().await.unwrap(), lines, self.complaints)
    }

    /// Waits until it has ended well; what else it said.
    pub(crate) async fn ends_well(self) -> Vec<String> {
        let name = self.name.clone();
        let (status, lines, errors) = self.ends().await;
        assert!(status.success(), "{name} ended with {status}: {errors}{lines:?}");
        lines
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id().cast_signed()).unwrap(), signal).unwrap();
    }
}

/// Waits until something holds that nobody reports.
#[cfg(target_os = "linux")]
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let mut turn = tokio::time::interval(Duration::from_millis(20));
    while !holds() {
        turn.tick().await;
    }
}

/// The processes that it started.
#[cfg(target_os = "linux")]
pub(crate) fn children_of(parent: u32) -> Vec<i32> {
    let stats = procfs::process::all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
    stats.filter(|stat| stat.ppid == parent.cast_signed()).map(|stat| stat.pid).collect()
}

/// Whether it runs; one that has ended and that nobody waited for does not.
#[cfg(target_os = "linux")]
pub(crate) fn is_running(process: i32) -> bool {
    let stat = procfs::process::Process::new(process).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.state != 'Z')
}

/// Sends the program a signal, waits until it has ended, and sees that no process that it started is left.
#[cfg(target_os = "linux")]
pub(crate) async fn leaves_nobody_behind(
    program: Program,
    signal: Signal,
    children: usize,
) -> (ExitStatus, Vec<String>, String) {
    let started = children_of(program.id());
    assert_eq!(started.len(), children);
    program.signal(signal);
    let ended = program.ends().await;
    until(|| !started.iter().any(|child| is_running(*child))).await;
    ended
}
