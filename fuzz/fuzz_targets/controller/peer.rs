//! The peers that say what they like. They know the token: what a stranger may say ends with it.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use daffi_core::{
    link::Reader,
    transport::{CloseCode, Connection, GiveUp, RecvStream, SendStream, memory},
    wire::{
        StreamKind,
        batch::{Batch as WireBatch, Builder, fragments},
        control::{ToController, ToNode},
        credit::Credit,
        failure::Failure,
        frame::{self, Ask, Head, Status},
        item_stream::{Answer, Awaited, Mark, Newcomers, ReceiverEnd, Resumed, Standing, StreamEnd, StreamRequest},
        limits::{FRAGMENT, LANE_FRAME},
        message,
        offer::Offer,
        position::Position,
        preamble, varint,
    },
};
use tokio::time::timeout;

use crate::{
    CONTROLLER, TOKEN,
    script::{Act, Batch, Control, Going, Lane, Place, Reply, Request},
};

/// Who does not get rid of something for so long does not get rid of it.
const MOMENT: Duration = Duration::from_millis(2);

const NAMES: [&str; 6] = ["a", "b", "mallory", "eve", "", "no name"];
const CALLBACKS: [&str; 10] = ["double", "echo", "never", "take", "sum", "count", "own", "other", "", "no name"];

/// Three peers, each with a link of its own.
pub(crate) struct Peers<'a> {
    network: &'a memory::Network,
    peers: BTreeMap<u8, Peer>,
}

struct Peer {
    connection: Connection,
    control: Option<SendStream>,
    lane: Option<SendStream>,
    /// The last item stream that it opened, and how many items it has sent.
    out: Option<(SendStream, RecvStream, u64)>,
    /// The last that was opened to it.
    came: Option<(SendStream, RecvStream)>,
    /// What it was sent and does not read.
    unread: Vec<RecvStream>,
}

impl<'a> Peers<'a> {
    pub(crate) const fn new(network: &'a memory::Network) -> Self {
        Self { network, peers: BTreeMap::new() }
    }

    /// One of them does something. What it cannot do it leaves.
    pub(crate) async fn act(&mut self, number: u8, act: Act) {
        let number = number % 3;
        let link = self.network.link(format!("peer{number}"));
        match act {
            Act::Join { name, offers, reads } => {
                if let Some(mut peer) = self.connect(number) {
                    peer.join(NAMES[usize::from(name) % NAMES.len()], &offers, reads).await;
                    self.peers.insert(number, peer);
                }
            }
            Act::Open { bytes } => {
                if let Some(mut peer) = self.connect(number) {
                    peer.open(&bytes).await;
                    self.peers.insert(number, peer);
                }
            }
            Act::Cut => drop(link.cut()),
            Act::Partition => drop(link.partition()),
            Act::Delay { millis } => drop(link.delay(Duration::from_millis(u64::from(millis)))),
            Act::Close => drop(self.peers.remove(&number)),
            act => {
                if let Some(peer) = self.peers.get_mut(&number) {
                    // An error is a stream or connection that the controller has ended, as it may.
                    let _ = timeout(10 * MOMENT, peer.act(act)).await;
                }
            }
        }
        // Others have their turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// All close their connections, as far as their links let them.
    pub(crate) fn leave(&mut self) {
        self.peers.clear();
    }

    fn connect(&self, number: u8) -> Option<Peer> {
        let connection = self.network.connect(&format!("peer{number}"), CONTROLLER).map(Connection::Memory)?;
        Some(Peer { connection, control: None, lane: None, out: None, came: None, unread: Vec::new() })
    }
}

/// Joins and says who else is there.
pub(crate) async fn who_is_there(network: &memory::Network) -> Vec<String> {
    let connection = network.connect("observer", CONTROLLER).map(Connection::Memory).expect("the controller listens");
    let (mut send, receive) = connection.open_bi().await.expect("the connection stands");
    send.write(&mut [hello("observer", &[]).into()]).await.expect("the connection stands");
    let mut reader = Reader::new(receive);
    let _preamble: [u8; preamble::LENGTH] = reader.bytes().await.expect("the controller answers");
    let welcome = reader.message().await.expect("the controller answers");
    let Some(ToNode::Welcome { members, .. }) = welcome else { panic!("welcomed by {welcome:?}") };
    connection.close(CloseCode::Done, "it has seen it");
    tokio::time::sleep(MOMENT).await;
    members.into_iter().map(|member| member.name).collect()
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection.close(CloseCode::Done, "it had enough");
    }
}

