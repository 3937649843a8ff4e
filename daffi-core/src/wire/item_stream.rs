//! An item stream: what stands around its batches on one hop.
//!
//! The opener (the producer's node towards the controller, the controller towards a receiver) sends a header and then
//! batches, the last of which is a [`StreamEnd`]. The other side sends [`Answer`]s back on the same QUIC stream: credit as
//! the items are finished, and in the end what became of the stream. Resetting the stream instead of ending it says that the
//! producer lost interest: nothing more is to be run.
//!
//! A callback that returns a stream of results answers its call with an item stream of its own, to the caller alone. Each item is
//! a [`result`].

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{
    CallId, CallbackId, Malformed, NodeId, credit::Credit, failure::Failure, message, trace::TraceContext, varint,
};

/// The header of a stream on its way to the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// The callback that takes the items.
    pub callback: CallbackId,
    /// The nodes to send them to.
    pub targets: Vec<NodeId>,
    /// For how long a receiver may finish no item while some wait for it, in milliseconds.
    pub stall_millis: u64,
    /// The trace that the stream belongs to.
    #[serde(default)]
    pub trace: Option<TraceContext>,
    /// The call that the stream answers, by the number that it came with; its caller is then the one target. From here on the end
    /// of the stream is the cancellation of the call.
    #[serde(default)]
    pub answers: Option<CallId>,
    /// How many items may wait for a receiver that is slow, before older ones go; nothing if none may.
    #[serde(default)]
    pub keep: Option<NonZeroU32>,
    /// The stream takes in [`Newcomers`], and lasts until its source ends, whoever is there.
    #[serde(default)]
    pub live: bool,
}

impl StreamRequest {
    /// Whether large batches go in fragments: where one may have to go, or to be kept for newcomers, they go whole.
    pub const fn takes_fragments(&self) -> bool {
        self.keep.is_none() && !self.live
    }
}

/// The header of a stream on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOffer {
    /// The callback that takes the items.
    pub callback: CallbackId,
    /// The node that produces them.
    pub producer: NodeId,
    /// For how long the receiver may finish no item while some wait for it, in milliseconds.
    #[serde(default)]
    pub stall_millis: u64,
    /// The trace that the stream belongs to.
    #[serde(default)]
    pub trace: Option<TraceContext>,
    /// The receiver's call that the stream answers, by the number that the receiver gave it. The items are then for the caller, and
    /// not for a callback of its.
    #[serde(default)]
    pub answers: Option<CallId>,
    /// The receiver is to tell of each batch that it is through with: [`Answer::Pace`].
    #[serde(default)]
    pub paced: bool,
    /// The stream has begun without it: its first item is the first that comes, whatever its number.
    #[serde(default)]
    pub late: bool,
}

/// Nodes that are to get a stream that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomers {
    /// The nodes.
    pub nodes: Vec<NodeId>,
}

/// How a stream ended at its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamEnd {
    /// The source had no more items.
    Finished,
    /// The source failed after the items before this.
    SourceFailed {
        /// What it said.
        message: String,
    },
    /// The producer's connection broke.
    ProducerLost,
    /// Another receiver failed, and the producer wanted all or none.
    OtherReceiverFailed,
    /// The time of the call that the stream answers is over.
    Deadline,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What became of a stream at one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverEnd {
    /// The receiver; filled in by the controller.
    #[serde(default)]
    pub node: NodeId,
    /// How many items its callback returned from, without an error, or took.
    pub delivered: u64,
    /// The number of the first item that was for it; filled in by the controller.
    #[serde(default)]
    pub first: u64,
    /// How many items from there on it was too slow for; filled in by the controller.
    #[serde(default)]
    pub dropped: u64,
    /// What a callback returned that takes the whole stream, encoded.
    #[serde(default, with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
    /// Why it stopped before the end, if it did.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// From the receiving side of an item stream back to the sending side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The sender may send up to these totals.
    Grant(Credit),
    /// A receiver is through with the stream. Towards the producer there is one for each receiver.
    Ended(ReceiverEnd),
    /// From a receiver that is paced: it grants so much, because it is through with another batch.
    Pace {
        /// What the sender may send, as in [`Grant`](Self::Grant).
        grant: Credit,
        /// How long the batch was there before it was finished, in microseconds.
        held_micros: u64,
    },
    /// Towards the producer: so many items in all went for this receiver, which is too slow for them.
    Dropped {
        /// The receiver.
        node: NodeId,
        /// How many, since the stream began.
        items: u64,
    },
}

