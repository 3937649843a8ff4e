//! The two sides of a stream, over either transport.

use bytes::Bytes;

use super::{GiveUp, StreamLost, memory, quic};

/// How many chunks one read takes at most: with datagrams of 64 KiB a burst of 2 MiB, with small ones of 46 KiB.
pub const READ_CHUNKS: usize = 32;

/// The sending side of a stream. Dropping it unfinished resets the stream.
#[derive(Debug)]
pub enum SendStream {
    /// Over UDP.
    Quic(quinn::SendStream),
    /// Within this process.
    Memory(memory::SendStream),
}

/// Which of the streams of a connection has its bytes sent first, when several have some: lower values wait for higher ones. What
/// waits for room in the connection's send window has no turn yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Much that is in no hurry: what a stream has unless told otherwise.
    #[default]
    Bulk,
    /// Items that are stale soon.
    Live,
    /// Small calls and their replies; large ones have streams of their own, which are bulk.
    Calls,
    /// Who is there, how far a receiver is, and how a stream ended.
    Control,
}

impl SendStream {
    /// Sets which streams this one waits for. Within one priority they take turns.
    pub fn set_priority(&self, priority: Priority) {
        match self {
            // The only error is that the stream has ended.
            Self::Quic(stream) => drop(stream.set_priority(priority as i32)),
            // Its streams do not share a path's capacity.
            Self::Memory(_) => {}
        }
    }

    /// Writes all chunks in order; waits while the peer's window is full. Prefer few large chunks: QUIC walks the list of
    /// unacknowledged ones for every packet.
    ///
    /// Not cancel safe: a dropped write may have written a part.
    ///
    /// # Errors
    ///
    /// [`StreamLost`].
    pub async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), StreamLost> {
        match self {
            Self::Quic(stream) => stream.write_all_chunks(chunks).await.map_err(|error| quic::write_lost(&error)),
            Self::Memory(stream) => stream.write(chunks).await,
        }
    }

    /// Ends the stream after what was written. Does not wait for anything to be delivered.
    pub fn finish(&mut self) {
        match self {
            // The only error is that the stream is finished or reset already.
            Self::Quic(stream) => drop(stream.finish()),
            Self::Memory(stream) => stream.finish(),
        }
    }

    /// Gives the stream up: the peer's read fails, what was not delivered is dropped.
    pub fn reset(&mut self, why: GiveUp) {
        match self {
            Self::Quic(stream) => drop(stream.reset((why as u32).into())),
            Self::Memory(stream) => stream.reset(why),
        }
    }

    /// Waits until the peer's transport has all bytes of a finished stream, or cannot get them any more. It does not mean
    /// that the peer's program has read them. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StreamLost`]: the peer wants no more, or the connection is gone. Of a stream that was reset it says nothing useful.
    pub async fn settled(&mut self) -> Result<(), StreamLost> {
        match self {
            Self::Quic(stream) => quic::settled(stream.stopped().await),
            Self::Memory(stream) => stream.settled().await,
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        // quinn finishes a dropped stream, which the peer could not tell from a whole one. After `finish` this does nothing
        // to what was written: a finished stream is not reset any more.
        if let Self::Quic(stream) = self
            && stream.finish().is_ok()
        {
            drop(stream.reset((GiveUp::Unwanted as u32).into()));
        }
    }
}

/// The receiving side of a stream. Dropping it before the end stops the peer's sending.
#[derive(Debug)]
pub enum RecvStream {
    /// Over UDP.
    Quic(quinn::RecvStream),
    /// Within this process.
    Memory(memory::RecvStream),
}

impl RecvStream {
    /// Reads what is there, at most [`READ_CHUNKS`] chunks, and appends it to `into`; waits if there is nothing. `false` at the
    /// end of the stream.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StreamLost`].
    pub async fn read(&mut self, into: &mut Vec<Bytes>) -> Result<bool, StreamLost> {
        match self {
            Self::Quic(stream) => {
                let mut chunks = [const { Bytes::new() }; READ_CHUNKS];
                let count = stream.read_chunks(&mut chunks).await.map_err(|error| quic::read_lost(&error))?;
                into.extend(chunks.into_iter().take(count.unwrap_or(0)));
                Ok(count.is_some())
            }
            Self::Memory(stream) => stream.read(into).await,
        }
    }

    /// Tells the peer that no more is wanted.
    pub fn stop(&mut self, why: GiveUp) {
        match self {
            Self::Quic(stream) => drop(stream.stop((why as u32).into())),
            Self::Memory(stream) => stream.stop(why),
        }
    }
}