impl Peer {
    async fn join(&mut self, name: &str, offers: &[u8], reads: bool) {
        let Ok((mut send, receive)) = self.connection.open_bi().await else { return };
        let _ = send.write(&mut [hello(name, offers).into()]).await;
        self.control = Some(send);
        if reads {
            tokio::spawn(drain(self.connection.clone(), receive));
        } else {
            self.unread.push(receive);
        }
    }

    async fn open(&mut self, bytes: &[u8]) {
        let Ok((mut send, receive)) = self.connection.open_bi().await else { return };
        let _ = send.write(&mut [bytes.to_vec().into()]).await;
        self.control = Some(send);
        self.unread.push(receive);
    }

    async fn act(&mut self, act: Act) -> Option<()> {
        match act {
            Act::Control(said) => self.control.as_mut()?.write(&mut [control(said).into()]).await.ok(),
            Act::Lane(said) => {
                let mut bytes = Vec::new();
                if self.lane.is_none() {
                    self.lane = Some(self.connection.open_uni().await.ok()?);
                    bytes.push(StreamKind::CallLane as u8);
                }
                put_frame(said, &mut bytes);
                self.lane.as_mut()?.write(&mut [bytes.into()]).await.ok()
            }
            Act::Alone(said) => {
                let mut bytes = vec![StreamKind::LargeFrame as u8];
                put_frame(said, &mut bytes);
                let mut stream = self.connection.open_uni().await.ok()?;
                stream.write(&mut [bytes.into()]).await.ok()?;
                stream.finish();
                Some(())
            }
            Act::Stream(asked) => {
                let (mut send, receive) = self.connection.open_bi().await.ok()?;
                send.write(&mut [request(asked).into()]).await.ok()?;
                self.out = Some((send, receive, 0));
                Some(())
            }
            Act::Send(batch) => self.send(batch).await,
            Act::Answer(reply) => self.answer(reply).await,
            Act::Odd { bidirectional, bytes } => {
                let mut stream = if bidirectional {
                    let (send, receive) = self.connection.open_bi().await.ok()?;
                    self.unread.push(receive);
                    send
                } else {
                    self.connection.open_uni().await.ok()?
                };
                stream.write(&mut [bytes.into()]).await.ok()?;
                stream.finish();
                Some(())
            }
            Act::Join { .. } | Act::Open { .. } | Act::Cut | Act::Partition | Act::Delay { .. } | Act::Close => None,
        }
    }

