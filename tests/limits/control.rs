//! What nodes tell the controller, and it tells them, on their control streams.

use std::time::Duration;

use daffi::{Limits, callback, callbacks, fetcher};
use daffi_core::{
    transport::{CloseCode, ConnectionLost},
    wire::offer::Offer,
};
use tokio::time::timeout;

use crate::peer::{Network, Peer, QUIET};

#[callback(name = "echo")]
async fn echo_callback(number: u64) -> u64 {
    number
}

#[fetcher]
async fn echo(number: u64) -> u64;

/// A callback that takes so many bytes in a message.
fn large(size: usize) -> Offer {
    Offer { name: "large".into(), signature: "x".repeat(size), ..Offer::default() }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_who_is_there_is_sent_away_alone() {
    let network = Network::start(Limits::default());
    let server = network.node("server", callbacks![echo_callback]).await;
    let caller = network.node("caller", callbacks![]).await;
    let silent = Peer::join(&network, "silent", []).await;
    let coming_and_going = async {
        // Six of them are more than may wait.
        for number in 0..10 {
            let name = format!("large_{number}");
            let one = Peer::join(&network, &name, [large(3 << 20)]).await;
            caller.wait_process(&name).await.unwrap();
            one.connection.close(CloseCode::Done, "it has been there");
            while caller.nodes().iter().any(|node| node.name == name) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let lost = silent.connection.closed();
    let (lost, ()) = tokio::join!(timeout(QUIET, lost), coming_and_going);
    let lost = lost.expect("what it does not read is kept");
    let ConnectionLost::ClosedByPeer { code: CloseCode::Limit, reason } = lost else { panic!("closed by {lost}") };
    assert!(reason.contains("too slowly"), "{reason}");
    assert_eq!(echo(7).on(&caller).await, Ok(7));
    drop(server);
}
