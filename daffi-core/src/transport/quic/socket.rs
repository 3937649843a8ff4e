//! A UDP socket that wakes its thread for what came in, and for nothing else.
//!
//! tokio's own socket also asks to be told when it can be written to. On Linux that is an event after each datagram that left
//! the send buffer, on loopback within the very call that sent it: a thread that slept is woken, one that worked goes around once
//! more, in either case for nothing. This one asks only once a send was refused. And it takes a read that brought less than it
//! had room for to have emptied the socket, where tokio's asks once more to be told so.

use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
    time::Sleep,
};

use crate::transport::{after_turn, assists};

/// Whether the system reads several datagrams at a time, until there is none.
const READS_UNTIL_EMPTY: bool = cfg!(target_os = "linux");

/// Up to how many bytes a transmission is copied, so that it can be sent when no lock is held. A frame alone is much smaller, a
/// datagram on a network too; those of 64 KiB are bulk, which is not what threads assist with.
const SMALL: usize = 2 << 10;

/// How many reads may fail in a row, each for a reason of one datagram's.
const BAD_READS: usize = 64;

/// How long to wait when the system is out of something, such as file descriptors, before it is asked again.
const SHORTAGE: Duration = Duration::from_millis(20);

/// A socket that is registered for reading.
#[derive(Debug)]
pub(super) struct ReadSocket {
    /// For what outlives a call.
    own: Weak<Self>,
    io: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    /// How often a send was refused for lack of room.
    refused: AtomicU64,
    runtime: Handle,
}

impl ReadSocket {
    /// Registers a socket with this runtime.
    pub(super) fn new(socket: UdpSocket, runtime: &Handle) -> io::Result<Arc<Self>> {
        // Makes it non-blocking, too.
        let state = UdpSocketState::new((&socket).into())?;
        let io = register(socket, Interest::READABLE, runtime)?;
        let runtime = runtime.clone();
        Ok(Arc::new_cyclic(|own| Self { own: own.clone(), io, state, refused: AtomicU64::new(0), runtime }))
    }
}

impl AsyncUdpSocket for ReadSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        let seen = self.refused.load(Ordering::Relaxed);
        Box::pin(Room { socket: self, seen, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // To send is to wake the receiver, which on a busy machine takes this thread's place there and then. It had better not
        // hold the connection's lock meanwhile, for the I/O thread would wait for that.
        if transmit.contents.len() <= SMALL
            && assists()
            && let Some(socket) = self.own.upgrade()
        {
            let Transmit { destination, ecn, segment_size, src_ip, .. } = *transmit;
            let contents = transmit.contents.to_vec();
            after_turn(move || {
                let transmit = Transmit { destination, ecn, contents: &contents, segment_size, src_ip };
                // Without room it is lost, as on a busy network.
                let _ = socket.state.send(socket.io.get_ref().into(), &transmit);
            });
            return Ok(());
        }
        let sent = self.state.send(self.io.get_ref().into(), transmit);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..BAD_READS {
            let mut readable = ready!(self.io.poll_read_ready(cx))?;
            match self.state.recv(self.io.get_ref().into(), bufs, meta) {
                Ok(count) => {
                    if READS_UNTIL_EMPTY && count < bufs.len() {
                        // What comes from now on is a new event, which this does not clear.
                        readable.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => readable.clear_ready(),
                // Of one datagram, not of the socket: the next may be sound.
                Err(_) => {}
            }
        }
        // The system is out of something. Neither the connections are to end for it, nor is this to spin until it has some again.
        let waker = cx.waker().clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(SHORTAGE).await;
            waker.wake();
        });
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

/// Has this runtime tell what happens to a socket.
fn register(socket: UdpSocket, interest: Interest, runtime: &Handle) -> io::Result<AsyncFd<UdpSocket>> {
    let _runtime = runtime.enter();
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that may change their descriptor, which std's does not"
    )]
    AsyncFd::with_interest(socket, interest)
}