    async fn send(&mut self, batch: Batch) -> Option<()> {
        let (send, receive, sent) = self.out.as_mut()?;
        let bytes = match batch {
            Batch::Items { items, dependents, off } => {
                let mut builder = Builder::default();
                builder.set_dependents(dependents);
                for item in &items {
                    let encode = |out: &mut Vec<u8>| {
                        out.extend_from_slice(item);
                        Ok::<_, std::convert::Infallible>(())
                    };
                    builder.push(encode).ok()?;
                }
                // A batch without items is malformed as well.
                let batch = builder.close(sent.saturating_add(u64::from(off.saturating_sub(200))), 0);
                *sent += items.len() as u64;
                batch.pieces().concat()
            }
            Batch::Fragment { body } => {
                let mut builder = Builder::default();
                let encode = |out: &mut Vec<u8>| {
                    out.resize(out.len() + 2 * FRAGMENT, 7);
                    out.extend_from_slice(&body);
                    Ok::<_, std::convert::Infallible>(())
                };
                builder.push(encode).ok()?;
                fragments(builder.close(*sent, 0)).ok()?.next()?.pieces().concat()
            }
            Batch::Newcomers { nodes } => {
                let nodes = nodes.into_iter().map(node).collect();
                WireBatch::newcomers(&Newcomers { nodes, first: 1 }, *sent, 0).pieces().concat()
            }
            Batch::Mark(place) => WireBatch::mark(&mark(place), 0).pieces().concat(),
            Batch::Finished => WireBatch::end(&StreamEnd::Finished, *sent, 0).pieces().concat(),
            Batch::Raw(bytes) => bytes,
            Batch::Finish => return Some(send.finish()),
            Batch::Reset => return Some(send.reset(GiveUp::Unwanted)),
            Batch::Stop => return Some(receive.stop(GiveUp::Unwanted)),
        };
        send.write(&mut [bytes.into()]).await.ok()
    }

    async fn answer(&mut self, reply: Reply) -> Option<()> {
        while let Ok(Ok(streams)) = timeout(MOMENT, self.connection.accept_bi()).await {
            self.came = Some(streams);
        }
        let (send, receive) = self.came.as_mut()?;
        let credit = |items, bytes| Credit { items: u64::from(items), bytes: u64::from(bytes) };
        let answer = match reply {
            Reply::Grant { items, bytes } => Answer::Grant(credit(items, bytes)),
            Reply::Pace { items, bytes, held_micros } => {
                Answer::Pace { grant: credit(items, bytes), held_micros: u64::from(held_micros) }
            }
            Reply::Ended { delivered, fails } => {
                let failure = fails.then_some(Failure::Panicked { message: "it says so".into() });
                let delivered = u64::from(delivered);
                Answer::Ended(ReceiverEnd { receiver: 0, delivered, first: 0, dropped: 0, value: None, failure })
            }
            Reply::Dropped { node: dropper, items } => {
                Answer::Dropped { receiver: node(dropper), items: u64::from(items) }
            }
            Reply::Standing { first, place, missed, granted } => {
                let Mark { position, credit: received } = mark(place);
                let (first, missed, granted) = (first.map(u64::from), u64::from(missed), mark(granted).credit);
                Answer::Standing(Standing { first, position, missed, received, granted })
            }
            Reply::Rewind(place) => Answer::Rewind(mark(place).position),
            Reply::Raw(bytes) => return send.write(&mut [bytes.into()]).await.ok(),
            Reply::Finish => return Some(send.finish()),
            Reply::Reset => return Some(send.reset(GiveUp::Unwanted)),
            Reply::Stop => return Some(receive.stop(GiveUp::Unwanted)),
        };
        let mut bytes = Vec::new();
        answer.put(&mut bytes);
        send.write(&mut [bytes.into()]).await.ok()
    }
}

/// Reads the control stream and the frames, and does nothing with them.
async fn drain(connection: Connection, mut control: RecvStream) {
    let read = async |stream: &mut RecvStream| {
        let mut chunks = Vec::new();
        while stream.read(&mut chunks).await.is_ok_and(|more| more) {
            chunks.clear();
        }
    };
    let frames = async {
        while let Ok(mut stream) = connection.accept_uni().await {
            read(&mut stream).await;
        }
    };
    tokio::join!(read(&mut control), frames);
}

fn hello(name: &str, offers: &[u8]) -> Vec<u8> {
    let mut bytes = vec![StreamKind::Control as u8];
    bytes.extend_from_slice(&preamble::encode(preamble::VERSION));
    bytes.extend_from_slice(TOKEN.secret());
    let hello = ToController::Hello {
        name: name.into(),
        offers: self::offers(offers),
        software: "a fuzzer".into(),
        instance: 0,
    };
    message::put(&hello, &mut bytes);
    bytes
}

