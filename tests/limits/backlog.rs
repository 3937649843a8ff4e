//! Nodes that ask and do not take what they are answered.

use std::pin::pin;

use daffi::{Limits, callback, callbacks, fetcher};
use daffi_controller::{Globs, Rule};
use daffi_core::{
    transport::{CloseCode, ConnectionLost, RecvStream},
    wire::{
        CallbackId, StreamKind,
        failure::{Failure, Right},
        frame::{Ask, Decoder, Head, Status},
        limits::{LANE_FRAME, MAX_LANE_BACKLOG, MAX_NAME, MAX_TARGETS},
        offer::Offer,
    },
};
use serde_bytes::ByteBuf;
use tokio::time::timeout;

use crate::{
    limits,
    peer::{Network, Peer, QUIET},
};

const fn ask(callback: CallbackId) -> Ask {
    Ask { callback, budget: None, trace: None }
}

/// Reads so many failures off a lane. How many bytes they are.
async fn failures(mut lane: RecvStream, count: usize) -> usize {
    let (mut decoder, mut chunks, mut seen, mut bytes) = (Decoder::default(), Vec::new(), 0, 0);
    let mut is_first = true;
    while seen < count {
        assert!(lane.read(&mut chunks).await.unwrap(), "the lane ended");
        for mut chunk in chunks.drain(..) {
            if std::mem::take(&mut is_first) {
                assert_eq!(chunk.split_to(1)[0], StreamKind::CallLane as u8);
            }
            bytes += chunk.len();
            decoder.push(&chunk);
        }
        while let Some(frame) = decoder.next_frame().unwrap() {
            assert!(matches!(frame.head, Head::Reply { status: Status::Failure, .. }), "{:?}", frame.head);
            seen += 1;
        }
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_answers_is_not_read_and_has_them_all_when_it_does() {
    // None of its calls is allowed, and each is told so at length.
    let (caller, callback) = ("h".repeat(MAX_NAME), "c".repeat(MAX_NAME));
    let offer = Offer { name: callback.clone(), ..Offer::default() };
    let rule = Rule::of_nodes(Globs::new(["server"]).unwrap()).offer(Globs::new(["*"]).unwrap());
    let network = Network::start_with(Limits::default(), [rule].into_iter().collect());
    let _server = Peer::join(&network, "server", [offer]).await;
    let mut peer = Peer::join(&network, &caller, []).await;
    let (server, number) = peer.find("server");
    let failure = Failure::NotAllowed { caller, callback, right: Right::Call }.encode().len();
    let calls = MAX_LANE_BACKLOG / (MAX_TARGETS * failure) + 2;
    let broadcasts = (0..calls as u64)
        .map(|id| (Head::Broadcast { id, targets: vec![server; MAX_TARGETS], ask: ask(number) }, Vec::new()));
    // What nothing follows from, and is more than fits between the two ends.
    let reply = (Head::Reply { id: 0, node: 0, status: Status::Value }, vec![0; LANE_FRAME]);
    let frames = broadcasts.chain(std::iter::repeat_n(reply, (4 << 20) / LANE_FRAME));
    let connection = peer.connection.clone();
    let mut saying = pin!(peer.say(frames));
    assert!(timeout(QUIET, &mut saying).await.is_err(), "all was read, and all that follows from it is kept");
    let lane = connection.accept_uni().await.unwrap();
    let (bytes, ()) = tokio::join!(failures(lane, calls * MAX_TARGETS), saying);
    assert!(bytes > MAX_LANE_BACKLOG, "{bytes}");
}

/// Returns so many bytes.
#[callback(name = "make")]
async fn make_callback(size: usize) -> ByteBuf {
    vec![7; size].into()
}

#[fetcher]
async fn make(size: usize) -> ByteBuf;

#[tokio::test(start_paused = true)]
async fn who_takes_no_large_results_is_sent_away_alone() {
    let network = Network::start(limits(|limits| {
        limits.message_size = 1 << 20;
        limits.backlog_per_node = 65 << 20;
    }));
    let server = network.node("server", callbacks![make_callback]).await;
    let caller = network.node("caller", callbacks![]).await;
    caller.wait_process("server").await.unwrap();
    // The list of arguments, as it is encoded: one number of 32 bits.
    let size = 1_000_000_u32;
    let arguments = [&[0x91, 0xce][..], &size.to_be_bytes()].concat();
    for (results, stays) in [(60, true), (80, false)] {
        let mut peer = Peer::join(&network, &format!("takes_no_{results}"), []).await;
        let (node, callback) = peer.find("server");
        peer.say((0..results).map(|id| (Head::Call { id, peer: node, ask: ask(callback) }, arguments.clone()))).await;
        match timeout(QUIET, peer.connection.closed()).await {
            Err(_) => assert!(stays, "{results} results were kept"),
            Ok(ConnectionLost::ClosedByPeer { code: CloseCode::Limit, reason }) => {
                assert!(!stays && reason.contains("`backlog_per_node`"), "{results}: {reason}");
            }
            Ok(other) => panic!("expected the limit, got {other}"),
        }
        assert_eq!(make(3).on(&caller).await.unwrap().len(), 3, "others do not notice");
    }
    drop(server);
}
