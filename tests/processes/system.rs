//! Starts the processes of a test and talks to them.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    process::{ExitStatus, Stdio},
    time::Duration,
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The environment variables that tell a process what it is: its role, its name, where it finds the controller, and whether it
/// runs the controller, and with which config file.
pub(crate) const ROLE: &str = "DAFFI_TEST_ROLE";
pub(crate) const NAME: &str = "DAFFI_TEST_NAME";
pub(crate) const ADDRESS: &str = "DAFFI_TEST_ADDRESS";
pub(crate) const CONTROLLER: &str = "DAFFI_TEST_CONTROLLER";
pub(crate) const CONFIG: &str = "DAFFI_TEST_CONFIG";

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Fails a test that takes too long, instead of letting it hang. Its processes are killed.
pub(crate) async fn limited<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(LIMIT, test).await.expect("the test ends within 60 s")
}

/// The address by which this machine would reach others, if it has any but loopback. Nothing is sent: 192.0.2.1 is for
/// documentation (RFC 5737).
pub(crate) fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// The processes of one test, with a controller and secrets of their own.
pub(crate) struct System {
    state: TempDir,
    /// Where the controller listens.
    address: SocketAddr,
    /// Keeps a port that was chosen before the controller runs.
    reserved: Option<UdpSocket>,
    /// The controller's config file.
    config: Option<NamedTempFile>,
}

impl System {
    /// One whose first process runs the controller, at a port that it picks.
    pub(crate) fn new() -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// The same with the controller at this address; it picks a port if that is 0.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let state = tempfile::tempdir().expect("a directory for the controller's secrets");
        Self { state, address, reserved: None, config: None }
    }

    /// One whose controller has a config file of this text.
    pub(crate) fn configured(text: &str) -> Self {
        let mut file = NamedTempFile::new().expect("a file for the controller's config");
        file.write_all(text.as_bytes()).expect("it can be written");
        Self { config: Some(file), ..Self::new() }
    }

    /// One whose processes can start in any order, since they all know the controller's port.
    pub(crate) fn with_port() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("its address");
        Self { reserved: Some(socket), ..Self::at(address) }
    }

    /// Starts a process with the controller in it, and waits until it is ready.
    pub(crate) async fn controller(&mut self, role: &str, name: &str) -> Process {
        let mut process = self.launch(role, name, true);
        self.address = process.says("controller").await.parse().expect("an address");
        process.says("ready").await;
        process
    }

    /// Starts a process and waits until it has joined.
    pub(crate) async fn process(&mut self, role: &str, name: &str) -> Process {
        self.process_at(self.address, role, name).await
    }

    /// The same for one that finds the controller at another address.
    pub(crate) async fn process_at(&self, address: SocketAddr, role: &str, name: &str) -> Process {
        let mut process = self.spawn(role, name, address, false);
        process.says("ready").await;
        process
    }

    /// Starts a process, and does not wait for it.
    pub(crate) fn launch(&mut self, role: &str, name: &str, controller: bool) -> Process {
        if controller {
            self.reserved = None;
        }
        self.spawn(role, name, self.address, controller)
    }

    fn spawn(&self, role: &str, name: &str, address: SocketAddr, controller: bool) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program's path"));
        command
            .args(["participant", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(NAME, name)
            .env(ADDRESS, address.to_string())
            .env("DAFFI_STATE_DIR", self.state.path())
            .env_remove("DAFFI_TOKEN")
            .env_remove("DAFFI_TOKEN_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if controller {
            command.env(CONTROLLER, "1");
            command.envs(self.config.iter().map(|file| (CONFIG, file.path())));
        }
        let mut child = command.spawn().expect("the process starts");
        let stdin = child.stdin.take().expect("its stdin is piped");
        let lines = BufReader::new(child.stdout.take().expect("its stdout is piped")).lines();
        Process { name: name.into(), child, stdin, lines, unread: Vec::new() }
    }
}

/// A process of a test. Killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said that nobody has asked for yet.
    unread: Vec<(String, String)>,
}

impl Process {
    /// Waits until it has said this word; what it said after it.
    pub(crate) async fn says(&mut self, word: &str) -> String {
        if let Some(index) = self.unread.iter().position(|(said, _)| said == word) {
            return self.unread.remove(index).1;
        }
        while let Some(line) = self.lines.next_line().await.expect("its stdout can be read") {
            // The test harness of that process speaks too.
            let Some(said) = line.strip_prefix('@') else { continue };
            let (first, rest) = said.split_once(' ').unwrap_or((said, ""));
            if first == word {
                return rest.into();
            }
            self.unread.push((first.into(), rest.into()));
        }
        panic!("{} ended and has not said {word:?}, but {:?}", self.name, self.unread);
    }

    /// Tells it to do something, and does not wait for the answer.
    pub(crate) async fn tell(&mut self, command: &str) {
        let line = format!("{command}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("it reads its stdin");
    }

    /// The answer to the last command.
    pub(crate) async fn answer(&mut self) -> String {
        self.says("answer").await
    }

    /// Tells it to do something and waits for the answer.
    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.tell(command).await;
        self.answer().await
    }

    /// What its `process_sequence` has taken up to now.
    pub(crate) async fn took(&mut self) -> Vec<i64> {
        let taken = self.ask("took").await;
        taken.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }

    /// Has it stand still, and go on.
    #[cfg(unix)]
    pub(crate) async fn pause(&self, seconds: u64) {
        self.signal(Signal::STOP);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.signal(Signal::CONT);
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs").cast_signed();
        kill_process(Pid::from_raw(id).expect("a process"), signal).expect("it runs");
    }

    /// Kills it: it has no chance to say goodbye.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it is killed");
    }

    /// Lets it leave, and waits until it has ended.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        assert_eq!(self.ask("stop").await, "stopped");
        drop(self.stdin);
        self.child.wait().await.expect("it ends")
    }

    /// How much memory it has in use, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> u64 {
        self.told("VmRSS:")
    }

    /// The most that it ever had in use.
    #[cfg(target_os = "linux")]
    pub(crate) fn most_memory(&self) -> u64 {
        self.told("VmHWM:")
    }

    #[cfg(target_os = "linux")]
    fn told(&self, of: &str) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix(of)).expect("Linux tells");
        let kibibytes = resident.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kibibytes * 1024
    }
}
