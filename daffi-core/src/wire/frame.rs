//! Frames: calls, replies and cancellations, with fixed headers of variable-length integers.
//!
//! A frame is its length, its kind, the fields of that kind, and a payload that reaches to the end. The length counts what
//! follows it. A router rewrites the head and passes the payload on as it is.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::{CallId, CallbackId, Malformed, NodeId, limits, trace::TraceContext, varint};

/// Everything in a frame but its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Run a callback on one node and answer.
    Call {
        /// The sender's number for this call.
        id: CallId,
        /// On the way to the controller the node to run it, on the way from the controller the node that asks.
        peer: NodeId,
        /// What is asked.
        ask: Ask,
    },
    /// Run a callback on several nodes, each of which answers. Only towards the controller.
    Broadcast {
        /// The sender's number for this call.
        id: CallId,
        /// The nodes to run it.
        targets: Vec<NodeId>,
        /// What is asked of each.
        ask: Ask,
    },
    /// The answer to a call.
    Reply {
        /// The number that the call came with.
        id: CallId,
        /// The node that answers; on the way to the controller it is not looked at.
        node: NodeId,
        /// What the payload is.
        status: Status,
    },
    /// The caller has lost interest: stop the callback, answer nothing.
    Cancel {
        /// The number that the call went with.
        id: CallId,
    },
}

/// What a call asks of a node, besides its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which callback.
    pub callback: CallbackId,
    /// How long the caller will wait from now on. A duration and no time of day: clocks of two machines differ.
    pub budget: Option<Duration>,
    /// The trace that the call belongs to.
    pub trace: Option<TraceContext>,
}

/// What the payload of a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The callback's result.
    Value = 0,
    /// The error that the callback returned.
    Error = 1,
    /// An encoded [`Failure`](super::failure::Failure).
    Failure = 2,
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The head.
    pub head: Head,
    /// Arguments, a result or an error, encoded; empty for a cancellation.
    pub payload: Bytes,
}

const CALL: u8 = 0;
const BROADCAST: u8 = 1;
const REPLY: u8 = 2;
const CANCEL: u8 = 3;

/// The width of a frame's length as this crate writes it.
const LENGTH: usize = 4;

/// The largest frame, length excluded.
pub const MAX_FRAME: usize = limits::MAX_HEAD + limits::MAX_PAYLOAD;

impl Frame {
    /// A reply that says why there is no result.
    pub fn failure(id: CallId, node: NodeId, failure: &super::failure::Failure) -> Self {
        Self { head: Head::Reply { id, node, status: Status::Failure }, payload: failure.encode().into() }
    }

    /// Appends the frame to `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        put(&self.head, &self.payload, out);
    }

    /// Reads a frame whose length has been taken off already.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the head does not decode.
    pub fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        let mut input: &[u8] = &body;
        let head = Head::take(&mut input)?;
        let consumed = body.len() - input.len();
        body.advance(consumed);
        Ok(Self { head, payload: body })
    }
}

/// Appends a frame of `head` and `payload` to `out`; the payload is copied once.
pub fn put(head: &Head, payload: &[u8], out: &mut Vec<u8>) {
    // The length is written last, into a padded place: it is known only when the head has been encoded.
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    head.put(out);
    out.extend_from_slice(payload);
    let length = (out.len() - start - LENGTH) as u64;
    varint::write_padded(length, &mut out[start..start + LENGTH]);
}

