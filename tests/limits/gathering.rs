//! Large things that a node begins and does not finish.

use std::num::NonZeroU32;

use daffi::{Limits, callback, callbacks};
use daffi_core::{
    transport::{CloseCode, ConnectionLost},
    wire::{StreamKind, batch::Carries, item_stream::StreamRequest, limits::FRAGMENT, message, varint},
};
use tokio::time::timeout;

use crate::peer::{Network, Peer, QUIET};

#[callback(name = "take")]
async fn take_callback(_item: u64) {}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_fragment_is_refused_before_it_comes() {
    let network = Network::start(Limits::default());
    let _receiver = network.node("receiver", callbacks![take_callback]).await;
    // Where items may have to go they come whole, and large ones are none.
    for (name, keep) in [("may_lose_items", NonZeroU32::new(1)), ("hostile", None)] {
        let peer = Peer::join(&network, name, []).await;
        let (node, callback) = peer.find("receiver");
        let request = StreamRequest {
            callback,
            targets: vec![node],
            stall_millis: 10_000,
            trace: None,
            answers: None,
            keep,
            live: false,
            stream: None,
            resumed: None,
        };
        let mut bytes = vec![StreamKind::Items as u8];
        message::put(&request, &mut bytes);
        // The header of a batch of one item, that is larger than any fragment.
        varint::put(3 * FRAGMENT as u64, &mut bytes);
        bytes.extend([0, 1, Carries::Items as u8, 0]);
        let (mut send, _answers) = peer.connection.open_bi().await.unwrap();
        send.write(&mut [bytes.into()]).await.unwrap();
        match timeout(QUIET, peer.connection.closed()).await {
            Err(_) => assert!(keep.is_some(), "the rest is waited for"),
            Ok(ConnectionLost::ClosedByPeer { code: CloseCode::Malformed, reason }) => {
                assert!(keep.is_none() && reason.contains("above the limit"), "{reason}");
            }
            Ok(other) => panic!("expected the batch to be refused, got {other}"),
        }
    }
}
