//! Peers that nobody knows, or that nobody should: they get little, and the others do not notice them.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use daffi::{Global, JoinError, StartError, callback, callbacks, fetcher};
use daffi_core::{
    transport::{
        CloseCode, Connection, ConnectionLost, JoinToken,
        quic::{ConnectError, Connector},
    },
    wire::{StreamKind, preamble, varint},
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{net::UdpSocket, task::JoinSet};

use crate::{
    common::{Controller, PATIENCE, meet, soon},
    limits, raw,
};

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(300);

#[callback]
async fn echo(number: u64) -> u64 {
    number
}

mod ask {
    use super::fetcher;

    #[fetcher]
    pub(crate) async fn echo(number: u64) -> u64;
}

/// Two nodes that would notice.
struct Others {
    server: Global,
    caller: Global,
}

impl Others {
    async fn join(controller: &Controller) -> Self {
        let others = Self {
            server: controller.node("server", callbacks![echo]).await,
            caller: controller.node("caller", []).await,
        };
        meet(&[&others.server, &others.caller]).await;
        others
    }

    /// They see each other and nobody else, and calls go on.
    async fn notice_nothing(&self) {
        assert_eq!(soon(ask::echo(7).on(&self.caller).into_future()).await, Ok(7));
        assert_eq!(self.caller.nodes().len(), 2, "{:?}", self.caller.nodes());
    }
}

/// A connection that was taken, and says nothing.
struct Silent {
    connection: Connection,
    _socket: Connector,
}

impl Silent {
    async fn connect(controller: &Controller, address: SocketAddr) -> Result<Self, ConnectError> {
        let token: JoinToken = controller.token().parse().unwrap();
        let socket = Connector::new(address).unwrap();
        let connection = Connection::Quic(socket.connect(address, &token, PATIENCE).await?);
        Ok(Self { connection, _socket: socket })
    }

    /// Why the controller closed the connection.
    async fn dismissal(&self) -> (CloseCode, String) {
        match soon(self.connection.closed()).await {
            ConnectionLost::ClosedByPeer { code, reason } => (code, reason),
            other => panic!("expected the controller to close the connection, got {other}"),
        }
    }
}

#[tokio::test]
async fn who_says_nothing_or_too_little_is_sent_away_in_time() {
    let controller =
        Controller::start_within(limits(|limits| limits.handshake_time = Duration::from_millis(300))).await;
    let others = Others::join(&controller).await;
    for bytes in [&[][..], &[StreamKind::Control as u8], &raw::opening(preamble::VERSION)] {
        let silent = Silent::connect(&controller, controller.address()).await.unwrap();
        let (mut send, _receive) = silent.connection.open_bi().await.unwrap();
        if !bytes.is_empty() {
            send.write(&mut [bytes.to_vec().into()]).await.unwrap();
        }
        let (code, reason) = silent.dismissal().await;
        assert_eq!((code, reason.as_str()), (CloseCode::Silent, "no valid hello within 300ms"));
    }
    others.notice_nothing().await;
}

/// Passes datagrams on from another address of loopback. What goes through it comes from there.
async fn relay(to: SocketAddr, tasks: &mut JoinSet<()>) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = front.local_addr().unwrap();
    tasks.spawn(async move {
        let (mut backs, mut answers, mut buffer) = (HashMap::new(), JoinSet::new(), vec![0; 1 << 16]);
        while let Ok((length, from)) = front.recv_from(&mut buffer).await {
            let back = match backs.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let back = Arc::new(UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap());
                    back.connect(to).await.unwrap();
                    let (front, answering) = (front.clone(), back.clone());
                    answers.spawn(async move {
                        let mut buffer = vec![0; 1 << 16];
                        while let Ok(length) = answering.recv(&mut buffer).await {
                            let _ = front.send_to(&buffer[..length], from).await;
                        }
                    });
                    new.insert(back)
                }
            };
            let _ = back.send(&buffer[..length]).await;
        }
    });
    address
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_takes_half_of_the_places_and_others_do_not_notice() {
    let controller = Controller::start_within(limits(|limits| {
        limits.handshakes = 8;
        limits.handshake_time = LONG;
    }));
    let controller = controller.await;
    let others = Others::join(&controller).await;
    let mut tasks = JoinSet::new();
    let from_elsewhere = relay(controller.address(), &mut tasks).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(Silent::connect(&controller, from_elsewhere).await.expect("there are places"));
    }
    for _ in 0..20 {
        let refused = Silent::connect(&controller, from_elsewhere).await.map(|_| ()).unwrap_err();
        assert_eq!(refused, ConnectError::Lost(ConnectionLost::Refused));
    }
    // From another address all is as ever.
    controller.node("third", []).await.stop().await;
    for _ in 0..4 {
        silent.push(Silent::connect(&controller, controller.address()).await.expect("there are places"));
    }
    match controller.builder("third").connect_timeout(Duration::from_millis(300)).start().await {
        Err(StartError::Join(JoinError::Limit { reason })) => assert!(reason.contains("at the moment"), "{reason}"),
        other => panic!("expected no place to be left, got {other:?}"),
    }
    others.notice_nothing().await;
    // It keeps trying, and there is room again.
    let third = tokio::spawn(controller.builder("third").start().into_future());
    silent.truncate(4);
    soon(third).await.unwrap().unwrap().stop().await;
}

