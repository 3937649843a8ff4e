//! The way of answers to a caller who waits: one answer to a call, one from each node to a broadcast.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{choice::Busy, stream::Items};
use crate::wire::{NodeId, frame::Status};

/// The answer of one node.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What the node replied.
    Reply { node: NodeId, status: Status, payload: Bytes },
    /// The node answers with a stream of results, and is busy with it until that ends.
    Results { node: NodeId, items: Items, busy: Vec<Busy> },
    /// The connection to the controller is gone, and with it all answers.
    ControllerLost,
}

/// Where answers are told.
#[derive(Debug)]
pub(crate) enum AnswerSender {
    /// A queue would take kilobytes for the one answer of most calls.
    One(oneshot::Sender<Answer>),
    Each(mpsc::UnboundedSender<Answer>),
}

/// Where the caller waits for them.
#[derive(Debug)]
pub(crate) enum AnswerReceiver {
    /// Nothing once the answer was taken.
    One(Option<oneshot::Receiver<Answer>>),
    Each(mpsc::UnboundedReceiver<Answer>),
}

/// For the answers of so many nodes.
pub(crate) fn channel(nodes: usize) -> (AnswerSender, AnswerReceiver) {
    if nodes == 1 {
        let (sender, receiver) = oneshot::channel();
        return (AnswerSender::One(sender), AnswerReceiver::One(Some(receiver)));
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    (AnswerSender::Each(sender), AnswerReceiver::Each(receiver))
}

impl AnswerSender {
    /// Tells the last answer. Nobody need wait for it any more.
    pub(crate) fn send(self, answer: Answer) {
        match self {
            Self::One(sender) => drop(sender.send(answer)),
            Self::Each(sender) => drop(sender.send(answer)),
        }
    }
}

impl AnswerReceiver {
    /// The next answer; `None` after the last. Cancel safe.
    pub(crate) async fn recv(&mut self) -> Option<Answer> {
        match self {
            Self::One(waiting) => {
                let answer = waiting.as_mut()?.await.ok();
                *waiting = None;
                answer
            }
            Self::Each(receiver) => receiver.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_the_last_answer_there_is_none() {
        for nodes in [1, 2] {
            let (sender, mut receiver) = channel(nodes);
            sender.send(Answer::ControllerLost);
            assert!(matches!(receiver.recv().await, Some(Answer::ControllerLost)));
            assert!(receiver.recv().await.is_none() && receiver.recv().await.is_none());
        }
    }
}
