//! A proxy for UDP that makes a bad path of a good one, in a process of its own: what it does to a packet is told by random numbers that
//! a seed determines. It ends when its stdin does, and so with the test that started it.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    process::ExitStatus,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    roles::say,
    system::{Process, System},
};

/// What becomes of packets, each way.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Path {
    /// How long each takes at least.
    pub(crate) delay: Duration,
    /// By how much it may take longer: those that are sent closer together than that overtake each other.
    pub(crate) jitter: Duration,
    /// The probability that one is lost.
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

/// What became of packets up to now.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Packets {
    pub(crate) lost: u64,
    pub(crate) carried: u64,
    /// How many of those that were carried came later than one that was sent after them.
    pub(crate) overtaken: u64,
}

/// From clients to the controller, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Direction {
    There,
    Back,
}

impl std::ops::Add for Packets {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let [lost, carried] = [self.lost + other.lost, self.carried + other.carried];
        Self { lost, carried, overtaken: self.overtaken + other.overtaken }
    }
}

/// The process, as its test sees it. Killed when dropped.
pub(crate) struct Proxy {
    process: Process,
    address: SocketAddr,
}

impl Proxy {
    /// One between its clients and a system's controller.
    pub(crate) async fn start(system: &mut System, path: Path) -> Self {
        let mut process = system.launch("proxy", "proxy", false);
        let path = serde_json::to_string(&path).expect("it is plain data");
        let address = process.ask(&path).await.parse().expect("an address");
        Self { process, address }
    }

    /// Where clients reach it.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What became of packets, both ways.
    pub(crate) async fn packets(&mut self) -> Packets {
        serde_json::from_str(&self.process.ask("packets").await).expect("it tells")
    }

    /// From now on what clients send comes from another address, and nothing reaches them at the old one, as when a machine changes
    /// its network.
    pub(crate) async fn move_away(&mut self) {
        assert_eq!(self.process.ask("move").await, "moved");
    }

    /// From now on no packet goes this way, while those of the other way do; or all go again.
    pub(crate) async fn block(&mut self, blocked: Option<Direction>) {
        let blocked = serde_json::to_string(&blocked).expect("it is plain data");
        assert_eq!(self.process.ask(&blocked).await, "done");
    }

    /// Waits until it has ended, because nobody holds its stdin any more.
    pub(crate) async fn stop(self) -> ExitStatus {
        self.process.stop().await
    }
}

/// Is the proxy to this address until there are no more commands. The first line is the path.
pub(crate) async fn play(target: SocketAddr, mut commands: mpsc::UnboundedReceiver<String>) {
    let Some(path) = commands.recv().await else { return };
    let relay = Arc::new(Relay::new(target, serde_json::from_str(&path).expect("a path")).await);
    tokio::spawn(carry_there(relay.clone()));
    say(&format!("answer {}", relay.near.local_addr().expect("it is bound")));
    while let Some(command) = commands.recv().await {
        let answer = match command.as_str() {
            "packets" => serde_json::to_string(&(relay.there.packets() + relay.back.packets())).expect("plain data"),
            "move" => {
                relay.far.lock().expect("nobody panics with it").clear();
                "moved".into()
            }
            "stop" => "stopped".into(),
            blocked => {
                let blocked: Option<Direction> = serde_json::from_str(blocked).expect("a command");
                relay.there.is_blocked.store(blocked == Some(Direction::There), Ordering::Relaxed);
                relay.back.is_blocked.store(blocked == Some(Direction::Back), Ordering::Relaxed);
                "done".into()
            }
        };
        say(&format!("answer {answer}"));
    }
}

struct Relay {
    target: SocketAddr,
    near: Arc<UdpSocket>,
    far: Mutex<HashMap<SocketAddr, Far>>,
    there: Way,
    back: Way,
}

/// From where a client's packets go on.
struct Far {
    socket: Arc<UdpSocket>,
    /// Carries what comes back, until this is dropped.
    _back: JoinSet<()>,
}

/// The largest UDP packet.
const PACKET: usize = 1 << 16;

impl Relay {
    async fn new(target: SocketAddr, path: Path) -> Self {
        let [there, back] = [path.seed, !path.seed].map(|seed| Way::new(Path { seed, ..path }));
        Self { target, near: socket(target.ip()).await, far: Mutex::default(), there, back }
    }

    async fn far(self: &Arc<Self>, client: SocketAddr) -> Arc<UdpSocket> {
        let known = self.far.lock().expect("nobody panics with it").get(&client).map(|far| far.socket.clone());
        if let Some(known) = known {
            return known;
        }
        let (socket, mut back) = (socket(self.target.ip()).await, JoinSet::new());
        back.spawn(carry_back(self.clone(), socket.clone(), client));
        let far = Far { socket: socket.clone(), _back: back };
        self.far.lock().expect("nobody panics with it").insert(client, far);
        socket
    }
}

async fn socket(ip: IpAddr) -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind((ip, 0)).await.expect("there is a free port"))
}

async fn carry_there(relay: Arc<Relay>) {
    let mut buffer = vec![0; PACKET];
    loop {
        // An error tells of a client that is gone.
        let Ok((length, client)) = relay.near.recv_from(&mut buffer).await else { continue };
        let from = relay.far(client).await;
        relay.there.carry(Packet { bytes: buffer[..length].to_vec(), from, to: relay.target });
    }
}

