//! Calls and streams over a bad path: real sockets, and between them a proxy that delays, loses and reorders packets, or sends them on
//! from another address.

mod common;
#[path = "faults/moves.rs"]
mod moves;
#[path = "faults/path.rs"]
mod path;
#[path = "faults/proxy.rs"]
mod proxy;

use std::net::{IpAddr, Ipv4Addr};

use daffi::{Event, Events, Global, Incoming, callback, callbacks};

use self::{
    common::{Controller, meet},
    proxy::{Path, Proxy},
};

#[callback]
async fn double(a: i64) -> i64 {
    a * 2
}

/// How many items there were, and whether they came in order, from 0 on and with none missing.
#[callback]
async fn check(mut items: Incoming<u64>) -> (u64, bool) {
    let (mut count, mut in_order) = (0, true);
    while let Some(item) = items.next().await {
        in_order &= item == count;
        count += 1;
    }
    (count, in_order)
}

#[callback]
async fn show(_item: u64) {}

mod remote {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn double(a: i64) -> i64;

    #[fetcher(STREAM)]
    pub(crate) async fn check(item: u64) -> (u64, bool);

    #[fetcher(STREAM)]
    pub(crate) async fn show(item: u64);
}

/// A controller and two nodes, each behind a proxy of its own: `a` offers the callbacks, `b` calls them.
struct System {
    a: Global,
    b: Global,
    proxies: [Proxy; 2],
    _controller: Controller,
}

impl System {
    /// On loopback.
    async fn start(path: Path) -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), path).await
    }

    async fn start_at(host: IpAddr, path: Path) -> Self {
        let controller = Controller::start_at(host).await;
        let proxies = [Proxy::start(controller.address(), path).await, Proxy::start(controller.address(), path).await];
        let node = |name, proxy: &Proxy| controller.builder(name).port(proxy.address().port());
        let a = node("a", &proxies[0]).callbacks(callbacks![double, check, show]).start().await;
        let b = node("b", &proxies[1]).start().await;
        let (a, b) = (a.expect("a joins"), b.expect("b joins"));
        meet(&[&a, &b]).await;
        Self { a, b, proxies, _controller: controller }
    }
}

/// Stops a node; until then it may not have lost its connection.
async fn stop_unbroken(node: &Global, mut events: Events) {
    node.stop().await;
    let lost = |event: &Event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let reason = common::event(&mut events, lost).await;
    assert!(reason.contains("it left"), "{reason}");
}