/// Waits for room in the send buffer, once a send was refused.
#[derive(Debug)]
struct Room {
    socket: Arc<ReadSocket>,
    /// How many refusals this has waited for.
    seen: u64,
    waiting: Option<Waiting>,
}

/// What tells that there is room.
#[derive(Debug)]
enum Waiting {
    /// The same socket, registered for writing.
    Event(AsyncFd<UdpSocket>),
    /// There is no file descriptor for that at the moment: time.
    Time(Pin<Box<Sleep>>),
}

impl Waiting {
    fn on(socket: &ReadSocket) -> Self {
        let registered = socket
            .io
            .get_ref()
            .try_clone()
            .and_then(|socket_too| register(socket_too, Interest::WRITABLE, &socket.runtime));
        match registered {
            // If there is room by now, this is an event at once.
            Ok(registered) => Self::Event(registered),
            Err(_) => Self::some_time(socket),
        }
    }

    fn some_time(socket: &ReadSocket) -> Self {
        let _runtime = socket.runtime.enter();
        Self::Time(Box::pin(tokio::time::sleep(SHORTAGE)))
    }
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let refused = self.socket.refused.load(Ordering::Relaxed);
        if self.seen != refused {
            self.seen = refused;
            self.waiting = Some(Waiting::on(&self.socket));
        }
        match &mut self.waiting {
            Some(Waiting::Event(registered)) => {
                let _room = ready!(registered.poll_write_ready(cx))?;
            }
            Some(Waiting::Time(passes)) => ready!(passes.as_mut().poll(cx)),
            None => {}
        }
        self.waiting = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::Ipv4Addr, task::Waker};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn socket() -> Arc<ReadSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        ReadSocket::new(socket, &Handle::current()).unwrap()
    }

    async fn receive(socket: &ReadSocket, room: usize) -> usize {
        let (mut bytes, mut meta) = (vec![[0; 100]; room], vec![RecvMeta::default(); room]);
        let mut bufs: Vec<_> = bytes.iter_mut().map(|bytes| IoSliceMut::new(bytes)).collect();
        let received = poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut meta));
        tokio::time::timeout(PATIENCE, received).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn every_datagram_is_received_however_the_reads_fall() {
        let receiver = socket();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = receiver.local_addr().unwrap();
        for room in [1, 2, 3, 32] {
            for burst in [1, 2, 3, 7] {
                for _ in 0..burst {
                    sender.send_to(b"x", to).unwrap();
                }
                let mut received = 0;
                while received < burst {
                    received += receive(&receiver, room).await;
                }
                assert_eq!(received, burst);
            }
        }
    }

    #[tokio::test]
    async fn a_refused_send_waits_for_room_once() {
        let socket = socket();
        let mut poller = socket.clone().create_io_poller();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(poller.as_mut().poll_writable(&mut cx).is_ready());
        socket.refused.fetch_add(1, Ordering::Relaxed);
        let refused = poller.as_mut().poll_writable(&mut cx);
        assert!(refused.is_pending(), "nothing has told yet that there is room");
        let room = poll_fn(|cx| poller.as_mut().poll_writable(cx));
        tokio::time::timeout(PATIENCE, room).await.unwrap().unwrap();
        assert!(poller.as_mut().poll_writable(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn without_a_descriptor_to_wait_with_it_waits_for_time() {
        let socket = socket();
        let waiting = Some(Waiting::some_time(&socket));
        let mut poller = Box::pin(Room { socket: socket.clone(), seen: 0, waiting });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(poller.as_mut().poll_writable(&mut cx).is_pending());
        let room = poll_fn(|cx| poller.as_mut().poll_writable(cx));
        tokio::time::timeout(PATIENCE, room).await.unwrap().unwrap();
        assert!(poller.as_mut().poll_writable(&mut cx).is_ready(), "it waits once");
    }
}