async fn carry_back(relay: Arc<Relay>, far: Arc<UdpSocket>, client: SocketAddr) {
    let mut buffer = vec![0; PACKET];
    loop {
        let Ok(length) = far.recv(&mut buffer).await else { continue };
        relay.back.carry(Packet { bytes: buffer[..length].to_vec(), from: relay.near.clone(), to: client });
    }
}

struct Packet {
    bytes: Vec<u8>,
    from: Arc<UdpSocket>,
    to: SocketAddr,
}

/// One way of the two.
struct Way {
    is_blocked: AtomicBool,
    sender: mpsc::UnboundedSender<Packet>,
    packets: watch::Receiver<Packets>,
}

impl Way {
    fn new(path: Path) -> Self {
        let ((sender, sent), (counts, packets)) = (mpsc::unbounded_channel(), watch::channel(Packets::default()));
        tokio::spawn(travel(Fates::new(path), sent, counts));
        Self { is_blocked: AtomicBool::new(false), sender, packets }
    }

    fn carry(&self, packet: Packet) {
        if !self.is_blocked.load(Ordering::Relaxed) {
            // Whoever takes it lives as long as the process.
            let _ = self.sender.send(packet);
        }
    }

    fn packets(&self) -> Packets {
        *self.packets.borrow()
    }
}

/// Sends each packet on when its time has come.
async fn travel(mut fates: Fates, mut sent: mpsc::UnboundedReceiver<Packet>, counts: watch::Sender<Packets>) {
    // By the time at which they arrive, and their number.
    let mut on_the_way = BTreeMap::new();
    let (mut number, mut newest) = (0, 0);
    loop {
        let due = on_the_way.keys().next().map(|(due, _)| *due);
        let arrival = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(packet) = sent.recv() => {
                number += 1;
                match fates.draw() {
                    Some(takes) => drop(on_the_way.insert((Instant::now() + takes, number), packet)),
                    None => counts.send_modify(|packets| packets.lost += 1),
                }
            }
            () = arrival => {
                let Some(((_, number), Packet { bytes, from, to })) = on_the_way.pop_first() else { continue };
                counts.send_modify(|packets| {
                    packets.carried += 1;
                    packets.overtaken += u64::from(number < newest);
                });
                newest = newest.max(number);
                let _ = from.send_to(&bytes, to).await;
            }
        }
    }
}

/// What becomes of one packet after the other.
struct Fates {
    path: Path,
    chance: fastrand::Rng,
}

impl Fates {
    fn new(path: Path) -> Self {
        Self { path, chance: fastrand::Rng::with_seed(path.seed) }
    }

    /// How long the next one takes; nothing if it is lost.
    fn draw(&mut self) -> Option<Duration> {
        // As many numbers for one that is lost: what becomes of the hundredth packet is always the same.
        let (loss, jitter) = (self.chance.f64(), self.chance.f64());
        (loss >= self.path.loss).then(|| self.path.delay + self.path.jitter.mul_f64(jitter))
    }
}

mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::system::limited;

    #[tokio::test]
    async fn a_seed_determines_what_becomes_of_a_packet_and_a_proxy_ends_with_its_stdin() {
        limited(async {
            let (path, another) = (lossy(1), lossy(2));
            assert_eq!(fates(path), fates(path));
            assert_ne!(fates(path), fates(another));
            for path in [path, another] {
                let expected: Vec<_> =
                    (0..).zip(fates(path)).filter_map(|(number, fate)| fate.and(Some(number))).collect();
                assert_eq!(carried(path).await, expected);
            }
        })
        .await;
    }

    const PACKETS: u64 = 200;

    fn lossy(seed: u64) -> Path {
        Path { delay: Duration::ZERO, jitter: Duration::from_millis(2), loss: 0.05, seed }
    }

    /// How long each packet is to take; nothing for those that are to be lost.
    fn fates(path: Path) -> Vec<Option<Duration>> {
        let mut fates = Fates::new(path);
        (0..PACKETS).map(|_| fates.draw()).collect()
    }

    /// Which packets a proxy carries.
    async fn carried(path: Path) -> Vec<u64> {
        let [target, client] = [socket(Ipv4Addr::LOCALHOST.into()).await, socket(Ipv4Addr::LOCALHOST.into()).await];
        let mut proxy = Proxy::start(&mut System::at(target.local_addr().unwrap()), path).await;
        let (mut carried, mut buffer) = (Vec::new(), [0; 8]);
        for number in 0..PACKETS {
            client.send_to(&number.to_be_bytes(), proxy.address()).await.unwrap();
            let packets = loop {
                let packets = proxy.packets().await;
                if packets.lost + packets.carried > number {
                    break packets;
                }
            };
            assert_eq!(packets.overtaken, 0, "there was but one at a time");
            if packets.carried > carried.len() as u64 {
                assert_eq!(target.recv(&mut buffer).await.unwrap(), buffer.len());
                carried.push(u64::from_be_bytes(buffer));
            }
        }
        assert!(proxy.stop().await.success());
        carried
    }
}