#[tokio::test]
async fn nodes_that_come_too_fast_wait_for_their_turn() {
    const BURST: u32 = 5;
    let of_one_address = limits(|limits| {
        limits.connections_per_second_per_address = 1;
        limits.connections_burst_per_address = BURST;
    });
    let of_all = limits(|limits| {
        limits.connections_per_second = 1;
        limits.connections_burst = BURST;
    });
    for limits in [of_one_address, of_all] {
        let controller = Controller::start_within(limits).await;
        let began = Instant::now();
        let mut taken = Vec::new();
        let refused = loop {
            match Silent::connect(&controller, controller.address()).await {
                Ok(silent) => taken.push(silent),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, ConnectError::Lost(ConnectionLost::Refused));
        // One more for each second that it took.
        let most = u64::from(BURST) + began.elapsed().as_secs() + 1;
        assert!((u64::from(BURST)..=most).contains(&(taken.len() as u64)), "{} of at most {most}", taken.len());
        // A node tries again until it is its turn.
        drop(controller.node("a", []).await);
    }
}

#[tokio::test]
async fn a_node_shows_its_address_when_it_is_asked_to() {
    let controller = Controller::start_within(limits(|limits| limits.validate_above = 0)).await;
    Others::join(&controller).await.notice_nothing().await;
}

/// The first datagrams of clients that nobody answers.
async fn openings(count: usize) -> Vec<Vec<u8>> {
    let token = JoinToken::generate([7; 32]);
    let mut openings = Vec::new();
    for _ in 0..count {
        // One for each: what a client says again would come later.
        let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = nobody.local_addr().unwrap();
        let connector = Connector::new(address).unwrap();
        let mut buffer = vec![0; 1 << 16];
        let length = tokio::select! {
            _ = connector.connect(address, &token, PATIENCE) => panic!("nobody answers"),
            received = nobody.recv(&mut buffer) => received.unwrap(),
        };
        buffer.truncate(length);
        openings.push(buffer);
    }
    openings
}

/// Whether it is a Retry packet: a long header of the last kind.
fn is_retry(datagram: &[u8]) -> bool {
    datagram[0] & 0xf0 == 0xf0
}

#[tokio::test]
async fn a_flood_of_openings_is_answered_with_little_and_nothing_is_kept() {
    let controller = Controller::start_within(limits(|limits| {
        limits.validate_above = 2;
        limits.handshake_time = LONG;
    }));
    let controller = controller.await;
    let others = Others::join(&controller).await;
    let attacker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    attacker.connect(controller.address()).await.unwrap();
    let mut retries = 0;
    for opening in openings(20).await {
        attacker.send(&opening).await.unwrap();
        let mut answer = vec![0; 1 << 16];
        // The two that were taken answer again and again, until somebody says that he has heard them.
        let length = soon(attacker.recv(&mut answer)).await.unwrap();
        retries += u32::from(is_retry(&answer[..length]));
        assert!(length <= opening.len(), "an answer larger than its question");
    }
    // Each of the others has one answer.
    while retries < 18 {
        let mut answer = vec![0; 1 << 16];
        let length = soon(attacker.recv(&mut answer)).await.unwrap();
        retries += u32::from(is_retry(&answer[..length]));
    }
    assert_eq!(retries, 18);
    others.notice_nothing().await;
    drop(controller.node("third", []).await);
}

#[tokio::test]
async fn a_flood_of_openings_leaves_half_of_the_rate_to_those_who_show_their_addresses() {
    let controller = Controller::start_within(limits(|limits| {
        limits.connections_per_second = 1;
        limits.connections_burst = 20;
    }));
    let controller = controller.await;
    let others = Others::join(&controller).await;
    let attacker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for opening in openings(40).await {
        attacker.send_to(&opening, controller.address()).await.unwrap();
    }
    // Of the 20 the flood has 10 at most.
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(Silent::connect(&controller, controller.address()).await.expect("it has shown its address"));
    }
    others.notice_nothing().await;
    drop(controller.node("third", []).await);
}

