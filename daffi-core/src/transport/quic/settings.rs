//! The settings of sockets, endpoints and connections, and why each is what it is.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};

use super::{ceiling::CappedConfig, runtime::AssistedRuntime};
use crate::wire::limits;

/// The largest UDP payload that IPv4 allows.
const LOOPBACK_DATAGRAM: u16 = 65_507;

/// The largest UDP payload that this endpoint takes; quinn's limit. It only sizes receive buffers.
const MAX_DATAGRAM: u16 = 65_527;

/// The socket buffers to ask for. With quinn's large datagrams 1 to 4 MiB were measured equal, the system's default of 208
/// KiB loses bursts. The kernel may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// How much may be on its way over loopback at first. quinn's default of 14,720 bytes is less than one large datagram, and
/// nothing would ever be sent.
const LOOPBACK_WINDOW: u64 = 1 << 20;

/// A round trip over loopback before the first is measured: a lost first datagram is sent again after 3 times this.
const LOOPBACK_RTT: Duration = Duration::from_millis(20);

/// After how long over loopback larger datagrams are tried again, once quinn has gone back to 1,200 bytes. It does so when several lots of
/// large ones in a row are lost, which over loopback means that buffers are full, and nothing about their size.
const LARGE_AGAIN: Duration = Duration::from_millis(250);

/// By how much a size has to be larger to be tried: the largest is tried as the last in any case.
const LARGER: u16 = 4 << 10;

/// How many streams of each direction a peer may have open at a time. An idle connection costs the router 39 kB at 100,
/// 166 kB at 1,024.
const MAX_STREAMS: u32 = 128;

/// How much a peer may send on one stream before it is read. Windows of 4 MiB and more were measured a third slower on
/// loopback; half a mebibyte would do there, and 1 MiB keeps 80 MB/s up over 12 ms.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for all streams of a connection together. The receiving side reads at once, so this bounds memory rather than
/// speed.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// How much a peer may send before it was admitted and that is not read yet: the controller reads the secret first, and nothing
/// more unless it is right.
const STRANGER_WINDOW: u32 = 64 << 10;

/// How much may be sent and not yet acknowledged on a connection.
const SEND_WINDOW: u64 = 8 << 20;

pub(super) fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let buffers = socket2::SockRef::from(&socket);
    // Smaller buffers work, only slower: what the kernel does not grant is no error.
    let _ = buffers.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = buffers.set_send_buffer_size(SOCKET_BUFFER);
    Ok(socket)
}

pub(super) fn endpoint(
    socket: UdpSocket,
    mut config: EndpointConfig,
    server: Option<ServerConfig>,
) -> io::Result<Endpoint> {
    config.max_udp_payload_size(MAX_DATAGRAM).map_err(io::Error::other)?;
    Endpoint::new(config, server, socket, AssistedRuntime::current())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Listening {
        /// Of which length it ends the connection.
        silence: Duration,
    },
    Connecting,
}

impl Side {
    /// After how much of it the connection ends, if the other side bears no less. None at all would stand for any to QUIC.
    fn silence(self) -> Duration {
        match self {
            Self::Connecting => limits::MAX_SILENCE,
            Self::Listening { silence } => silence.clamp(Duration::from_millis(1), limits::MAX_SILENCE),
        }
    }

    /// How often it asks whether the other one is there. The node asks often enough for both, unless the controller bears less than most.
    fn asks_every(self) -> Option<Duration> {
        match self {
            Self::Connecting => Some(limits::KEEP_ALIVE),
            Self::Listening { .. } => {
                Some(self.silence()).filter(|silence| *silence < limits::SILENCE).map(|silence| silence / 3)
            }
        }
    }
}

pub(super) fn transport(peer: IpAddr, side: Side) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let (both_ways, one_way, window) = match side {
        // The controller is whom the node connected to, and showed that it is.
        Side::Connecting => (MAX_STREAMS, MAX_STREAMS, CONNECTION_WINDOW),
        // The control stream, and nothing else.
        Side::Listening { .. } => (1, 0, STRANGER_WINDOW),
    };
    config
        .max_concurrent_bidi_streams(both_ways.into())
        .max_concurrent_uni_streams(one_way.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(window.into())
        .send_window(SEND_WINDOW)
        // Datagram frames are not used: 23 to 42 % of them were lost in measurements.
        .datagram_receive_buffer_size(None)
        // The shorter time of both sides holds for both.
        .max_idle_timeout(Some(VarInt::from_u32(side.silence().as_millis() as u32).into()))
        // One side's pings keep both sides' timers from expiring.
        .keep_alive_interval(side.asks_every());
    if peer.is_loopback() {
        let mut congestion = quinn::congestion::CubicConfig::default();
        congestion.initial_window(LOOPBACK_WINDOW);
        let mut sizes = MtuDiscoveryConfig::default();
        sizes.upper_bound(LOOPBACK_DATAGRAM).minimum_change(LARGER).black_hole_cooldown(LARGE_AGAIN);
        config
            .congestion_controller_factory(Arc::new(CappedConfig(congestion.into())))
            .initial_mtu(LOOPBACK_DATAGRAM)
            .mtu_discovery_config(Some(sizes))
            // Datagrams times segments must stay below 64 KiB, or the connection falls back to 1,200 bytes.
            .enable_segmentation_offload(false)
            .initial_rtt(LOOPBACK_RTT);
    }
    Arc::new(config)
}

