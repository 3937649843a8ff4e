//! Large things that a node begins and does not finish.

use std::num::NonZeroU32;

use daffi::{Limits, callback, callbacks, fetcher};
use daffi_core::{
    transport::{CloseCode, ConnectionLost, GiveUp, SendStream},
    wire::{StreamKind, batch::Carries, item_stream::StreamRequest, limits::FRAGMENT, message, varint},
};
use futures_util::future::{join_all, select_all};
use serde_bytes::ByteBuf;
use tokio::time::timeout;

use crate::{
    common::{Controller, meet, soon},
    peer::{Network, Peer, QUIET},
};

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

#[tokio::test(start_paused = true)]
async fn large_frames_are_gathered_as_far_as_they_have_room_together() {
    const BEGUN: usize = 8 << 20;
    let network = Network::start(Limits::default());
    let peer = Peer::join(&network, "hostile", []).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(peer.connection.open_uni().await.unwrap());
    }
    let mut begun = vec![StreamKind::LargeFrame as u8];
    varint::put(200 << 20, &mut begun);
    begun.resize(BEGUN, 0);
    let begin = async |stream: &mut SendStream| stream.write(&mut [begun.clone().into()]).await.unwrap();
    timeout(QUIET, begin(&mut streams[0])).await.expect("one alone has room");
    let (first, others) = streams.split_first_mut().unwrap();
    let is_gathered = timeout(QUIET, select_all(others.iter_mut().map(|stream| Box::pin(begin(stream))))).await.is_ok();
    assert!(!is_gathered, "one that has no room beside it is gathered");
    // Who does not finish it makes room.
    first.reset(GiveUp::Unwanted);
    timeout(QUIET, select_all(others.iter_mut().map(|stream| Box::pin(begin(stream))))).await.expect("there is room");
}

#[callback(name = "make")]
async fn make_callback(size: usize) -> ByteBuf {
    vec![7; size].into()
}

#[fetcher]
async fn make(size: usize) -> ByteBuf;

#[tokio::test]
async fn results_that_have_no_room_together_come_all_the_same() {
    const SIZE: usize = 60 << 20;
    let controller = Controller::start().await;
    let server = controller.node("server", callbacks![make_callback]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&server, &caller]).await;
    let sizes = [SIZE, SIZE, 2 << 20, SIZE, 3, SIZE, SIZE];
    let results = soon(join_all(sizes.map(|size| make(size).on(&caller).into_future()))).await;
    assert_eq!(results.into_iter().map(|result| result.unwrap().len()).collect::<Vec<_>>(), sizes);
}
