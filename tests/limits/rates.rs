//! How fast a node may send, and what that does not hold back.

use std::time::Duration;

use daffi::JoinError;
use daffi_core::{
    transport::CloseCode,
    wire::control::{ToController, ToNode},
};
use tokio::time::{Instant, timeout};

use crate::{
    limits,
    peer::{Network, Peer, QUIET},
};

const RATE: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn who_sends_much_is_alive_all_the_same() {
    let network = Network::start(limits(|limits| limits.bytes_per_second_per_node = Some(RATE as u64)));
    let mut holder = Peer::join(&network, "holder", []).await;
    let sending: Vec<_> = (0..4)
        .map(|_| {
            let connection = holder.connection.clone();
            tokio::spawn(async move { Peer::large(&connection, 10 * RATE).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answering = async {
        while !matches!(holder.hear().await, ToNode::Probe) {}
        holder.tell([ToController::Alive]).await;
        std::future::pending::<()>().await;
    };
    let joined = tokio::select! {
        joined = network.builder("holder").callbacks([]).join() => joined,
        () = answering => unreachable!("it waits for ever"),
    };
    assert!(matches!(joined, Err(JoinError::NameTaken { .. })), "{:?}", joined.err());
    assert!(sending.iter().any(|sending| !sending.is_finished()), "it sends still");
}

#[tokio::test(start_paused = true)]
async fn who_joins_again_and_again_is_no_faster() {
    let network = Network::start(limits(|limits| limits.bytes_per_second_per_node = Some(RATE as u64)));
    let began = Instant::now();
    for _ in 0..5 {
        let peer = Peer::join(&network, "hasty", []).await;
        let mut sent = Peer::large(&peer.connection, 3 * RATE).await;
        timeout(QUIET, sent.settled()).await.unwrap().unwrap();
        peer.connection.close(CloseCode::Done, "for a new second");
    }
    // 15 seconds' worth, of which the first was free, and the last is not waited for: a read may bring one.
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(13), "{took:?}");
}