impl Head {
    /// How many nodes it goes to; at least one.
    pub(crate) fn targets(&self) -> usize {
        match self {
            Self::Broadcast { targets, .. } => targets.len().max(1),
            _ => 1,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call { id, peer, ask } => {
                out.push(CALL);
                varint::put(*id, out);
                varint::put(u64::from(*peer), out);
                ask.put(out);
            }
            Self::Broadcast { id, targets, ask } => {
                out.push(BROADCAST);
                varint::put(*id, out);
                varint::put(targets.len() as u64, out);
                for target in targets {
                    varint::put(u64::from(*target), out);
                }
                ask.put(out);
            }
            Self::Reply { id, node, status } => {
                out.push(REPLY);
                varint::put(*id, out);
                varint::put(u64::from(*node), out);
                out.push(*status as u8);
            }
            Self::Cancel { id } => {
                out.push(CANCEL);
                varint::put(*id, out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match take_byte(input)? {
            CALL => Self::Call { id: varint::expect(input)?, peer: varint::expect_u32(input)?, ask: Ask::take(input)? },
            BROADCAST => {
                let id = varint::expect(input)?;
                let count = varint::expect(input)?;
                if count > limits::MAX_TARGETS as u64 {
                    return Err(Malformed("too many targets"));
                }
                let targets = (0..count).map(|_| varint::expect_u32(input)).collect::<Result<_, _>>()?;
                Self::Broadcast { id, targets, ask: Ask::take(input)? }
            }
            REPLY => Self::Reply {
                id: varint::expect(input)?,
                node: varint::expect_u32(input)?,
                status: match take_byte(input)? {
                    0 => Status::Value,
                    1 => Status::Error,
                    2 => Status::Failure,
                    _ => return Err(Malformed("unknown status of a reply")),
                },
            },
            CANCEL => Self::Cancel { id: varint::expect(input)? },
            _ => return Err(Malformed("unknown kind of frame")),
        })
    }
}

impl Ask {
    fn put(&self, out: &mut Vec<u8>) {
        varint::put(u64::from(self.callback), out);
        put_budget(self.budget, out);
        put_trace(self.trace, out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self { callback: varint::expect_u32(input)?, budget: take_budget(input)?, trace: take_trace(input)? })
    }
}

/// Microseconds and one, so that zero means that there is no deadline.
fn put_budget(budget: Option<Duration>, out: &mut Vec<u8>) {
    let micros = budget.map_or(0, |budget| u64::try_from(budget.as_micros()).unwrap_or(varint::MAX).saturating_add(1));
    varint::put(micros, out);
}

fn take_budget(input: &mut &[u8]) -> Result<Option<Duration>, Malformed> {
    Ok(varint::expect(input)?.checked_sub(1).map(Duration::from_micros))
}

/// A one and the numbers; a zero where there is no trace.
fn put_trace(trace: Option<TraceContext>, out: &mut Vec<u8>) {
    match trace {
        None => out.push(0),
        Some(trace) => {
            out.push(1);
            out.extend_from_slice(&trace.to_bytes());
        }
    }
}

fn take_trace(input: &mut &[u8]) -> Result<Option<TraceContext>, Malformed> {
    match take_byte(input)? {
        0 => Ok(None),
        1 => {
            let (bytes, rest) = input.split_first_chunk().ok_or(Malformed("cut off within a trace"))?;
            *input = rest;
            TraceContext::from_bytes(bytes).map(Some).ok_or(Malformed("a trace without a number"))
        }
        _ => Err(Malformed("unknown kind of trace")),
    }
}

fn take_byte(input: &mut &[u8]) -> Result<u8, Malformed> {
    let (first, rest) = input.split_first().ok_or(Malformed("cut off within a head"))?;
    *input = rest;
    Ok(*first)
}

/// Cuts the bytes of a call lane into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes in the next bytes of the lane.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the lane carries what no lane carries; it stays so.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let mut input: &[u8] = &self.buffer;
        let Some(length) = varint::take(&mut input) else {
            return Ok(None);
        };
        if length > (limits::MAX_HEAD + limits::LANE_FRAME) as u64 {
            return Err(Malformed("a frame too large for the lane"));
        }
        if (input.len() as u64) < length {
            return Ok(None);
        }
        let prefix = self.buffer.len() - input.len();
        self.buffer.advance(prefix);
        Frame::decode(self.buffer.split_to(length as usize).freeze()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heads() -> impl Strategy<Value = Head> {
        let budget = prop::option::of((0u64..1 << 50).prop_map(Duration::from_micros));
        let trace = prop::option::of((1u128.., 1u64.., any::<u8>()).prop_map(|(trace, span, flags)| {
            TraceContext::new(trace.to_be_bytes(), span.to_be_bytes(), flags).expect("neither is zero")
        }));
        let ask = (any::<u32>(), budget, trace).prop_map(|(callback, budget, trace)| Ask { callback, budget, trace });
        let id = 0u64..1 << 53;
        prop_oneof![
            (id.clone(), any::<u32>(), ask.clone()).prop_map(|(id, peer, ask)| Head::Call { id, peer, ask }),
            (id.clone(), prop::collection::vec(any::<u32>(), 0..50), ask)
                .prop_map(|(id, targets, ask)| Head::Broadcast { id, targets, ask }),
            (id.clone(), any::<u32>(), prop_oneof![Just(Status::Value), Just(Status::Error), Just(Status::Failure)])
                .prop_map(|(id, node, status)| Head::Reply { id, node, status }),
            id.prop_map(|id| Head::Cancel { id }),
        ]
    }

    fn frames() -> impl Strategy<Value = Frame> {
        (heads(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(head, payload)| Frame { head, payload: payload.into() })
    }

    proptest! {
        #[test]
        fn a_lane_round_trips_however_it_is_cut(
            sent in prop::collection::vec(frames(), 0..20), sizes in prop::collection::vec(1usize..60, 1..20),
        ) {
            let mut lane = Vec::new();
            for frame in &sent {
                frame.put(&mut lane);
            }
            let (mut decoder, mut got, mut rest) = (Decoder::default(), Vec::new(), lane.as_slice());
            for size in sizes.iter().cycle() {
                let (piece, tail) = rest.split_at((*size).min(rest.len()));
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn mutated_lanes_never_panic(frame in frames(), index: usize, byte: u8) {
            let mut lane = Vec::new();
            frame.put(&mut lane);
            let index = index % lane.len();
            lane[index] = byte;
            let mut decoder = Decoder::default();
            decoder.push(&lane);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>) {
            let _ = Frame::decode(bytes.into());
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_its_bytes_come() {
        let mut lane = Vec::new();
        varint::put(1 << 40, &mut lane);
        let mut decoder = Decoder::default();
        decoder.push(&lane);
        assert!(decoder.next_frame().is_err());
    }
}
