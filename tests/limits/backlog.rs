//! Nodes that ask and do not take what they are answered.

use std::{pin::pin, time::Duration};

use daffi::{Limits, Node, callback, callbacks, fetcher};
use daffi_core::{
    link::Reader,
    transport::{CloseCode, Connection, ConnectionLost, JoinToken, Listener, RecvStream, SendStream, memory},
    wire::{
        CallbackId, NodeId, StreamKind,
        control::{Member, ToController, ToNode},
        failure::Failure,
        frame::{self, Ask, Decoder, Head, Status},
        limits::{LANE_FRAME, MAX_LANE_BACKLOG, MAX_TARGETS},
        message, preamble,
    },
};
use serde_bytes::ByteBuf;
use tokio::{sync::watch, time::timeout};

use crate::limits;

/// Longer than anything here takes: the clock is paused, so it is over when nothing moves any more.
const QUIET: Duration = Duration::from_secs(600);

const CONTROLLER: &str = "controller";

/// A controller on a network in memory. Dropping it stops it.
struct Network {
    network: memory::Network,
    token: JoinToken,
    _stop: watch::Sender<Option<Duration>>,
}

impl Network {
    fn start(limits: Limits) -> Self {
        let (network, token) = (memory::Network::new(), JoinToken::generate([0; 32]));
        let (stop, stopped) = watch::channel(None);
        let listener = Listener::Memory(network.listen(CONTROLLER));
        tokio::spawn(daffi_controller::serve(listener, token.clone(), limits, stopped));
        Self { network, token, _stop: stop }
    }

    async fn node(&self, name: &str, callbacks: impl IntoIterator<Item = daffi_core::node::Callback>) -> Node {
        let builder = Node::builder().name(name).network(&self.network, CONTROLLER).token(self.token.to_string());
        builder.callbacks(callbacks).join().await.unwrap()
    }
}

/// A node made by hand, that reads nothing but its welcome.
struct Peer {
    connection: Connection,
    members: Vec<Member>,
    lane: SendStream,
    _control: (SendStream, Reader),
}

impl Peer {
    async fn join(network: &Network, name: &str) -> Self {
        let connection = Connection::Memory(network.network.connect(name, CONTROLLER).unwrap());
        let (mut send, receive) = connection.open_bi().await.unwrap();
        let mut hello = vec![StreamKind::Control as u8];
        hello.extend_from_slice(&preamble::encode(preamble::VERSION));
        hello.extend_from_slice(network.token.secret());
        let (software, offers) = (String::new(), Vec::new());
        message::put(&ToController::Hello { name: name.into(), offers, software, instance: 0 }, &mut hello);
        send.write(&mut [hello.into()]).await.unwrap();
        let mut reader = Reader::new(receive);
        let _preamble: [u8; preamble::LENGTH] = reader.bytes().await.unwrap();
        let Some(ToNode::Welcome { members, .. }) = reader.message().await.unwrap() else { panic!("no welcome") };
        let mut lane = connection.open_uni().await.unwrap();
        lane.write(&mut [vec![StreamKind::CallLane as u8].into()]).await.unwrap();
        Self { connection, members, lane, _control: (send, reader) }
    }

    /// The numbers of a node and of its only callback.
    fn find(&self, name: &str) -> (NodeId, CallbackId) {
        let member = self.members.iter().find(|member| member.name == name).unwrap();
        (member.id, member.offers[0].id)
    }

    /// Sends these frames one after the other.
    async fn say(&mut self, frames: impl Iterator<Item = (Head, Vec<u8>)>) {
        for (head, payload) in frames {
            let mut bytes = Vec::new();
            frame::put(&head, &payload, &mut bytes);
            self.lane.write(&mut [bytes.into()]).await.unwrap();
        }
    }
}

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
    // Each of its calls is one too many at each of its targets, and says so at length.
    let network = Network::start(limits(|limits| limits.calls_per_node = 1));
    let mut peer = Peer::join(&network, "hostile").await;
    let failure = Failure::Limit { name: "calls_per_node".into(), allowed: 1 }.encode().len();
    // So many that what is refused of them is more than fits between the two ends.
    let calls = MAX_LANE_BACKLOG / (MAX_TARGETS * failure) + (3 << 20) / LANE_FRAME;
    let frames = (0..calls as u64).map(|id| {
        (Head::Broadcast { id, targets: vec![999; MAX_TARGETS], ask: ask(0) }, vec![0; LANE_FRAME])
    });
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
        let mut peer = Peer::join(&network, &format!("takes_no_{results}")).await;
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
