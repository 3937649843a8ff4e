//! A proxy for UDP that makes a bad path of a good one: what it does to a packet is told by random numbers that a seed determines.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet};

/// What becomes of packets, each way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    /// How long each takes at least.
    pub(crate) delay: Duration,
    /// By how much it may take longer: those that are sent closer together than that overtake each other.
    pub(crate) jitter: Duration,
    /// The probability that one is lost.
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

/// Sends packets on to a controller and back. Clones share it, and dropping the last ends it.
#[derive(Clone)]
pub(crate) struct Proxy {
    inner: Arc<Inner>,
    address: SocketAddr,
    _task: Arc<JoinSet<()>>,
}

struct Inner {
    path: Path,
    target: SocketAddr,
    near: UdpSocket,
    /// The socket from which a client's packets go on.
    far: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
    chance: Mutex<fastrand::Rng>,
    lost: AtomicU64,
    carried: AtomicU64,
}

/// The largest UDP packet.
const PACKET: usize = 1 << 16;

impl Proxy {
    /// Listens on a free port of the address of `target`, for its clients.
    pub(crate) async fn start(target: SocketAddr, path: Path) -> Self {
        let near = socket(target.ip()).await;
        let address = near.local_addr().expect("it is bound");
        let inner = Arc::new(Inner {
            path,
            target,
            near,
            far: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(path.seed)),
            lost: AtomicU64::new(0),
            carried: AtomicU64::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(carry_there(inner.clone()));
        Self { inner, address, _task: Arc::new(task) }
    }

    /// Where clients reach it.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many packets it has lost, and how many it has carried.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.inner.lost.load(Ordering::Relaxed), self.inner.carried.load(Ordering::Relaxed))
    }

    /// From now on what clients send comes from another address, as when a machine changes its network.
    pub(crate) fn move_away(&self) {
        self.inner.far.lock().expect("nobody panics with it").clear();
    }
}

impl Inner {
    /// How long the next packet takes; nothing if it is lost.
    fn chance(&self) -> Option<Duration> {
        let mut chance = self.chance.lock().expect("nobody panics with it");
        if chance.f64() < self.path.loss {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.carried.fetch_add(1, Ordering::Relaxed);
        Some(self.path.delay + self.path.jitter.mul_f64(chance.f64()))
    }
}

async fn socket(ip: IpAddr) -> UdpSocket {
    UdpSocket::bind((ip, 0)).await.expect("there is a free port")
}

async fn carry_there(inner: Arc<Inner>) {
    let (mut buffer, mut tasks) = (vec![0; PACKET], JoinSet::new());
    loop {
        let received = tokio::select! {
            received = inner.near.recv_from(&mut buffer) => received,
            Some(_) = tasks.join_next() => continue,
        };
        // An error tells of a client that is gone.
        let Ok((length, client)) = received else { continue };
        let known = inner.far.lock().expect("nobody panics with it").get(&client).cloned();
        let far = match known {
            Some(far) => far,
            None => {
                let far = Arc::new(socket(inner.target.ip()).await);
                inner.far.lock().expect("nobody panics with it").insert(client, far.clone());
                tasks.spawn(carry_back(inner.clone(), far.clone(), client));
                far
            }
        };
        if let Some(takes) = inner.chance() {
            let (packet, inner) = (buffer[..length].to_vec(), inner.clone());
            tasks.spawn(async move {
                tokio::time::sleep(takes).await;
                let _ = far.send_to(&packet, inner.target).await;
            });
        }
    }
}

async fn carry_back(inner: Arc<Inner>, far: Arc<UdpSocket>, client: SocketAddr) {
    let (mut buffer, mut tasks) = (vec![0; PACKET], JoinSet::new());
    loop {
        let received = tokio::select! {
            received = far.recv(&mut buffer) => received,
            Some(_) = tasks.join_next() => continue,
        };
        let Ok(length) = received else { continue };
        if let Some(takes) = inner.chance() {
            let (packet, inner) = (buffer[..length].to_vec(), inner.clone());
            tasks.spawn(async move {
                tokio::time::sleep(takes).await;
                let _ = inner.near.send_to(&packet, client).await;
            });
        }
    }
}
