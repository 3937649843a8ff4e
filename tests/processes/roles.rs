//! What a process of a test does: it offers the callbacks of its role, obeys commands, and says what happens.
//!
//! It says things in lines that begin with `@` and a word. A command is a line, answered with `@answer`; another line while a
//! command runs drops what it does.

use std::{
    io::BufRead,
    net::SocketAddr,
    sync::{LazyLock, Mutex, OnceLock},
    time::Duration,
};

use daffi::{Event, Global, OnSlow, StreamReport, callback, callbacks, fallible};
use daffi_core::node::Callback;
use futures_util::future::try_join_all;
use tokio::sync::{mpsc, watch};

use crate::{
    proxy,
    system::{ADDRESS, CONFIG, CONTROLLER, NAME},
};

/// How long to wait for what is certain to come.
const PATIENCE: Duration = Duration::from_secs(50);

static NAMED: OnceLock<String> = OnceLock::new();
static TOOK: Mutex<Vec<i64>> = Mutex::new(Vec::new());
/// How many items this process has taken.
static COUNT: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Tells the test, which waits for the first word.
pub(crate) fn say(what: &str) {
    // The harness leaves its own line open.
    println!("\n@{what}");
}

#[callback]
fn process_sequence(a: i64) {
    TOOK.lock().unwrap().push(a);
    COUNT.send_modify(|count| *count += 1);
}

/// Keeps nothing but the count, for streams without end.
#[callback]
fn count_sequence(n: u64) {
    COUNT.send_modify(|count| {
        *count += 1;
        assert_eq!(*count, n, "out of order");
    });
}

/// Counts pictures, and keeps none.
#[callback]
fn picture(picture: Vec<u8>) {
    drop(picture);
    COUNT.send_modify(|count| *count += 1);
}

mod slow {
    use super::*;

    /// Works on each for a while.
    #[callback]
    pub(super) fn picture(picture: Vec<u8>) {
        std::thread::sleep(Duration::from_millis(10));
        super::picture(picture);
    }
}

#[callback]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[callback]
fn who() -> String {
    NAMED.get().cloned().unwrap_or_default()
}

/// Without end.
#[callback]
fn numbers() -> impl Iterator<Item = u64> {
    0..
}

#[callback]
async fn hang() {
    say("hanging");
    std::future::pending::<()>().await;
}

mod victim {
    use super::*;

    /// Takes some items, and then waits to be killed.
    #[callback]
    pub(super) fn process_sequence(a: i64) {
        if a == 1_000 {
            say("hanging");
            loop {
                std::thread::park();
            }
        }
    }
}

mod fetch {
    pub(super) mod one_way {
        #[daffi::fetcher(BG(no_return))]
        pub(in super::super) async fn process_sequence(a: i64);
    }
    pub(super) mod broadcast {
        #[daffi::fetcher(BROADCAST)]
        pub(in super::super) async fn process_sequence(a: i64);
        #[daffi::fetcher(BROADCAST)]
        pub(in super::super) async fn who() -> String;
    }
    pub(super) mod stream {
        #[daffi::fetcher(STREAM)]
        pub(in super::super) async fn process_sequence(a: i64);
        #[daffi::fetcher(STREAM)]
        pub(in super::super) async fn count_sequence(n: u64);
        #[daffi::fetcher(STREAM)]
        pub(in super::super) async fn picture(picture: Vec<u8>);
    }
    #[daffi::fetcher]
    pub(super) async fn add(a: i64, b: i64) -> i64;
    #[daffi::fetcher]
    pub(super) async fn hang();
    #[daffi::fetcher]
    pub(super) async fn numbers() -> impl futures_util::Stream<Item = u64>;
}

/// The callbacks that a role offers.
fn offers(role: &str) -> Vec<Callback> {
    match role {
        "taker" => callbacks![process_sequence, count_sequence, picture, add, who, hang, numbers].into(),
        "slow" => callbacks![slow::picture].into(),
        "victim" => callbacks![victim::process_sequence].into(),
        // What it does not offer, it has in its program all the same.
        "bystander" => callbacks![add, who].into(),
        "caller" | "controller" => Vec::new(),
        other => panic!("there is no role {other:?}"),
    }
}

/// Plays a role until stdin ends.
pub(crate) fn play(role: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = std::env::var(ADDRESS).unwrap().parse().unwrap();
    runtime.block_on(async {
        match role {
            "proxy" => proxy::play(address, commands()).await,
            _ => take_part(role, address).await,
        }
    });
    runtime.shutdown_background();
}