/// See [`Connection::admit`](crate::transport::Connection::admit).
pub(in crate::transport) fn admit(connection: &quinn::Connection, streams: u32) {
    connection.set_receive_window(CONNECTION_WINDOW.into());
    connection.set_max_concurrent_bi_streams(streams.max(MAX_STREAMS).into());
    connection.set_max_concurrent_uni_streams(MAX_STREAMS.into());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::transport::{
        Connection, Identity, JoinToken,
        quic::{
            Connector, Listener,
            pair::{LOCALHOST, PATIENCE, pair},
        },
    };

    #[tokio::test]
    async fn streams_carry_bytes_with_large_datagrams() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let (node, controller) = pair(&identity, &token).await;
        let (node, controller) = (node.unwrap(), controller.unwrap());
        let sent = Bytes::from(vec![7; 3 << 20]);
        let send = async {
            let mut stream = node.open_uni().await.unwrap();
            stream.write(&mut [sent.clone()]).await.unwrap();
            stream.finish();
            let _ = stream.settled().await;
        };
        let receive = async {
            let mut stream = controller.accept_uni().await.unwrap();
            let (mut chunks, mut length) = (Vec::new(), 0);
            while stream.read(&mut chunks).await.unwrap() {
                length += chunks.drain(..).map(|chunk| chunk.len()).sum::<usize>();
            }
            length
        };
        let ((), length) = tokio::join!(send, receive);
        assert_eq!(length, sent.len());
        let Connection::Quic(connection) = &node else { unreachable!("a QUIC pair") };
        assert_eq!(connection.stats().path.current_mtu, LOOPBACK_DATAGRAM);
    }

    const WIDE: usize = MAX_DATAGRAM as usize;
    const NARROW: usize = 1_200;

    /// A way to a controller on which datagrams larger than the width are lost, and all either way if it is 0; and where it begins.
    fn way(controller: SocketAddr, width: Arc<AtomicUsize>) -> SocketAddr {
        let (near, far) = (bound(), bound());
        let address = near.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut there, mut back) = (vec![0; MAX_DATAGRAM.into()], vec![0; MAX_DATAGRAM.into()]);
            let mut node = address;
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut there) => {
                        node = from;
                        if length <= width.load(Ordering::Relaxed) {
                            far.send_to(&there[..length], controller).await.unwrap();
                        }
                    }
                    Ok((length, _)) = far.recv_from(&mut back) => {
                        if width.load(Ordering::Relaxed) > 0 {
                            near.send_to(&back[..length], node).await.unwrap();
                        }
                    }
                }
            }
        });
        address
    }

    fn bound() -> tokio::net::UdpSocket {
        let socket = socket(LOCALHOST).unwrap();
        socket.set_nonblocking(true).unwrap();
        tokio::net::UdpSocket::from_std(socket).unwrap()
    }

    #[tokio::test]
    async fn datagrams_are_large_again_after_large_ones_were_lost() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let mut listener = Listener::bind(LOCALHOST, &identity).unwrap();
        let width = Arc::new(AtomicUsize::new(WIDE));
        let address = way(listener.local_addr().unwrap(), width.clone());
        let accept = async { listener.accept().await.unwrap().establish(limits::SILENCE).await };
        let connector = Connector::new(address).unwrap();
        let (connected, accepted) = tokio::join!(connector.connect(address, &token, PATIENCE), accept);
        let (connection, controller) = (connected.unwrap(), Connection::Quic(accepted.unwrap()));
        controller.admit(0);
        let node = Connection::Quic(connection.clone());
        let send = async {
            let mut stream = node.open_uni().await.unwrap();
            loop {
                stream.write(&mut [Bytes::from_static(&[7; 1 << 20])]).await.unwrap();
            }
        };
        let receive = async {
            let (mut stream, mut chunks) = (controller.accept_uni().await.unwrap(), Vec::new());
            while stream.read(&mut chunks).await.unwrap() {
                chunks.clear();
            }
        };
        let sizes = async {
            let mut turn = tokio::time::interval(Duration::from_millis(5));
            let mut size = async || {
                turn.tick().await;
                connection.stats().path.current_mtu
            };
            width.store(NARROW, Ordering::Relaxed);
            while size().await == LOOPBACK_DATAGRAM {}
            width.store(WIDE, Ordering::Relaxed);
            while size().await < LOOPBACK_DATAGRAM {}
        };
        tokio::select! {
            () = send => unreachable!("it sends for ever"),
            () = receive => panic!("the stream ended"),
            sized = tokio::time::timeout(PATIENCE, sizes) => sized.expect("datagrams are large again"),
        }
    }

    #[tokio::test]
    async fn both_sides_bear_as_much_silence_as_the_listening_one_says() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let mut listener = Listener::bind(LOCALHOST, &identity).unwrap();
        let width = Arc::new(AtomicUsize::new(WIDE));
        let mut pairs = Vec::new();
        for silence in [1_000, 10_000] {
            let address = way(listener.local_addr().unwrap(), width.clone());
            let accept = async {
                let incoming = listener.accept().await.unwrap();
                incoming.establish(Duration::from_millis(silence)).await
            };
            let connector = Connector::new(address).unwrap();
            let (node, controller) = tokio::join!(connector.connect(address, &token, PATIENCE), accept);
            pairs.push((node.unwrap(), controller.unwrap(), connector));
        }
        let [(node, controller, _), (patient_node, patient_controller, _)] = &pairs[..] else {
            unreachable!("two pairs")
        };
        // Whoever says nothing is asked in time.
        tokio::time::sleep(limits::SILENCE).await;
        assert_eq!((node.close_reason(), controller.close_reason()), (None, None));

        width.store(0, Ordering::Relaxed);
        let start = tokio::time::Instant::now();
        assert_eq!(controller.closed().await, quinn::ConnectionError::TimedOut);
        assert_eq!(node.closed().await, quinn::ConnectionError::TimedOut);
        // It begins anew with the node's first word that gets no answer.
        assert!(start.elapsed() < limits::SILENCE, "{:?}", start.elapsed());
        tokio::time::sleep_until(start + limits::SILENCE + limits::KEEP_ALIVE).await;
        assert_eq!((patient_node.close_reason(), patient_controller.close_reason()), (None, None));
        width.store(WIDE, Ordering::Relaxed);
        let (opened, accepted) = tokio::join!(
            async {
                let mut stream = patient_node.open_bi().await.unwrap();
                stream.0.write_all(b"word").await.unwrap();
                stream
            },
            tokio::time::timeout(PATIENCE, patient_controller.accept_bi()),
        );
        drop((opened, accepted.unwrap().unwrap()));
    }

    #[tokio::test]
    async fn a_stranger_has_one_stream_and_little_room() {
        let identity = Identity::generate().unwrap();
        let token = JoinToken::generate(identity.fingerprint());
        let mut listener = Listener::bind(LOCALHOST, &identity).unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async { listener.accept().await.unwrap().establish(limits::SILENCE).await };
        let connector = Connector::new(address).unwrap();
        let (connected, accepted) = tokio::join!(connector.connect(address, &token, PATIENCE), accept);
        let (node, controller) = (Connection::Quic(connected.unwrap()), Connection::Quic(accepted.unwrap()));
        let (mut control, _answers) = node.open_bi().await.unwrap();
        let (mut second, mut third) = (Box::pin(node.open_bi()), Box::pin(node.open_uni()));
        let mut sent = [Bytes::from(vec![7; STRANGER_WINDOW as usize + 1])];
        {
            let mut write = Box::pin(control.write(&mut sent));
            // All that it may send arrives, and then it waits.
            let (_, mut received) = tokio::select! {
                _ = &mut write => panic!("more than the window was sent before anything was read"),
                accepted = controller.accept_bi() => accepted.unwrap(),
            };
            assert!(futures_util::poll!(&mut second).is_pending() && futures_util::poll!(&mut third).is_pending());
            controller.admit(0);
            let mut chunks = Vec::new();
            let (written, _) = tokio::join!(write, received.read(&mut chunks));
            written.unwrap();
        }
        let others = async { (second.await.unwrap(), third.await.unwrap()) };
        tokio::time::timeout(PATIENCE, others).await.unwrap();
    }
}