#[tokio::test]
async fn datagrams_that_mean_nothing_change_nothing() {
    let controller = Controller::start().await;
    let others = Others::join(&controller).await;
    let attacker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (random, mut bytes) = (SystemRandom::new(), [0; 1_500]);
    let opening = openings(1).await.remove(0);
    for turn in 0..3_000_usize {
        random.fill(&mut bytes).unwrap();
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) % bytes.len();
        let datagram = match turn % 4 {
            0 => bytes[..length].to_vec(),
            // One that begins well: of QUIC's first version, with connection numbers of a random length.
            1 => [&[0xc0 | bytes[2], 0, 0, 0, 1], &bytes[..length]].concat(),
            // One that is cut off.
            2 => opening[..length.min(opening.len())].to_vec(),
            // One in which something is wrong.
            _ => {
                let mut wrong = opening.clone();
                let at = (length * 31) % wrong.len();
                wrong[at] ^= bytes[3] | 1;
                wrong
            }
        };
        attacker.send_to(&datagram, controller.address()).await.unwrap();
        if turn % 500 == 0 {
            others.notice_nothing().await;
        }
    }
    others.notice_nothing().await;
}

#[tokio::test]
async fn one_who_has_the_token_and_makes_no_sense_is_sent_away_alone() {
    let controller = Controller::start_within(limits(|limits| limits.message_size = 64 << 10)).await;
    let others = Others::join(&controller).await;
    let with_length = |kind: StreamKind, length: u64, rest: &[u8]| {
        let mut bytes = vec![kind as u8];
        varint::put(length, &mut bytes);
        bytes.extend_from_slice(rest);
        bytes
    };
    let huge = varint::MAX;
    let one_way = [
        ("an unknown kind of stream", vec![99]),
        ("a control stream one way", vec![StreamKind::Control as u8]),
        ("a huge frame on the lane", with_length(StreamKind::CallLane, huge, &[])),
        ("a frame of nothing", with_length(StreamKind::CallLane, 0, &[])),
        ("a frame that is no frame", with_length(StreamKind::CallLane, 4, &[200, 1, 2, 3])),
        ("a large frame that ends too early", with_length(StreamKind::LargeFrame, huge, &[0; 100])),
        ("a large frame above the limit", with_length(StreamKind::LargeFrame, 1 << 20, &vec![0; 1 << 20])),
    ];
    let both_ways = [
        ("an unknown kind of stream", vec![99]),
        ("a second control stream", vec![StreamKind::Control as u8]),
        ("a header of a huge length", with_length(StreamKind::Items, huge, &[])),
        ("a header that is no message", with_length(StreamKind::Items, 3, &[0xc1, 0xc1, 0xc1])),
        ("a header that ends too early", with_length(StreamKind::Items, 300, &[0x80])),
    ];
    let cases = one_way.map(|case| (true, case)).into_iter().chain(both_ways.map(|case| (false, case)));
    for (is_one_way, (what, bytes)) in cases {
        let hostile = Silent::connect(&controller, controller.address()).await.unwrap();
        let (mut control, _answers) = hostile.connection.open_bi().await.unwrap();
        control.write(&mut [raw::hello(&controller, "hostile", "evil").into()]).await.unwrap();
        let mut send = if is_one_way {
            hostile.connection.open_uni().await.unwrap()
        } else {
            hostile.connection.open_bi().await.unwrap().0
        };
        // It may be told before all of it is out.
        let _ = send.write(&mut [bytes.into()]).await;
        send.finish();
        let (code, reason) = hostile.dismissal().await;
        assert_eq!(code, CloseCode::Malformed, "{what}: {reason}");
        soon(async {
            while others.caller.nodes().len() > 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        others.notice_nothing().await;
    }
}