async fn take_part(role: &str, address: SocketAddr) {
    let name = std::env::var(NAME).unwrap();
    NAMED.set(name.clone()).unwrap();
    let runs_controller = std::env::var_os(CONTROLLER).is_some();
    let builder = Global::builder().process_name(name).host(address.ip().to_string()).port(address.port());
    let builder = builder
        .connect_timeout(PATIENCE)
        .callbacks(offers(role))
        .init_controller(runs_controller)
        .init_node(role != "controller");
    let builder = match std::env::var_os(CONFIG) {
        Some(file) => builder.config_file(file),
        None => builder,
    };
    // The state directory comes from the environment, on either side.
    say("starting");
    let global = builder.start().await.unwrap();
    if let Some(address) = global.controller_address() {
        say(&format!("controller {address}"));
    }
    if role != "controller" {
        tokio::spawn(tell_of_events(global.events()));
    }
    say("ready");

    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        let answer = tokio::select! {
            answer = obey(&global, &command) => answer,
            _ = commands.recv() => "dropped".into(),
        };
        say(&format!("answer {answer}"));
    }
}

/// The lines of stdin.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    // A thread that the end of the process need not wait for.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn tell_of_events(mut events: daffi::Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::StreamEnded { producer, delivered, missed, end, .. } => {
                say(&format!("missed {missed}"));
                say(&format!("ended {producer} {delivered} {end:?}"));
            }
            Event::ItemsDropped { receiver, .. } => say(&format!("dropped {receiver}")),
            Event::Disconnected { reason } => say(&format!("disconnected {reason}")),
            Event::Connected => say("connected"),
            _ => {}
        }
    }
}

