//! An item stream: what stands around its batches on one hop.
//!
//! The opener (the producer's node towards the controller, the controller towards a receiver) sends a header and then
//! batches, the last of which is a [`StreamEnd`]. The other side sends [`Answer`]s back on the same QUIC stream: credit as
//! the items are finished, and in the end what became of the stream. Resetting the stream instead of ending it says that the
//! producer lost interest: nothing more is to be run.
//!
//! A callback that returns a stream of results answers its call with an item stream of its own, to the caller alone. Each item is
//! a [`result`].

//!
//! A stream that has an [id](StreamRequest::stream) goes on when a connection breaks: its opener opens another QUIC stream for it.
//! The one who takes the items says where it goes on, and that is the first thing sent: a receiver sends its [`Standing`], the
//! controller asks for a [`Rewind`](Answer::Rewind), and the producer answers with a batch that holds the [`Mark`].

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{
    CallId, CallbackId, Malformed, NodeId, credit::Credit, failure::Failure, limits, message, position::Position,
    trace::TraceContext, varint,
};

/// What a stream is known by when its connection breaks: a random number that its producer made up for it.
pub type StreamId = u64;

/// Stands for a receiver of one stream: its place in the order in which the producer named the receivers.
pub type ReceiverId = u32;

/// The header of a stream on its way to the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// The callback that takes the items.
    pub callback: CallbackId,
    /// The nodes to send them to. Those of the beginning have the numbers from 0 on.
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
    /// What it is known by when it goes on after its connection broke. Nothing for one that ends with the connection.
    #[serde(default)]
    pub stream: Option<StreamId>,
    /// It has begun on another connection.
    #[serde(default)]
    pub resumed: Option<Resumed>,
}

/// How far a stream is that goes on, perhaps with a controller that does not know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The callback's name: its number may have changed.
    pub callback: String,
    /// From where on the producer has the items.
    pub from: Mark,
    /// The receivers that have not ended, as far as the producer knows.
    pub receivers: Vec<Awaited>,
    /// How many receivers it has named in all.
    pub named: ReceiverId,
}

/// A receiver of a stream that goes on: whichever number its node has now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Its number in the stream.
    pub receiver: ReceiverId,
    /// Its node's name.
    pub node: String,
    /// It has to have all items, however slow it is.
    #[serde(default)]
    pub lossless: bool,
}

impl Resumed {
    /// Whether the producer has not heard of the end of this receiver.
    pub fn misses(&self, receiver: ReceiverId) -> bool {
        self.receivers.binary_search_by_key(&receiver, |awaited| awaited.receiver).is_ok()
    }
}

/// A place in a stream, and what everything before it cost in credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The place.
    pub position: Position,
    /// What was before it.
    pub credit: Credit,
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
    /// The producer's name.
    #[serde(default)]
    pub name: String,
    /// What the stream is known by, together with the producer's name, when it goes on after its connection broke.
    #[serde(default)]
    pub stream: Option<StreamId>,
    /// The receiver's number in it: who leaves a live stream and comes again has another.
    #[serde(default)]
    pub receiver: ReceiverId,
    /// It may have begun on another connection: the receiver answers with its [`Standing`] before anything else, or with its end.
    #[serde(default)]
    pub resumed: bool,
    /// It has: a receiver that does not know it is not the one that it was for.
    #[serde(default)]
    pub begun: bool,
}

/// How far a receiver is with a stream that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The number of the first item that came; nothing if none has.
    pub first: Option<u64>,
    /// Where it goes on.
    pub position: Position,
    /// How many items did not come, between those that did.
    pub missed: u64,
    /// What came.
    pub received: Credit,
    /// What it has granted.
    pub granted: Credit,
}

/// Nodes that are to get a stream that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomers {
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// The number of the first of them in the stream; the others follow.
    pub first: ReceiverId,
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
    pub receiver: ReceiverId,
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
        receiver: ReceiverId,
        /// How many, since the stream began.
        items: u64,
    },
    /// From a receiver, first of all on a stream that goes on.
    Standing(Standing),
    /// Towards the producer: it is to go on from here, or from as close behind it as it can.
    Rewind(Position),
}

const GRANT: u8 = 0;
const ENDED: u8 = 1;
const PACE: u8 = 2;
const DROPPED: u8 = 3;
const STANDING: u8 = 4;
const REWIND: u8 = 5;

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
            Self::Dropped { receiver, items } => {
                out.push(DROPPED);
                varint::put(u64::from(*receiver), out);
                varint::put(*items, out);
            }
            Self::Standing(standing) => {
                out.push(STANDING);
                message::put(standing, out);
            }
            Self::Rewind(to) => {
                out.push(REWIND);
                message::put(to, out);
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
            ENDED => {
                let end = message::take(&mut rest)?.map(Self::Ended);
                // It may have to wait for a producer, beside those of many others.
                if end.is_some() && input.len() - rest.len() > limits::MAX_ANSWER + limits::MAX_HEAD {
                    return Err(Malformed("an answer above the limit"));
                }
                end
            }
            PACE => match (varint::take(&mut rest), varint::take(&mut rest), varint::take(&mut rest)) {
                (Some(items), Some(bytes), Some(held_micros)) => {
                    Some(Self::Pace { grant: Credit { items, bytes }, held_micros })
                }
                _ => None,
            },
            DROPPED => match (varint::take(&mut rest), varint::take(&mut rest)) {
                (Some(receiver), Some(items)) => {
                    let receiver = ReceiverId::try_from(receiver).map_err(|_| Malformed("an id out of range"))?;
                    Some(Self::Dropped { receiver, items })
                }
                _ => None,
            },
            STANDING => message::take(&mut rest)?.map(Self::Standing),
            REWIND => message::take(&mut rest)?.map(Self::Rewind),
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
            (any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(receiver, delivered, failed)| {
                let failure = failed.then(|| Failure::App { error: vec![1, 2, 3] });
                let value = (!failed).then(|| vec![4, 5]);
                Answer::Ended(ReceiverEnd { receiver, delivered, first: 3, dropped: delivered / 2, value, failure })
            }),
            (0u64..1 << 53, 0u64..1 << 53, 0u64..1 << 53)
                .prop_map(|(items, bytes, held_micros)| Answer::Pace { grant: Credit { items, bytes }, held_micros }),
            (any::<u32>(), 0u64..1 << 53).prop_map(|(receiver, items)| Answer::Dropped { receiver, items }),
            (any::<Option<u64>>(), any::<u64>(), any::<u64>()).prop_map(|(first, item, bytes)| {
                let (position, credit) = (Position { item, bytes }, Credit { items: item, bytes });
                Answer::Standing(Standing { first, position, missed: 7, received: credit, granted: credit })
            }),
            (any::<u64>(), any::<u64>()).prop_map(|(item, bytes)| Answer::Rewind(Position { item, bytes })),
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
