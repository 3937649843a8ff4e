//! A network in memory, and nodes made by hand on it. With a paused clock nothing is waited for that does not come.

use std::time::Duration;

use daffi::{Limits, Node, testing::NodeBuilder};
use daffi_controller::{Access, Rules};
use daffi_core::{
    link::Reader,
    transport::{Connection, JoinToken, Listener, SendStream, memory},
    wire::{
        CallbackId, NodeId, StreamKind,
        control::{Member, ToController, ToNode},
        frame::{self, Ask, Head},
        message,
        offer::Offer,
        preamble,
    },
};
use tokio::sync::watch;

/// Longer than anything here takes: the clock is paused, so it is over when nothing moves any more.
pub(crate) const QUIET: Duration = Duration::from_secs(600);

const CONTROLLER: &str = "controller";

/// A controller on a network in memory. Dropping it stops it.
pub(crate) struct Network {
    network: memory::Network,
    token: JoinToken,
    _stop: watch::Sender<Option<Duration>>,
}

impl Network {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::start_with(limits, Rules::default())
    }

    pub(crate) fn start_with(limits: Limits, rules: Rules) -> Self {
        let (network, token) = (memory::Network::new(), JoinToken::generate([0; 32]));
        let access = Access::new(token.clone().into(), rules);
        let (stop, stopped) = watch::channel(None);
        let listener = Listener::Memory(network.listen(CONTROLLER));
        tokio::spawn(daffi_controller::serve(listener, access, limits, stopped));
        Self { network, token, _stop: stop }
    }

    pub(crate) async fn node(
        &self,
        name: &str,
        callbacks: impl IntoIterator<Item = daffi_core::node::Callback>,
    ) -> Node {
        self.builder(name).callbacks(callbacks).join().await.unwrap()
    }

    /// A node of this name that is about to join. One that loses its connection is not to hide it.
    pub(crate) fn builder(&self, name: &str) -> NodeBuilder {
        let builder = Node::builder().reconnect(false).name(name);
        builder.network(&self.network, CONTROLLER).token(self.token.to_string())
    }
}

/// A node made by hand, that reads nothing but its welcome.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    members: Vec<Member>,
    lane: SendStream,
    control: (SendStream, Reader),
}

impl Peer {
    pub(crate) async fn join(network: &Network, name: &str, offers: impl Into<Vec<Offer>>) -> Self {
        let connection = Connection::Memory(network.network.connect(name, CONTROLLER).unwrap());
        let (mut send, receive) = connection.open_bi().await.unwrap();
        let mut hello = vec![StreamKind::Control as u8];
        hello.extend_from_slice(&preamble::encode(preamble::VERSION));
        hello.extend_from_slice(network.token.secret());
        let (software, offers) = (String::new(), offers.into());
        message::put(&ToController::Hello { name: name.into(), offers, software, instance: 0 }, &mut hello);
        send.write(&mut [hello.into()]).await.unwrap();
        let mut reader = Reader::new(receive);
        let _preamble: [u8; preamble::LENGTH] = reader.bytes().await.unwrap();
        let Some(ToNode::Welcome { members, .. }) = reader.message().await.unwrap() else { panic!("no welcome") };
        let mut lane = connection.open_uni().await.unwrap();
        lane.write(&mut [vec![StreamKind::CallLane as u8].into()]).await.unwrap();
        Self { connection, members, lane, control: (send, reader) }
    }

    /// The numbers of a node and of its only callback.
    pub(crate) fn find(&self, name: &str) -> (NodeId, CallbackId) {
        let member = self.members.iter().find(|member| member.name == name).unwrap();
        (member.id, member.offers[0].id)
    }

    /// Sends a call to nobody, of this size.
    pub(crate) async fn large(connection: &Connection, size: usize) -> SendStream {
        let mut bytes = vec![StreamKind::LargeFrame as u8];
        let ask = Ask { callback: 0, budget: None, trace: None };
        frame::put(&Head::Call { id: 1, peer: 999, ask }, &vec![0; size], &mut bytes);
        let mut send = connection.open_uni().await.unwrap();
        send.write(&mut [bytes.into()]).await.unwrap();
        send.finish();
        send
    }

    /// Sends these control messages together.
    pub(crate) async fn tell(&mut self, messages: impl IntoIterator<Item = ToController>) {
        let mut bytes = Vec::new();
        messages.into_iter().for_each(|told| message::put(&told, &mut bytes));
        self.control.0.write(&mut [bytes.into()]).await.unwrap();
    }

    /// The next control message.
    pub(crate) async fn hear(&mut self) -> ToNode {
        self.control.1.message().await.unwrap().unwrap()
    }

    /// Sends these frames one after the other.
    pub(crate) async fn say(&mut self, frames: impl Iterator<Item = (Head, Vec<u8>)>) {
        for (head, payload) in frames {
            let mut bytes = Vec::new();
            frame::put(&head, &payload, &mut bytes);
            self.lane.write(&mut [bytes.into()]).await.unwrap();
        }
    }
}