const GRANT: u8 = 0;
const ENDED: u8 = 1;
const PACE: u8 = 2;
const DROPPED: u8 = 3;

impl Answer {
    /// Appends the answer to `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Grant(credit) => {
                out.push(GRANT);
                varint::put(credit.items, out);
                varint::put(credit.bytes, out);
            }
            Self::Ended(end) => {
                out.push(ENDED);
                message::put(end, out);
            }
            Self::Pace { grant, held_micros } => {
                out.push(PACE);
                varint::put(grant.items, out);
                varint::put(grant.bytes, out);
                varint::put(*held_micros, out);
            }
            Self::Dropped { node, items } => {
                out.push(DROPPED);
                varint::put(u64::from(*node), out);
                varint::put(*items, out);
            }
        }
    }

    /// Takes an answer off the front of `input`; `None` if more bytes are needed, and then `input` is as it was.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if these are no answers.
    pub fn take(input: &mut &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((kind, mut rest)) = input.split_first() else {
            return Ok(None);
        };
        let answer = match *kind {
            GRANT => match (varint::take(&mut rest), varint::take(&mut rest)) {
                (Some(items), Some(bytes)) => Some(Self::Grant(Credit { items, bytes })),
                _ => None,
            },
            ENDED => message::take(&mut rest)?.map(Self::Ended),
            PACE => match (varint::take(&mut rest), varint::take(&mut rest), varint::take(&mut rest)) {
                (Some(items), Some(bytes), Some(held_micros)) => {
                    Some(Self::Pace { grant: Credit { items, bytes }, held_micros })
                }
                _ => None,
            },
            DROPPED => match (varint::take(&mut rest), varint::take(&mut rest)) {
                (Some(node), Some(items)) => {
                    let node = NodeId::try_from(node).map_err(|_| Malformed("an id out of range"))?;
                    Some(Self::Dropped { node, items })
                }
                _ => None,
            },
            _ => return Err(Malformed("unknown kind of answer")),
        };
        if answer.is_some() {
            *input = rest;
        }
        Ok(answer)
    }
}

/// What an item of a stream of results is: the value of one, or an error that the callback gave as an item.
///
/// The first byte tells, the rest is the payload.
pub mod result {
    use super::Malformed;

    /// The first byte of a value.
    pub const VALUE: u8 = 0;

    /// The first byte of an error.
    pub const ERROR: u8 = 1;

    /// The payload of a value, or that of an error.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is neither.
    pub const fn take(item: &[u8]) -> Result<Result<&[u8], &[u8]>, Malformed> {
        match item {
            [VALUE, payload @ ..] => Ok(Ok(payload)),
            [ERROR, payload @ ..] => Ok(Err(payload)),
            _ => Err(Malformed("a result that is neither a value nor an error")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            (0u64..1 << 53, 0u64..1 << 53).prop_map(|(items, bytes)| Answer::Grant(Credit { items, bytes })),
            (any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(node, delivered, failed)| {
                let failure = failed.then(|| Failure::App { error: vec![1, 2, 3] });
                let value = (!failed).then(|| vec![4, 5]);
                Answer::Ended(ReceiverEnd { node, delivered, first: 3, dropped: delivered / 2, value, failure })
            }),
            (0u64..1 << 53, 0u64..1 << 53, 0u64..1 << 53)
                .prop_map(|(items, bytes, held_micros)| Answer::Pace { grant: Credit { items, bytes }, held_micros }),
            (any::<u32>(), 0u64..1 << 53).prop_map(|(node, items)| Answer::Dropped { node, items }),
        ]
    }

    proptest! {
        #[test]
        fn answers_round_trip_and_ask_for_more_when_cut(answer in answers(), cut: usize) {
            let mut out = Vec::new();
            answer.put(&mut out);
            prop_assert_eq!(Answer::take(&mut out.as_slice()), Ok(Some(answer)));
            let cut = cut % out.len();
            prop_assert_eq!(Answer::take(&mut &out[..cut]), Ok(None));
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>) {
            let _ = Answer::take(&mut bytes.as_slice());
            let _ = message::take::<StreamRequest>(&mut bytes.as_slice());
            let _ = message::take::<StreamOffer>(&mut bytes.as_slice());
            let _ = message::take::<Newcomers>(&mut bytes.as_slice());
        }
    }
}
