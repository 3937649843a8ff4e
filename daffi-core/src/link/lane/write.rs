//! Writes what was sent on a lane.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Lane, Large, together::Together};
use crate::{
    link::haste::Haste,
    transport::{Assisted, Connection, ConnectionLost, Priority, StreamLost, assists},
    wire::{StreamKind, limits},
};

/// Writes what a [`FrameSender`](super::FrameSender) sends; [`LaneWriter::run`] it in a task.
#[derive(Debug)]
pub struct LaneWriter {
    lane: Arc<Lane>,
    large: mpsc::UnboundedReceiver<Large>,
}

impl LaneWriter {
    pub(super) const fn new(lane: Arc<Lane>, large: mpsc::UnboundedReceiver<Large>) -> Self {
        Self { lane, large }
    }

    /// Writes until the connection is gone.
    pub async fn run(self, connection: Connection) -> StreamLost {
        let Self { lane, large } = self;
        let haste = Arc::new(Haste::new(&connection));
        let writing = write_lane(lane.clone(), connection.clone(), haste.clone());
        let small = async {
            match &connection {
                Connection::Quic(_) => Assisted::new(writing).await,
                // Its delays are timers, which need the runtime that paused the clock.
                Connection::Memory(_) => writing.await,
            }
        };
        tokio::select! {
            Err(lost) = small => lost,
            never = haste.ease() => match never {},
            lost = write_large(&lane, large, &connection) => lost.into(),
        }
    }
}

async fn write_lane(lane: Arc<Lane>, connection: Connection, haste: Arc<Haste>) -> Result<Infallible, StreamLost> {
    let mut stream = connection.open_uni().await?;
    stream.set_priority(Priority::Calls);
    stream.write(&mut [Bytes::from_static(&[StreamKind::CallLane as u8])]).await?;
    loop {
        lane.filled.notified().await;
        // On another thread than the I/O thread it is another runtime, if any, that would turn.
        if !lane.lock().alone && !assists() {
            // What others are about to send goes along: a datagram costs more than a frame.
            tokio::task::yield_now().await;
        }
        let (gathered, closing) = {
            let mut state = lane.lock();
            state.alone = false;
            state.writing = state.buffer.len();
            (std::mem::take(&mut state.buffer), state.closing)
        };
        if !gathered.is_empty() {
            haste.hasten();
            stream.write(&mut [gathered.into()]).await?;
            lane.lock().writing = 0;
            lane.written.notify_waiters();
        }
        if closing {
            stream.finish();
            let _ = stream.settled().await;
            lane.lock().finished = true;
            lane.flushed.notify_waiters();
            std::future::pending::<()>().await;
        }
    }
}

async fn write_large(
    lane: &Arc<Lane>,
    mut frames: mpsc::UnboundedReceiver<Large>,
    connection: &Connection,
) -> ConnectionLost {
    let (mut streams, together) = (JoinSet::new(), Together::default());
    while let Some(Large { bytes, payload }) = frames.recv().await {
        // What has gone out already need not be remembered.
        while streams.try_join_next().is_some() {}
        let (lane, connection, together) = (lane.clone(), connection.clone(), together.clone());
        streams.spawn(async move {
            let _room = together.enter(bytes.len() as u64).await;
            // A lost connection is noticed by all; a peer that refuses a frame has its reasons.
            let _ = send_large(connection, bytes.into()).await;
            lane.lock().large -= payload;
            lane.flushed.notify_waiters();
        });
    }
    connection.closed().await
}

async fn send_large(connection: Connection, bytes: Bytes) -> Result<(), StreamLost> {
    let mut stream = connection.open_uni().await?;
    // QUIC keeps a written chunk until all of it is acknowledged: pieces let memory go as they arrive.
    let mut pieces: Vec<Bytes> = (0..bytes.len())
        .step_by(limits::BATCH)
        .map(|at| bytes.slice(at..bytes.len().min(at + limits::BATCH)))
        .collect();
    drop(bytes);
    stream.write(&mut pieces).await?;
    stream.finish();
    let _ = stream.settled().await;
    Ok(())
}
