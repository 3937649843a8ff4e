//! Reads whole values off a stream that comes in chunks.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::Throttle;
use crate::{
    transport::{ConnectionLost, GiveUp, RecvStream, StreamLost},
    wire::{Malformed, StreamKind, item_stream::Answer, message},
};

/// A stream did not carry what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The bytes make no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The stream or its connection is gone.
    #[error(transparent)]
    Lost(#[from] StreamLost),
}

impl From<ConnectionLost> for LinkError {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost.into())
    }
}

/// The receiving side of a stream, with what has been read of it and not yet used.
#[derive(Debug)]
pub struct Reader {
    stream: RecvStream,
    buffer: BytesMut,
    chunks: Vec<Bytes>,
    throttle: Throttle,
}

impl Reader {
    /// Reads from the current place of `stream`.
    pub fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new(), chunks: Vec::new(), throttle: Throttle::default() }
    }

    /// Reads no more than this lets through, from now on.
    pub fn set_throttle(&mut self, throttle: Throttle) {
        self.throttle = throttle;
    }

    /// The next `N` bytes. Cancel safe, as are all methods of this type.
    ///
    /// # Errors
    ///
    /// [`LinkError`]; a stream that ends before them is malformed.
    pub async fn bytes<const N: usize>(&mut self) -> Result<[u8; N], LinkError> {
        loop {
            if let Some((bytes, _)) = self.buffer.split_first_chunk::<N>() {
                let bytes = *bytes;
                self.buffer.advance(N);
                return Ok(bytes);
            }
            if !self.more().await? {
                return Err(Malformed("a stream that ends too early").into());
            }
        }
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub async fn message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, LinkError> {
        self.parsed(message::take).await
    }

    /// The opening of an item stream: its kind, and its header. Waits as long as it takes: behind the items of a hundred other
    /// streams it may be a while, and one that never begins takes nothing from anybody but its own opener.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub async fn item_stream_header<M: DeserializeOwned>(&mut self) -> Result<M, LinkError> {
        let [kind] = self.bytes().await?;
        if StreamKind::from_byte(kind)? != StreamKind::Items {
            return Err(Malformed("not an item stream").into());
        }
        self.message().await?.ok_or_else(|| Malformed("a stream without a header").into())
    }

    /// The next answer of an item stream; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub async fn answer(&mut self) -> Result<Option<Answer>, LinkError> {
        self.parsed(Answer::take).await
    }

    /// Tells the peer that no more is wanted.
    pub fn stop(&mut self, why: GiveUp) {
        self.stream.stop(why);
    }

    /// The stream, and what was read of it and not used.
    pub fn into_parts(self) -> (RecvStream, Bytes) {
        (self.stream, self.buffer.freeze())
    }

    async fn parsed<T>(
        &mut self,
        take: fn(&mut &[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Option<T>, LinkError> {
        loop {
            let mut input: &[u8] = &self.buffer;
            if let Some(value) = take(&mut input)? {
                let used = self.buffer.len() - input.len();
                self.buffer.advance(used);
                return Ok(Some(value));
            }
            if !self.more().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(Malformed("a stream that ends within a message").into())
                };
            }
        }
    }

    async fn more(&mut self) -> Result<bool, StreamLost> {
        let more = self.stream.read(&mut self.chunks).await?;
        let before = self.buffer.len();
        for chunk in self.chunks.drain(..) {
            self.buffer.extend_from_slice(&chunk);
        }
        // Last, so that nothing is lost if nobody waits for the end of it.
        self.throttle.pay(self.buffer.len() - before).await;
        Ok(more)
    }
}