async fn obey(global: &Global, command: &str) -> String {
    let words: Vec<_> = command.split_whitespace().collect();
    match words[..] {
        ["wait", ref names @ ..] => {
            for name in names {
                global.wait_process(*name).timeout(PATIENCE).await.unwrap();
            }
            "met".into()
        }
        ["wait-briefly", name] => match global.wait_process(name).timeout(Duration::from_millis(200)).await {
            Ok(()) => "met".into(),
            Err(error) => error.to_string(),
        },
        ["one-way", count] => {
            for n in 1..=number(count) {
                fetch::one_way::process_sequence(n).await.unwrap();
            }
            "sent".into()
        }
        ["broadcast", count] => {
            let mut nodes = Vec::new();
            for n in 1..=number(count) {
                for reply in fetch::broadcast::process_sequence(n).await.unwrap() {
                    reply.result.unwrap();
                    nodes.push(reply.node);
                }
            }
            nodes.sort_unstable();
            nodes.dedup();
            nodes.join(" ")
        }
        ["stream", count] => {
            // Long enough for a receiver that is lost to be noticed before one that stalls is.
            let stream = fetch::stream::process_sequence(1..=number(count)).stall_after(PATIENCE);
            stream.await.map_or_else(|error| format!("{error}"), |report| summary(&report))
        }
        ["stream-latest", count] => {
            let stream = fetch::stream::process_sequence(1..=number(count)).on_slow(OnSlow::KeepLatest);
            stream.await.map_or_else(|error| error.to_string(), |report| accounts(&report))
        }
        ["pictures", on_slow, count] => {
            let on_slow = match on_slow {
                "block" => OnSlow::Block,
                "oldest" => OnSlow::DropOldest(4),
                _ => OnSlow::KeepLatest,
            };
            let pictures = (0..number(count)).map(|n| vec![n as u8; 256 << 10]);
            let stream = fetch::stream::picture(pictures).on_slow(on_slow).stall_after(PATIENCE);
            stream.await.map_or_else(|error| error.to_string(), |report| accounts(&report))
        }
        ["large-pictures", mebibytes, count] => {
            let size = mebibytes.parse::<usize>().unwrap() << 20;
            let pictures = (0..number(count)).map(move |n| vec![n as u8; size]);
            fetch::stream::picture(pictures).await.map_or_else(|error| error.to_string(), |report| accounts(&report))
        }
        ["call-beside-stream", count, node] => {
            let pictures = std::iter::repeat_with(|| vec![7; 256 << 10]);
            let stream = tokio::spawn(async move { fetch::stream::picture(pictures).await });
            for n in 1..=number(count) {
                assert_eq!(fetch::add(n, 1).to(node).await, Ok(n + 1));
            }
            // It had no reason to end.
            assert!(!stream.is_finished());
            stream.abort();
            format!("{count} calls")
        }
        ["stream-forever"] => {
            let told = TellOnDrop;
            let numbers = (1..).inspect(move |_| {
                let _ = &told;
            });
            fetch::stream::count_sequence(numbers)
                .await
                .map_or_else(|error| error.to_string(), |report| summary(&report))
        }
        ["stream-and-fail", count] => {
            let last = number(count);
            let items = (1..).map(move |n| if n <= last { Ok(n) } else { Err("the camera is gone") });
            fetch::stream::process_sequence(fallible(items)).await.unwrap_err().to_string()
        }
        ["stream-and-panic", count] => {
            let last = number(count);
            let items = (1..).inspect(move |n| assert!(*n <= last, "out of film"));
            fetch::stream::process_sequence(items).await.unwrap_err().to_string()
        }
        ["add", a, b, node] => match fetch::add(number(a), number(b)).to(node).await {
            Ok(sum) => sum.to_string(),
            Err(error) => error.to_string(),
        },
        ["add-all", count, node] => {
            let calls = (1..=number(count)).map(|n| fetch::add(n, 1).to(node).into_future());
            match try_join_all(calls).await {
                Ok(sums) => {
                    format!("{} of {count}", sums.into_iter().zip(2..).filter(|(sum, right)| sum == right).count())
                }
                Err(error) => error.to_string(),
            }
        }
        ["who"] => {
            let mut replies: Vec<_> = fetch::broadcast::who().await.unwrap();
            replies.sort_unstable_by(|a, b| a.node.cmp(&b.node));
            let replies = replies.into_iter().map(|reply| format!("{}={}", reply.node, reply.result.unwrap()));
            replies.collect::<Vec<_>>().join(" ")
        }
        ["hang", node] => fetch::hang().to(node).await.unwrap_err().to_string(),
        ["take-results", node] => {
            let mut numbers = fetch::numbers().to(node).await.unwrap();
            for expected in 0.. {
                match numbers.next().await {
                    Some(Ok(number)) => assert_eq!(number, expected, "out of order"),
                    Some(Err(error)) => {
                        assert!(numbers.next().await.is_none(), "an error is the last");
                        return error.to_string();
                    }
                    None => break,
                }
                if expected == 100_000 {
                    say("taking");
                }
            }
            "the numbers have an end".into()
        }
        ["took"] => TOOK.lock().unwrap().iter().map(i64::to_string).collect::<Vec<_>>().join(" "),
        ["forget"] => {
            TOOK.lock().unwrap().clear();
            "forgotten".into()
        }
        ["counts", count] => {
            let wanted = number(count).unsigned_abs();
            let reached = COUNT.subscribe().wait_for(|count| *count >= wanted).await.map(|count| *count);
            reached.unwrap().to_string()
        }
        ["stop"] => {
            global.stop().await;
            "stopped".into()
        }
        _ => panic!("there is no command {command:?}"),
    }
}

fn number(word: &str) -> i64 {
    word.parse().unwrap()
}

/// What became of a stream, in words: `3 items: a 3, b 1 (why)`.
fn summary(report: &StreamReport) -> String {
    let mut receivers: Vec<_> = report.receivers.iter().collect();
    receivers.sort_unstable_by(|a, b| a.node.cmp(&b.node));
    let receivers = receivers.into_iter().map(|receiver| match &receiver.result {
        Ok(()) => format!("{} {}", receiver.node, receiver.delivered),
        Err(error) => format!("{} {} ({error})", receiver.node, receiver.delivered),
    });
    format!("{} items: {}", report.sent, receivers.collect::<Vec<_>>().join(", "))
}

/// The same, for streams that may go on without some items: `3 items: a 2 1 Ok(())`.
fn accounts(report: &StreamReport) -> String {
    let receivers = report.receivers.iter();
    let receivers = receivers.map(|it| format!("{} {} {} {:?}", it.node, it.delivered, it.dropped, it.result));
    format!("{} items: {}", report.sent, receivers.collect::<Vec<_>>().join(", "))
}

/// Part of a source, to see when that is dropped.
struct TellOnDrop;

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        say("source-dropped");
    }
}
