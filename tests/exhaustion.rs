//! Processes that have no file descriptors left: they go on with what they have, wait for the rest, and do not spin meanwhile. And a
//! controller that many come to and leave: it has in the end what it had.
//!
//! Each runs in a process of its own, whose limit is set from here: this program again, of which it runs one test.
#![cfg(target_os = "linux")]

mod common;

use std::{net::SocketAddr, process::Stdio, time::Duration};

use daffi::{Global, callback, callbacks};
use procfs::process::Process;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_bytes::ByteBuf;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
};

use common::{Controller, PATIENCE, meet, soon};

/// How long a process is watched that should do nothing.
const WATCHED: Duration = Duration::from_secs(1);

#[callback]
async fn echo(number: u64) -> u64 {
    number
}

#[callback]
async fn take(item: ByteBuf) {
    drop(item);
}

mod ask {
    use daffi::fetcher;
    use serde_bytes::ByteBuf;

    #[fetcher]
    pub(crate) async fn echo(number: u64) -> u64;

    #[fetcher(STREAM)]
    pub(crate) async fn take(item: ByteBuf);
}

/// A process that says what it does, line by line.
struct Child {
    process: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    fn start(test: &str, variables: &[(&str, String)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture"]).envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
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

    fn id(&self) -> i32 {
        self.process.id().expect("it runs").cast_signed()
    }

    /// From now on it may open no file and no socket, or many.
    fn may_open(&self, many: bool) {
        let process = Pid::from_raw(self.id()).unwrap();
        let most = Rlimit { current: Some(if many { 1_000 } else { 3 }), maximum: Some(1_000) };
        prlimit(Some(process), Resource::Nofile, most).unwrap();
    }

    /// It uses less than half of a core.
    async fn does_not_spin(&self) {
        let process = Process::new(self.id()).unwrap();
        let used = || {
            let stat = process.stat().unwrap();
            Duration::from_secs(stat.utime + stat.stime) / u32::try_from(procfs::ticks_per_second()).unwrap()
        };
        let before = used();
        tokio::time::sleep(WATCHED).await;
        let spent = used() - before;
        assert!(spent < WATCHED / 2, "{spent:?} of {WATCHED:?}");
    }
}

#[tokio::test]
async fn a_controller_without_descriptors_serves_who_is_there_and_who_comes() {
    let mut child = Child::start("controller", &[("TEST_CONTROLLER", "yes".into())]);
    let address: SocketAddr = child.says().await.parse().unwrap();
    let token = child.says().await;
    let builder = |name: &str| {
        let builder = Global::builder().process_name(name).host("127.0.0.1").port(address.port()).token(&token);
        builder.callbacks(callbacks![echo, take])
    };
    let (a, b) = (builder("a").start().await.unwrap(), builder("b").start().await.unwrap());
    meet(&[&a, &b]).await;
    child.may_open(false);
    let c = builder("c").start().await.unwrap();
    meet(&[&a, &b, &c]).await;
    assert_eq!(soon(ask::echo(7).to("c").on(&a).into_future()).await, Ok(7));
    // Much at a time: the socket has no room again and again, and to wait for room takes a descriptor.
    let items = std::iter::repeat_with(|| ByteBuf::from(vec![7; 1 << 20])).take(128);
    let report = soon(ask::take(items).on(&a).into_future()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    child.does_not_spin().await;
}

/// `daffi-bench churn` does the same with ten thousand.
#[tokio::test]
async fn short_lived_nodes_leave_nothing_behind() {
    const AT_ONCE: usize = 20;
    let child = &mut Child::start("controller", &[("TEST_CONTROLLER", "yes".into())]);
    let address: SocketAddr = child.says().await.parse().unwrap();
    let token = child.says().await;
    let builder = |name: String| {
        Global::builder().process_name(name).host("127.0.0.1").port(address.port()).token(&token).callbacks([])
    };
    let server = builder("server".into()).callbacks(callbacks![echo]).start().await.unwrap();
    let process = Process::new(child.id()).unwrap();
    let (files, mut memory) = (process.fd_count().unwrap(), Vec::new());
    for turn in 0..15 {
        let comers = (0..AT_ONCE).map(|number| {
            let comer = builder(format!("comer-{turn}-{number}"));
            async move {
                let node = comer.start().await.unwrap();
                node.wait_function("echo").timeout(PATIENCE).await.unwrap();
                assert_eq!(ask::echo(7).on(&node).await, Ok(7));
                node.stop().await;
            }
        });
        soon(futures_util::future::join_all(comers)).await;
        memory.push(process.stat().unwrap().rss * procfs::page_size() / 1_024);
    }
    soon(async {
        while server.nodes().len() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(process.fd_count().unwrap(), files);
    // Two hundred idle nodes would have 18 MiB.
    assert!(memory[14] < memory[4] + (8 << 10), "{memory:?} KiB");
}

/// Runs a controller until it is killed.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn controller() {
    if std::env::var_os("TEST_CONTROLLER").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let global = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(0);
    let global = global.state_dir(state.path()).start().wait().unwrap();
    println!("\nchild: {}", global.controller_address().unwrap());
    println!("\nchild: {}", global.controller_token().unwrap());
    global.join().wait().unwrap();
}

#[tokio::test]
async fn a_node_without_descriptors_comes_back_when_there_are_some() {
    let controller = Controller::start().await;
    let (address, state) = (controller.address(), controller.state_dir().to_owned());
    let variables = [("TEST_PORT", address.port().to_string()), ("TEST_STATE", state.display().to_string())];
    let mut child = Child::start("node", &variables);
    assert_eq!(child.says().await, "joined");
    child.may_open(false);
    // It reads the token anew, looks the host up and opens a socket: nothing of that goes.
    controller.global().stop_within(Duration::ZERO).await;
    assert_eq!(child.says().await, "disconnected");
    let again = Global::builder().process_name("asker").init_controller(true).host("127.0.0.1").port(address.port());
    let again = again.state_dir(&state).callbacks([]).start().await.unwrap();
    child.does_not_spin().await;
    assert_eq!(again.nodes().len(), 1, "it cannot be there");
    child.may_open(true);
    assert_eq!(child.says().await, "connected");
    again.wait_process("child").timeout(PATIENCE).await.unwrap();
    assert_eq!(soon(ask::echo(7).to("child").on(&again).into_future()).await, Ok(7));
}

/// Joins, and says what becomes of that.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn node() {
    let (Ok(port), Ok(state)) = (std::env::var("TEST_PORT"), std::env::var("TEST_STATE")) else { return };
    let node = Global::builder().process_name("child").host("127.0.0.1").port(port.parse().unwrap()).state_dir(state);
    let node = node.callbacks(callbacks![echo]).start().wait().unwrap();
    let mut events = node.events();
    println!("\nchild: joined");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        while let Some(event) = events.next().await {
            match event {
                daffi::Event::Connected => println!("\nchild: connected"),
                daffi::Event::Disconnected { .. } => println!("\nchild: disconnected"),
                _ => {}
            }
        }
    });
    println!("\nchild: ended: {:?}", node.join().wait());
}
