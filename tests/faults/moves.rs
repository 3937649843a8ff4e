//! A node whose address changes.
//!
//! Not on loopback, where no address changes and a connection keeps to its own; so this needs another address of the machine.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::Duration,
};

use futures_util::{StreamExt, stream};

use crate::{Path, System, common::soon, remote, stop_unbroken};

#[tokio::test]
async fn a_session_outlives_a_change_of_the_nodes_address() {
    const ITEMS: u64 = 20_000;
    let Some(host) = address() else {
        assert!(env::var_os("CI").is_none(), "this machine has no address but loopback, and CI is to run this test");
        return eprintln!("skipped: this machine has no address but loopback");
    };
    let good = Path { delay: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0.0, seed: 4 };
    let System { a, b, proxies, _controller } = System::start_at(host, good).await;
    let events = [a.events(), b.events()];
    // Both move while the stream is under way.
    let moving = proxies.clone();
    let source = stream::iter(0..ITEMS).inspect(move |item| match item {
        5_000 => moving[0].move_away(),
        10_000 => moving[1].move_away(),
        _ => {}
    });
    let report = soon(remote::check(source).on(&b).into_future()).await.unwrap();
    assert_eq!(report.receiver("a").unwrap().result, Ok((ITEMS, true)));
    // And once more while nothing is.
    proxies.iter().for_each(|proxy| proxy.move_away());
    assert_eq!(soon(remote::double(21).on(&b).into_future()).await, Ok(42));
    let [of_a, of_b] = events;
    stop_unbroken(&b, of_b).await;
    stop_unbroken(&a, of_a).await;
}

/// The address by which this machine would reach others. Nothing is sent: 192.0.2.1 is for documentation (RFC 5737).
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}