fn offers(numbers: &[u8]) -> Vec<Offer> {
    let offer = |number: &u8| {
        let name = CALLBACKS[usize::from(*number) % CALLBACKS.len()].into();
        Offer { name, lossless: *number >= 128, ..Offer::default() }
    };
    numbers.iter().take(16).map(offer).collect()
}

fn control(said: Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    match said {
        Control::Offer { offers } => message::put(&ToController::Offer { offers: self::offers(&offers) }, &mut bytes),
        Control::Leave => message::put(&ToController::Leave, &mut bytes),
        Control::Alive => message::put(&ToController::Alive, &mut bytes),
        Control::Hello => bytes = hello("again", &[]).split_off(1 + preamble::LENGTH + preamble::SECRET),
        Control::Raw(raw) => {
            varint::put(raw.len() as u64, &mut bytes);
            bytes.extend_from_slice(&raw);
        }
    }
    bytes
}

fn put_frame(said: Lane, bytes: &mut Vec<u8>) {
    let (head, mut payload) = match said {
        Lane::Call { id, to, callback, payload } => {
            (Head::Call { id: u64::from(id), peer: node(to), ask: ask(callback) }, payload)
        }
        Lane::Broadcast { id, to, callback, payload } => {
            let targets = to.into_iter().map(node).collect();
            (Head::Broadcast { id: u64::from(id), targets, ask: ask(callback) }, payload)
        }
        Lane::Reply { tag, place, status, payload } => {
            let status = [Status::Value, Status::Error, Status::Failure][usize::from(status % 3)];
            (Head::Reply { id: route(tag, place), node: 0, status }, payload)
        }
        Lane::Cancel { id } => (Head::Cancel { id: u64::from(id) }, Vec::new()),
        Lane::Raw(raw) => return bytes.extend_from_slice(&raw),
    };
    payload.truncate(LANE_FRAME);
    frame::put(&head, &payload, bytes);
}

fn request(asked: Request) -> Vec<u8> {
    let mut bytes = vec![StreamKind::Items as u8];
    let request = StreamRequest {
        callback: u32::from(asked.callback % 12),
        targets: asked.targets.into_iter().map(node).collect(),
        stall_millis: u64::from(asked.stall_millis),
        trace: None,
        answers: asked.answers.map(|(tag, place)| route(tag, place)),
        keep: asked.keep.and_then(|keep| NonZeroU32::new(u32::from(keep))),
        live: asked.live,
        stream: asked.stream.map(u64::from),
        resumed: asked.resumed.map(|Going { callback, from, receivers }| {
            let (callback, named) = (CALLBACKS[usize::from(callback) % CALLBACKS.len()].into(), receivers.len() as u32);
            let awaited = |(receiver, (name, lossless)): (u32, (u8, bool))| {
                let node = NAMES[usize::from(name) % NAMES.len()].into();
                Awaited { receiver, node, lossless }
            };
            let receivers = (0..).zip(receivers).map(awaited).collect();
            Resumed { callback, from: mark(from), receivers, named }
        }),
    };
    message::put(&request, &mut bytes);
    bytes
}

fn mark(Place { item, is_far, is_behind_end, items, bytes }: Place) -> Mark {
    let item = if is_far { u64::MAX - u64::from(item) } else { u64::from(item) };
    let position = Position { item, bytes: if is_behind_end { u64::MAX } else { 0 } };
    // Up to far more than any window.
    Mark { position, credit: Credit { items: u64::from(items) << 16, bytes: u64::from(bytes) << 16 } }
}

const fn ask(callback: u8) -> Ask {
    Ask { callback: callback as u32 % 12, budget: None, trace: None }
}

/// Nodes are numbered from 1 as they join.
const fn node(number: u8) -> u32 {
    number as u32 % 8
}

/// The router's number of a call: a place, and a tag that rises.
fn route(tag: u8, place: u8) -> u64 {
    u64::from(tag % 32) << 32 | u64::from(place % 8)
}
