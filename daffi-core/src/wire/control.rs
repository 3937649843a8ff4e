//! Control messages: who is there and what each offers.

use serde::{Deserialize, Serialize};

use super::{CallbackId, NodeId, limits, offer::Offer};

/// A callback with the number that the controller gave its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The number that stands for the name in frames.
    pub id: CallbackId,
    /// What the node said of it.
    pub offer: Offer,
}

/// A node that has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The number that stands for it in frames.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// What it offers.
    pub offers: Vec<Offered>,
}

/// What a controller lets each of its nodes have. A node keeps to it by itself, so that what exceeds it is told where it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The largest payload of a call or reply, in bytes.
    pub message_size: u64,
    /// The largest item of a stream, in bytes.
    pub item_size: u64,
    /// How many callbacks it may offer.
    pub callbacks: u64,
}

/// As much as the protocol allows.
impl Default for Terms {
    fn default() -> Self {
        let payload = limits::MAX_PAYLOAD as u64;
        Self { message_size: payload, item_size: payload, callbacks: limits::MAX_CALLBACKS as u64 }
    }
}

/// From a node to its controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToController {
    /// The first message: who joins. The node has shown that it knows the secret.
    Hello {
        /// The node's name.
        name: String,
        /// The callbacks it offers from the start.
        offers: Vec<Offer>,
        /// The software and its version, for the controller's log.
        #[serde(default)]
        software: String,
        /// A random number that the node has for as long as it lives, and tells nobody but its controllers: one that comes back is
        /// told from another of its name. 0 if it does not say.
        #[serde(default)]
        instance: u64,
    },
    /// The node offers further callbacks.
    Offer {
        /// The further callbacks.
        offers: Vec<Offer>,
    },
    /// The node leaves on purpose; it sends nothing after this.
    Leave,
    /// The answer to [`ToNode::Probe`].
    Alive,
    /// A message that this version does not know; it is ignored.
    #[serde(other)]
    Unknown,
}

/// From a controller to one of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// The node has joined. Lists everybody, the node itself included.
    Welcome {
        /// The number of the node that is welcomed.
        node: NodeId,
        /// Everybody who is there.
        members: Vec<Member>,
        /// What the node is to keep to.
        #[serde(default)]
        terms: Terms,
    },
    /// A node has joined.
    Joined {
        /// The node.
        member: Member,
    },
    /// A node offers further callbacks.
    Offered {
        /// The node.
        node: NodeId,
        /// The further callbacks.
        offers: Vec<Offered>,
    },
    /// The rules do not allow callbacks that the node has offered since it joined. Nobody hears of them.
    OffersRefused {
        /// The callbacks' names.
        callbacks: Vec<String>,
        /// Why, in words.
        reason: String,
    },
    /// A node is gone.
    Left {
        /// The node.
        node: NodeId,
        /// Why: it left, it was lost, or it was told to go.
        reason: String,
    },
    /// Answer with [`ToController::Alive`]: somebody else wants this node's name.
    Probe,
    /// The controller is about to stop: finish what runs, start nothing.
    Draining,
    /// A message that this version does not know; it is ignored.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{
        message,
        offer::{Contract, Kind, Parameter},
    };

    fn round_trip<M: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(sent: &M) {
        let mut out = Vec::new();
        message::put(sent, &mut out);
        assert_eq!(message::take::<M>(&mut out.as_slice()).unwrap().as_ref(), Some(sent));
    }

    fn offer() -> Offer {
        Offer {
            name: "add".into(),
            signature: "add(a: i64) -> i64".into(),
            location: "main.rs:3".into(),
            contract: Some(Contract {
                kind: Kind::Call,
                parameters: vec![Parameter { name: "a".into(), ty: "i64".into() }],
                result: "i64".into(),
            }),
            lossless: true,
        }
    }

    #[test]
    fn every_message_round_trips() {
        let member = Member { id: 7, name: "gpu".into(), offers: vec![Offered { id: 3, offer: offer() }] };
        round_trip(&ToController::Hello {
            name: "gpu".into(),
            offers: vec![offer()],
            software: "daffi".into(),
            instance: 5,
        });
        round_trip(&ToController::Offer { offers: vec![offer()] });
        round_trip(&ToController::Leave);
        round_trip(&ToController::Alive);
        round_trip(&ToNode::Welcome { node: 7, members: vec![member.clone()], terms: Terms::default() });
        round_trip(&ToNode::Joined { member });
        round_trip(&ToNode::Offered { node: 7, offers: vec![Offered { id: 3, offer: offer() }] });
        round_trip(&ToNode::OffersRefused { callbacks: vec!["add".into()], reason: "no rule".into() });
        round_trip(&ToNode::Left { node: 7, reason: "left".into() });
        round_trip(&ToNode::Probe);
        round_trip(&ToNode::Draining);
    }

    #[test]
    fn a_message_from_the_future_is_unknown() {
        #[derive(Serialize)]
        struct Future {
            r#type: &'static str,
            colour: u32,
        }
        let mut out = Vec::new();
        message::put(&Future { r#type: "repaint", colour: 3 }, &mut out);
        assert_eq!(message::take(&mut out.as_slice()), Ok(Some(ToNode::Unknown)));
        assert_eq!(message::take(&mut out.as_slice()), Ok(Some(ToController::Unknown)));
    }

    proptest! {
        #[test]
        fn mutated_messages_never_panic(flip in any::<(usize, u8)>(), cut: usize) {
            let mut out = Vec::new();
            message::put(&ToNode::Left { node: 7, reason: "a longer reason".into() }, &mut out);
            let index = flip.0 % out.len();
            out[index] ^= flip.1;
            out.truncate(cut % (out.len() + 1));
            let _ = message::take::<ToNode>(&mut out.as_slice());
            let _ = message::take::<ToController>(&mut out.as_slice());
        }
    }
}
