//! Calls that this node has made and that wait for their answers.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    answers::{Answer, AnswerSender},
    choice::Busy,
    stream::Items,
};
use crate::wire::{CallId, NodeId, failure::Failure, frame::Status, limits::MAX_CALLS};

/// The calls under way.
#[derive(Debug)]
pub(crate) struct Pending {
    calls: Mutex<HashMap<CallId, Waiting>>,
    next: AtomicU64,
    room: Arc<Semaphore>,
    /// A call without return has ended.
    ended: Notify,
}

/// A call that waits for its answers.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// `None` for a call whose result nobody wants.
    answers: Option<AnswerSender>,
    callback: Cow<'static, str>,
    missing: usize,
    /// The nodes that are called have one more call under way, as long as this one is.
    busy: Vec<Busy>,
    permit: OwnedSemaphorePermit,
}

impl Waiting {
    /// One for each node that was made busy.
    pub(crate) const fn for_answers(
        answers: AnswerSender,
        callback: Cow<'static, str>,
        busy: Vec<Busy>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { answers: Some(answers), callback, missing: busy.len(), busy, permit }
    }

    pub(crate) fn for_nothing(callback: Cow<'static, str>, busy: Busy, permit: OwnedSemaphorePermit) -> Self {
        Self { answers: None, callback, missing: 1, busy: vec![busy], permit }
    }
}

/// What an answer means to its call.
enum Answered {
    /// Nobody waits for it any more.
    Unknown,
    /// Others are missing still.
    InPart(mpsc::UnboundedSender<Answer>),
    /// It is the last.
    Whole(Waiting),
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            next: AtomicU64::new(1),
            room: Arc::new(Semaphore::new(MAX_CALLS)),
            ended: Notify::new(),
        }
    }
}

impl Pending {
    /// Waits until fewer than [`MAX_CALLS`] calls are under way. Cancel safe.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Room for a call, if fewer than [`MAX_CALLS`] are under way.
    pub(crate) fn room_now(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().ok()
    }

    /// Notes a call before it is sent, so that no answer can come too early; and whether it is the only one under way.
    pub(crate) fn begin(&self, waiting: Waiting) -> (CallId, bool) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut calls = self.lock();
        calls.insert(id, waiting);
        (id, calls.len() == 1)
    }

    /// Hands an answer to its call. One that nobody waits for any more is dropped.
    pub(crate) fn answer(&self, id: CallId, node: NodeId, status: Status, payload: Bytes) {
        match self.answered(id) {
            Answered::Unknown => {}
            Answered::InPart(answers) => drop(answers.send(Answer::Reply { node, status, payload })),
            Answered::Whole(Waiting { answers, callback, busy, permit, .. }) => {
                // Whoever is told may call again at once, and choose whom by how busy they are.
                drop((busy, permit));
                match answers {
                    Some(answers) => answers.send(Answer::Reply { node, status, payload }),
                    None => {
                        log_unwanted(&callback, node, status, &payload);
                        self.ended.notify_waiters();
                    }
                }
            }
        }
    }

    /// Hands a stream of results to the call that it answers. One that nobody waits for any more is dropped.
    pub(crate) fn answer_by_stream(&self, id: CallId, node: NodeId, items: Items) {
        match self.answered(id) {
            Answered::Unknown => {}
            // Of a broadcast nobody takes streams.
            Answered::InPart(answers) => drop(answers.send(Answer::Results { node, items, busy: Vec::new() })),
            // The one node of a call is busy with it.
            Answered::Whole(Waiting { answers, callback, busy, permit, .. }) => {
                drop(permit);
                match answers {
                    Some(answers) => answers.send(Answer::Results { node, items, busy }),
                    None => {
                        tracing::warn!(%callback, node, "a call without return is answered by a stream, which nobody takes");
                        self.ended.notify_waiters();
                    }
                }
            }
        }
    }

    /// One of the answers to a call has come. It is told without the lock: the caller wakes up at once, and what it needs first is
    /// this lock.
    fn answered(&self, id: CallId) -> Answered {
        let mut calls = self.lock();
        let Some(waiting) = calls.get_mut(&id) else {
            return Answered::Unknown;
        };
        match &waiting.answers {
            Some(AnswerSender::Each(answers)) if waiting.missing > 1 => {
                let answers = answers.clone();
                waiting.missing -= 1;
                Answered::InPart(answers)
            }
            _ => calls.remove(&id).map_or(Answered::Unknown, Answered::Whole),
        }
    }

    /// Waits until the calls have ended whose result nobody waits for. Cancel safe.
    pub(crate) async fn unwanted_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().values().all(|waiting| waiting.answers.is_some()) {
                return;
            }
            ended.await;
        }
    }

    /// Forgets a call; whether an answer was still missing.
    pub(crate) fn forget(&self, id: CallId) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// Ends all calls: their connection is gone.
    pub(crate) fn lose_all(&self) {
        let mut lost: Vec<_> = self.lock().drain().collect();
        // In the order in which they were made.
        lost.sort_unstable_by_key(|(id, _)| *id);
        for (_, waiting) in lost {
            match waiting.answers {
                Some(answers) => answers.send(Answer::ControllerLost),
                None => {
                    tracing::warn!(callback = %waiting.callback, "lost the controller during a call without return");
                }
            }
        }
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Waiting>> {
        // Single insertions and removals: a panic leaves the map whole.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody asked for the result of such a call, but a failure should not vanish without a trace.
fn log_unwanted(callback: &str, node: NodeId, status: Status, payload: &[u8]) {
    match status {
        Status::Value => {}
        Status::Error => tracing::warn!(callback, node, "a call without return ended with the callback's own error"),
        Status::Failure => {
            tracing::warn!(callback, node, failure = ?Failure::decode(payload), "a call without return failed");
        }
    }
}
