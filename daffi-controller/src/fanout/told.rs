//! What the producer of a stream is told.

use std::collections::VecDeque;

use daffi_core::wire::{
    credit::Credit,
    item_stream::{Answer, ReceiverEnd, ReceiverId},
    limits::TELL_DROPPED,
};
use tokio::time::Instant;

use super::state::{Fanout, WINDOW};

/// How many bytes of ends are kept that were told, in case the connection broke before they arrived. More than QUIC has on its way
/// in a stream: what is further back was read.
const KEPT: usize = 2 << 20;

/// What the producer was told.
pub(super) struct Told {
    granted: Credit,
    /// When it may be told again of items that went.
    dropped_at: Instant,
    /// The ends that it may not have heard of, and how many bytes they have.
    ended: VecDeque<(ReceiverEnd, usize)>,
    bytes: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self { granted: WINDOW, dropped_at: Instant::now(), ended: VecDeque::new(), bytes: 0 }
    }
}

impl Told {
    /// Writes to `bytes` what the producer has not been told yet; whether that is all that there ever will be.
    pub(super) fn put_news(&mut self, fanout: &Fanout, bytes: &mut Vec<u8>) -> bool {
        let mut state = fanout.lock();
        if let Some(to) = state.ask() {
            Answer::Rewind(to).put(bytes);
        }
        if state.granted != self.granted {
            self.granted = state.granted;
            Answer::Grant(self.granted).put(bytes);
        }
        let now = Instant::now();
        if state.dropped && now >= self.dropped_at {
            state.dropped = false;
            self.dropped_at = now + TELL_DROPPED;
            for receiver in &mut state.receivers {
                let items = receiver.dropped();
                if receiver.dropped_told != items {
                    receiver.dropped_told = items;
                    Answer::Dropped { receiver: receiver.number, items }.put(bytes);
                }
            }
        }
        state.unheard = 0;
        for end in state.ended.drain(..) {
            let before = bytes.len();
            Answer::Ended(end.clone()).put(bytes);
            self.keep(end, bytes.len() - before);
        }
        state.is_over()
    }

    /// Waits until there is something to tell. Cancel safe.
    pub(super) async fn news(&self, fanout: &Fanout) {
        let is_late = fanout.lock().dropped;
        tokio::select! {
            () = fanout.news.notified() => {}
            () = tokio::time::sleep_until(self.dropped_at), if is_late => {}
        }
    }

    /// The producer has lost its connection, and has not heard of the ends of these receivers: the ends that were told, to be told
    /// again.
    pub(super) fn begin_anew(&mut self, misses: impl Fn(ReceiverId) -> bool) -> Vec<ReceiverEnd> {
        let told = std::mem::take(self).ended.into_iter().map(|(end, _)| end);
        told.filter(|end| misses(end.receiver)).collect()
    }

    fn keep(&mut self, end: ReceiverEnd, length: usize) {
        self.bytes += length;
        self.ended.push_back((end, length));
        // The last one in any case: it may be large.
        while self.bytes - self.ended.front().map_or(0, |(_, length)| *length) > KEPT {
            self.bytes -= self.ended.pop_front().map_or(0, |(_, length)| length);
        }
    }
}
