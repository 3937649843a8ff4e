//! Receives what a peer sent on its lane.

use std::vec::Drain;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{FrameSender, together::Together};
use crate::{
    link::{LinkError, Reader, Throttle},
    transport::{Connection, ConnectionLost, RecvStream, StreamLost},
    wire::{
        Malformed, StreamKind,
        frame::{Decoder, Frame},
        limits, varint,
    },
};

/// How many frames are handed over together at most. A read may bring a hundred thousand tiny ones. A broadcast counts once for each
/// of its targets: so many answers may follow from it.
const TOGETHER: usize = 256;

/// Nodes are told how large a payload may be, and send no larger one.
const TOO_LARGE: Malformed = Malformed("a frame above the limit");

const OTHER_LENGTH: Malformed = Malformed("a large frame of another length than it says");

/// What a peer may send in frames.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The largest payload of a frame, in bytes; at most [`limits::MAX_PAYLOAD`].
    pub payload: usize,
    /// How fast.
    pub throttle: Throttle,
    /// What answers the peer, if that is not trusted to take its answers: none of its frames is taken while more than
    /// [`limits::MAX_LANE_BACKLOG`] wait there, so that nothing grows for a peer that asks and does not read.
    pub answers: Option<FrameSender>,
}

/// As much as the protocol allows, as fast as it comes, from a peer that is trusted.
impl Default for Intake {
    fn default() -> Self {
        Self { payload: limits::MAX_PAYLOAD, throttle: Throttle::default(), answers: None }
    }
}

impl Intake {
    /// Waits until the peer has taken enough of its answers.
    async fn room(&self) {
        if let Some(answers) = &self.answers {
            answers.room().await;
        }
    }
}

/// Receives the peer's frames, of its lane and the large ones, and hands them to `deliver`, those together that came in one read,
/// until the connection is gone or the peer sends what makes no sense, or more than it may.
pub async fn receive_frames<D>(connection: &Connection, intake: Intake, deliver: D) -> LinkError
where
    D: Fn(Drain<'_, Frame>) -> Result<(), Malformed> + Clone + Send + 'static,
{
    let (mut streams, together) = (JoinSet::new(), Together::default());
    loop {
        tokio::select! {
            accepted = connection.accept_uni() => match accepted {
                Ok(stream) => {
                    streams.spawn(receive_stream(stream, intake.clone(), together.clone(), deliver.clone()));
                }
                Err(lost) => return lost.into(),
            },
            Some(ended) = streams.join_next() => match ended {
                Ok(Ok(())) | Ok(Err(LinkError::Lost(StreamLost::Reset))) => {}
                Ok(Err(error)) => return error,
                // The task neither panics nor is it aborted while this runs.
                Err(_) => return ConnectionLost::ClosedHere.into(),
            },
        }
    }
}

async fn receive_stream<D>(stream: RecvStream, intake: Intake, together: Together, deliver: D) -> Result<(), LinkError>
where
    D: Fn(Drain<'_, Frame>) -> Result<(), Malformed>,
{
    let mut frames = Vec::new();
    let mut reader = Reader::new(stream);
    let [kind] = reader.bytes().await?;
    let (mut stream, first) = reader.into_parts();
    let mut chunks = vec![first];
    match StreamKind::from_byte(kind)? {
        StreamKind::CallLane => {
            let mut decoder = Decoder::default();
            loop {
                let (mut came, mut together) = (0, 0);
                for chunk in chunks.drain(..) {
                    came += chunk.len();
                    decoder.push(&chunk);
                }
                let decoded = loop {
                    match decoder.next_frame() {
                        Ok(Some(frame)) if frame.payload.len() > intake.payload => break Err(TOO_LARGE),
                        Ok(Some(frame)) => {
                            together += frame.head.targets();
                            frames.push(frame);
                            if together >= TOGETHER {
                                deliver(frames.drain(..))?;
                                together = 0;
                                intake.room().await;
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(malformed) => break Err(malformed),
                    }
                };
                if !frames.is_empty() {
                    deliver(frames.drain(..))?;
                    intake.room().await;
                }
                decoded?;
                intake.throttle.pay(came).await;
                if !stream.read(&mut chunks).await? {
                    return Ok(());
                }
            }
        }
        StreamKind::LargeFrame => {
            let (mut body, mut paid, mut room) = (Vec::new(), 0, None);
            loop {
                for chunk in chunks.drain(..) {
                    body.extend_from_slice(&chunk);
                }
                let mut input: &[u8] = &body;
                if let Some(length) = varint::take(&mut input) {
                    if length > (limits::MAX_HEAD + intake.payload) as u64 {
                        return Err(TOO_LARGE.into());
                    }
                    if input.len() as u64 > length {
                        return Err(OTHER_LENGTH.into());
                    }
                    if room.is_none() {
                        room = together.enter(length).await;
                    }
                }
                intake.throttle.pay(body.len() - paid).await;
                paid = body.len();
                if !stream.read(&mut chunks).await? {
                    break;
                }
            }
            let mut input: &[u8] = &body;
            let length = varint::expect(&mut input)?;
            if length != input.len() as u64 {
                return Err(OTHER_LENGTH.into());
            }
            let prefix = body.len() - input.len();
            let frame = Frame::decode(Bytes::from(body).slice(prefix..))?;
            if frame.payload.len() > intake.payload {
                return Err(TOO_LARGE.into());
            }
            intake.room().await;
            frames.push(frame);
            deliver(frames.drain(..))?;
            Ok(())
        }
        StreamKind::Control | StreamKind::Items => Err(Malformed("this kind of stream goes both ways").into()),
    }
}
