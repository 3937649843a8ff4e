//! What makes no sense ends the connection that it came over, and not the one that the stream began on. Peers made by hand say it.

use std::time::Duration;

use daffi::{CallError, Limits, Node};
use daffi_core::{
    link::Reader,
    node::Builder,
    transport::{CloseCode, Connection, ConnectionLost, JoinToken, Listener, SendStream, memory},
    wire::{
        NodeId, StreamKind,
        control::{Member, Offered, Terms, ToController, ToNode},
        item_stream::{Answer, Awaited, Mark, Resumed, Standing, StreamId, StreamOffer, StreamRequest},
        message, preamble,
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};

use crate::{Receiver, Seen, ms, remote};

const CONTROLLER: &str = "controller";
const STREAM: StreamId = 5;

/// How long, by the paused clock, to wait for what is to happen at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that has joined, or that a node has joined by.
struct Session {
    connection: Connection,
    /// Who is there.
    members: Vec<Member>,
    _control: (SendStream, Reader),
}

impl Session {
    /// Opens an item stream.
    async fn open(&self, header: &impl Serialize) -> (SendStream, Reader) {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        let mut bytes = vec![StreamKind::Items as u8];
        message::put(header, &mut bytes);
        send.write(&mut [bytes.into()]).await.unwrap();
        (send, Reader::new(receive))
    }

    /// The next item stream that a node opens.
    async fn request(&self) -> (StreamRequest, SendStream, Reader) {
        let opened = timeout(PATIENCE, self.connection.accept_bi()).await.expect("it opens one");
        let (send, receive) = opened.unwrap();
        let mut reader = Reader::new(receive);
        (reader.item_stream_header().await.unwrap(), send, reader)
    }

    /// Waits until the other side has had enough of what makes no sense.
    async fn is_dismissed(&self) {
        let lost = timeout(PATIENCE, self.connection.closed()).await.expect("it is closed at once");
        assert!(matches!(lost, ConnectionLost::ClosedByPeer { code: CloseCode::Malformed, .. }), "{lost}");
    }

    fn member(&self, name: &str) -> &Member {
        self.members.iter().find(|member| member.name == name).unwrap()
    }
}

/// A controller made by hand lets the next node in, as number 1. There is another of the same callbacks, number 2.
async fn let_in(listener: &mut memory::Listener) -> Session {
    let connection = Connection::Memory(listener.accept().await.unwrap());
    let (mut send, receive) = connection.accept_bi().await.unwrap();
    let mut reader = Reader::new(receive);
    let _: [u8; 1 + preamble::LENGTH + preamble::SECRET] = reader.bytes().await.unwrap();
    let Some(ToController::Hello { name, offers, .. }) = reader.message().await.unwrap() else {
        panic!("a node begins with a hello");
    };
    let offers: Vec<_> = (0..).zip(offers).map(|(id, offer)| Offered { id, offer }).collect();
    let member = |id: NodeId, name: &str| Member { id, name: name.into(), offers: offers.clone() };
    let members = vec![member(1, &name), member(2, "other")];
    let mut bytes = preamble::encode(preamble::VERSION).to_vec();
    message::put(&ToNode::Welcome { node: 1, members: members.clone(), terms: Terms::default() }, &mut bytes);
    send.write(&mut [bytes.into()]).await.unwrap();
    Session { connection, members, _control: (send, reader) }
}

/// A producer made by hand joins.
async fn join(network: &memory::Network, token: &JoinToken) -> Session {
    let connection = Connection::Memory(network.connect("producer", CONTROLLER).unwrap());
    let (mut send, receive) = connection.open_bi().await.unwrap();
    let mut bytes = vec![StreamKind::Control as u8];
    bytes.extend_from_slice(&preamble::encode(preamble::VERSION));
    bytes.extend_from_slice(token.secret());
    let (name, software) = ("producer".into(), "a test".into());
    message::put(&ToController::Hello { name, offers: Vec::new(), software, instance: 7 }, &mut bytes);
    send.write(&mut [bytes.into()]).await.unwrap();
    let mut reader = Reader::new(receive);
    let _: [u8; preamble::LENGTH] = reader.bytes().await.unwrap();
    let Some(ToNode::Welcome { members, .. }) = reader.message().await.unwrap() else { panic!("it is not welcome") };
    Session { connection, members, _control: (send, reader) }
}

fn node(network: &memory::Network, name: &str, token: &JoinToken) -> Builder {
    let receiver = Receiver { seen: Seen::default(), each: ms(0) };
    Node::builder().name(name).network(network, CONTROLLER).token(token.to_string()).callbacks([]).serve(receiver)
}

/// Lets what is under way arrive. The clock is paused: nothing else takes time.
async fn settle() {
    tokio::time::sleep(ms(10)).await;
}

fn callback_of(member: &Member) -> u32 {
    member.offers.iter().find(|offered| offered.offer.name == "take").unwrap().id
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_makes_no_sense_after_it_came_back_loses_its_connection() {
    let (network, token) = (memory::Network::new(), JoinToken::generate([0; 32]));
    let (_stop, stopped) = watch::channel(None);
    let listener = Listener::Memory(network.listen(CONTROLLER));
    tokio::spawn(daffi_controller::serve(listener, token.clone(), Limits::default(), stopped));
    let _a = node(&network, "a", &token).join().await.unwrap();

    let first = join(&network, &token).await;
    let a = first.member("a");
    let begins = StreamRequest {
        callback: callback_of(a),
        targets: vec![a.id],
        stall_millis: 10_000,
        trace: None,
        answers: None,
        keep: None,
        live: false,
        stream: Some(STREAM),
        resumed: None,
    };
    let _way = first.open(&begins).await;
    settle().await;
    network.link("producer").cut();
    let again = join(&network, &token).await;
    let awaited = Awaited { receiver: 0, node: "a".into(), lossless: true };
    let (callback, from) = ("take".into(), Mark::default());
    let resumed = Some(Resumed { callback, from, receivers: vec![awaited], named: 1 });
    let (mut send, _answers) = again.open(&StreamRequest { targets: Vec::new(), resumed, ..begins }).await;
    settle().await;
    // It has no end.
    send.finish();
    again.is_dismissed().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_makes_no_sense_to_a_receiver_that_came_back_loses_its_connection() {
    let (network, token) = (memory::Network::new(), JoinToken::generate([0; 32]));
    let mut listener = network.listen(CONTROLLER);
    let joining = node(&network, "node", &token).join();
    let (joined, first) = tokio::join!(joining.into_future(), let_in(&mut listener));
    let _node = joined.unwrap();

    let begins = StreamOffer {
        callback: callback_of(first.member("node")),
        producer: 2,
        stall_millis: 10_000,
        trace: None,
        answers: None,
        paced: false,
        late: false,
        name: "other".into(),
        stream: Some(STREAM),
        receiver: 0,
        resumed: false,
        begun: false,
    };
    let _way = first.open(&begins).await;
    settle().await;
    network.link("node").cut();
    let again = let_in(&mut listener).await;
    let (mut send, mut answers) = again.open(&StreamOffer { resumed: true, begun: true, ..begins }).await;
    // It knows the stream.
    assert!(matches!(answers.answer().await, Ok(Some(Answer::Standing(_)))));
    // It has no end.
    send.finish();
    again.is_dismissed().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_makes_no_sense_to_a_producer_that_came_back_loses_its_connection() {
    let (network, token) = (memory::Network::new(), JoinToken::generate([0; 32]));
    let mut listener = network.listen(CONTROLLER);
    let joining = node(&network, "node", &token).join();
    let (joined, first) = tokio::join!(joining.into_future(), let_in(&mut listener));
    let node = joined.unwrap();

    let call = tokio::spawn(remote::take(stream::pending::<u64>()).on(&node).into_future());
    let (request, _answers, _items) = first.request().await;
    assert_eq!((request.targets, request.resumed), (vec![2], None));
    network.link("node").cut();
    let again = let_in(&mut listener).await;
    let (request, mut send, _items) = again.request().await;
    assert!(request.resumed.is_some());
    let standing = Standing {
        first: None,
        position: Mark::default().position,
        missed: 0,
        received: Mark::default().credit,
        granted: Mark::default().credit,
    };
    let mut bytes = Vec::new();
    // So answers a receiver, and no controller.
    Answer::Standing(standing).put(&mut bytes);
    send.write(&mut [bytes.into()]).await.unwrap();
    again.is_dismissed().await;
    assert_eq!(call.await.unwrap().unwrap_err(), CallError::ControllerLost);
}
