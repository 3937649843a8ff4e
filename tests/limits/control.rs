//! What nodes tell the controller, and it tells them, on their control streams.

use std::time::Duration;

use daffi::{Limits, callback, callbacks, fetcher};
use daffi_core::{
    transport::{CloseCode, ConnectionLost},
    wire::{
        control::{ToController, ToNode},
        limits::MAX_NAME,
        offer::Offer,
    },
};
use tokio::time::timeout;

use crate::peer::{Network, Peer, QUIET};

#[callback(name = "echo")]
async fn echo_callback(number: u64) -> u64 {
    number
}

#[fetcher]
async fn echo(number: u64) -> u64;

/// An offer that offers nothing.
const NOTHING: ToController = ToController::Offer { offers: Vec::new() };

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

#[tokio::test(start_paused = true)]
async fn of_what_a_node_says_when_it_leaves_the_others_hear_a_short_line() {
    let network = Network::start(Limits::default());
    let mut watcher = Peer::join(&network, "watcher", []).await;
    let peer = Peer::join(&network, "hostile", []).await;
    assert!(matches!(watcher.hear().await, ToNode::Joined { .. }));
    peer.connection.close(CloseCode::Limit, &"bye\n".repeat(10_000));
    let told = timeout(QUIET, watcher.hear()).await.unwrap();
    let ToNode::Left { reason, .. } = told else { panic!("told {told:?}") };
    assert!(reason.ends_with(&"bye?".repeat(MAX_NAME / 4)) && reason.len() < 2 * MAX_NAME, "{reason}");
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_already_is_told_to_nobody() {
    let network = Network::start(Limits::default());
    let mut watcher = Peer::join(&network, "watcher", []).await;
    let mut peer = Peer::join(&network, "hostile", [large(0)]).await;
    assert!(matches!(watcher.hear().await, ToNode::Joined { member } if member.name == "hostile"));
    let again = ToController::Offer { offers: vec![large(1), large(2)] };
    let fresh = Offer { name: "fresh".into(), ..Offer::default() };
    let fresh = ToController::Offer { offers: vec![large(3), fresh] };
    peer.tell([NOTHING, again, NOTHING, fresh]).await;
    let told = timeout(QUIET, watcher.hear()).await.unwrap();
    let ToNode::Offered { offers, .. } = told else { panic!("told {told:?}") };
    assert_eq!(offers.iter().map(|offered| &*offered.offer.name).collect::<Vec<_>>(), ["fresh"]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_offers_is_held_back_and_others_do_not_notice() {
    let network = Network::start(Limits::default());
    let server = network.node("server", callbacks![echo_callback]).await;
    let caller = network.node("caller", callbacks![]).await;
    caller.wait_process("server").await.unwrap();
    let mut peer = Peer::join(&network, "hostile", []).await;
    let messages = (10 << 20) / 20;
    let flood = peer.tell((0..messages).map(|_| NOTHING));
    let short = Duration::from_secs(30);
    assert!(timeout(short, flood).await.is_err(), "more was read in {short:?} than may be said in that time");
    assert_eq!(echo(7).on(&caller).await, Ok(7));
    drop(server);
}
