//! What is told to a node: control messages, each encoded once for all who are told it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use daffi_core::{
    transport::{SendStream, StreamLost},
    wire::{control::ToNode, limits::MAX_CONTROL_BACKLOG, message},
};
use tokio::sync::mpsc;

/// A control message as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Encoded(Bytes);

impl From<&ToNode> for Encoded {
    fn from(message: &ToNode) -> Self {
        let mut bytes = Vec::new();
        message::put(message, &mut bytes);
        Self(bytes.into())
    }
}

/// More waits for a node than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

/// Queues messages for a node. Clones share the queue.
#[derive(Debug, Clone)]
pub(super) struct Control {
    messages: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// The messages that are to be written to a node.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// A queue and its end.
pub(super) fn queue() -> (Control, Messages) {
    let (sender, messages) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    (Control { messages: sender, waiting: waiting.clone() }, Messages { messages, waiting })
}

impl Control {
    /// Queues a message, unless too many bytes wait already. One for a node that is gone goes nowhere.
    pub(super) fn tell(&self, message: &Encoded) -> Result<(), TooSlow> {
        let size = room_of(&message.0);
        if self.waiting.fetch_add(size, Ordering::Relaxed) + size > MAX_CONTROL_BACKLOG {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            return Err(TooSlow);
        }
        let _ = self.messages.send(message.0.clone());
        Ok(())
    }
}

impl Messages {
    /// Writes them until the connection is gone, or nobody can tell the node anything any more.
    pub(crate) async fn write(mut self, mut send: SendStream) -> StreamLost {
        let mut gathered = Vec::new();
        while self.messages.recv_many(&mut gathered, 64).await > 0 {
            let size = gathered.iter().map(room_of).sum();
            if let Err(lost) = send.write(&mut gathered).await {
                return lost;
            }
            gathered.clear();
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        // The hub dropped the link: the node was taken out.
        StreamLost::Stopped
    }
}

/// What a message that waits takes, its place in the queue included.
fn room_of(message: &Bytes) -> usize {
    message.len() + size_of::<Bytes>()
}

#[cfg(test)]
mod tests {
    use daffi_core::wire::{
        control::{Member, Offered},
        limits::MAX_CONTROL,
        offer::Offer,
    };

    use super::*;

    fn joined(signature: usize) -> Encoded {
        let offer = Offer { name: "add".into(), signature: "x".repeat(signature), ..Offer::default() };
        let member = Member { id: 1, name: "gpu".into(), offers: vec![Offered { id: 1, offer }] };
        (&ToNode::Joined { member }).into()
    }

    #[test]
    fn what_is_told_to_many_is_there_once() {
        let ((one, mut to_one), (other, mut to_other)) = (queue(), queue());
        let message = joined(1_000);
        assert_eq!((one.tell(&message), other.tell(&message)), (Ok(()), Ok(())));
        let (first, second) = (to_one.messages.try_recv().unwrap(), to_other.messages.try_recv().unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn a_few_large_messages_are_too_many_and_those_of_a_thousand_nodes_are_not() {
        let (control, _messages) = queue();
        let large = joined(MAX_CONTROL - 1_000);
        let told = (0..100).take_while(|_| control.tell(&large).is_ok()).count();
        assert_eq!(told, MAX_CONTROL_BACKLOG / MAX_CONTROL);

        let (control, _messages) = queue();
        let small = joined(4_000);
        assert!((0..1_000).all(|_| control.tell(&small).is_ok()));
    }

    #[test]
    fn tiny_messages_are_not_free() {
        let (control, _messages) = queue();
        let tiny = (&ToNode::Probe).into();
        let told = (0..MAX_CONTROL_BACKLOG).take_while(|_| control.tell(&tiny).is_ok()).count();
        assert!(told < MAX_CONTROL_BACKLOG / size_of::<Bytes>(), "{told}");
    }
}
