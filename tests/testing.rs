//! The test kit: each test shows a promise that the documentation of `daffi::testing` makes.

#[path = "testing/chance.rs"]
mod chance;
#[path = "testing/controller.rs"]
mod controller;
#[path = "testing/faults.rs"]
mod faults;
#[path = "testing/setup.rs"]
mod setup;
#[path = "testing/time.rs"]
mod time;

use std::time::{Duration, SystemTime};

use daffi::{Event, Events, Node, callback, callbacks, testing::Network};

/// 2000-01-01, 00:00 UTC.
const YEAR_2000: Duration = Duration::from_secs(946_684_800);

#[callback]
async fn double(a: i64) -> i64 {
    a * 2
}

#[callback]
fn double_sync(a: i64) -> i64 {
    a * 2
}

#[callback]
async fn never() {
    std::future::pending::<()>().await;
}

#[callback]
async fn take(_item: u64) {}

#[callback]
fn take_sync(_item: u64) {}

#[callback]
fn take_text(_item: String) {}

mod remote {
    use daffi::fetcher;

    #[fetcher]
    pub async fn double(a: i64) -> i64;

    #[fetcher]
    pub async fn double_sync(a: i64) -> i64;

    #[fetcher]
    pub async fn never();

    #[fetcher(STREAM)]
    pub async fn take(item: u64);

    #[fetcher(STREAM)]
    pub async fn take_sync(item: u64);

    #[fetcher(STREAM)]
    pub async fn take_text(item: String);
}

mod everywhere {
    use daffi::fetcher;

    #[fetcher(BROADCAST)]
    pub async fn double(a: i64) -> i64;
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn year_2000() -> SystemTime {
    SystemTime::UNIX_EPOCH + YEAR_2000
}

/// A node that offers all of the above.
async fn server(net: &Network, name: &str) -> Node {
    net.node(name).callbacks(callbacks![double, double_sync, never, take, take_sync, take_text]).join().await.unwrap()
}

/// A node that offers nothing, called `client`, and sees these.
async fn client(net: &Network, servers: &[&str]) -> Node {
    let node = net.node("client").callbacks([]).join().await.unwrap();
    for server in servers {
        node.wait_process(*server).await.unwrap();
    }
    node
}

/// Waits for the first event that is wanted.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("the node is there");
        if wanted(&event) {
            return event;
        }
    }
}
