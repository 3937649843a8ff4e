//! How many streams each node may send at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use daffi_core::{
    link::LinkError,
    transport::SendStream,
    wire::{
        failure::Failure,
        item_stream::{Answer, ReceiverEnd, ReceiverId, StreamRequest},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::NodeLink;

/// The rooms of all nodes. A node's streams outlive its connection, and its process for as long as their receivers have something to
/// do: so its room is the same when it comes back, and that of another process of its name.
#[derive(Debug)]
pub(crate) struct Rooms {
    allowed: Option<u32>,
    /// By a node's name.
    places: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Where a node's streams have their places.
#[derive(Debug, Clone)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    allowed: u32,
}

impl Rooms {
    /// For so many streams of each node; for any number if there is no limit.
    pub(crate) fn new(allowed: Option<u32>) -> Self {
        Self { allowed, places: Mutex::default() }
    }

    /// A node's room, for as long as it or one of its streams lives; nothing if there is no limit.
    pub(super) fn of(&self, link: &NodeLink) -> Option<Room> {
        let allowed = self.allowed?;
        // Single insertions and removals: a panic leaves the map whole.
        let mut all = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, places| places.strong_count() > 0);
        let known = all.entry(link.name.to_string()).or_default();
        let places = known.upgrade().unwrap_or_else(|| Arc::new(Semaphore::new(allowed as usize)));
        *known = Arc::downgrade(&places);
        Some(Room { places, allowed })
    }
}

impl Room {
    /// A place for one more stream, until it is dropped; or why there is none.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let failure = |_| Failure::Limit { name: "streams_per_node".into(), allowed: self.allowed.into() };
        self.places.clone().try_acquire_owned().map_err(failure)
    }
}

/// Tells the producer that no receiver gets the stream, and why.
pub(super) async fn refuse(mut send: SendStream, request: &StreamRequest, failure: &Failure) -> Result<(), LinkError> {
    let receivers: Vec<ReceiverId> = match &request.resumed {
        Some(resumed) => resumed.receivers.iter().map(|awaited| awaited.receiver).collect(),
        None => (0..).take(request.targets.len()).collect(),
    };
    let mut bytes = Vec::new();
    for receiver in receivers {
        let failure = Some(failure.clone());
        Answer::Ended(ReceiverEnd { receiver, delivered: 0, first: 0, dropped: 0, value: None, failure })
            .put(&mut bytes);
    }
    send.write(&mut [bytes.into()]).await?;
    send.finish();
    Ok(send.settled().await?)
}

#[cfg(test)]
mod tests {
    use daffi_core::{
        link::{FrameSender, Throttle},
        transport::{Connection, memory::Network},
    };

    use super::*;

    fn link(name: &str, instance: u64) -> NodeLink {
        let network = Network::new();
        let _listener = network.listen("controller");
        let connection = Connection::Memory(network.connect(name, "controller").unwrap());
        let (frames, _lane) = FrameSender::new();
        NodeLink::new(connection, frames, Throttle::default(), name, instance).0
    }

    #[tokio::test]
    async fn a_node_that_is_back_has_no_more_room() {
        let rooms = Rooms::new(Some(2));
        let of = |name, instance| rooms.of(&link(name, instance)).unwrap();
        let first = of("a", 7);
        let (one, _other) = (first.enter().unwrap(), first.enter().unwrap());
        let limit = Failure::Limit { name: "streams_per_node".into(), allowed: 2 };
        assert_eq!(first.enter().err(), Some(limit.clone()));
        // Its connection breaks, and its streams go on.
        drop(first);
        let back = of("a", 7);
        assert_eq!(back.enter().err(), Some(limit.clone()));
        assert_eq!(of("a", 8).enter().err(), Some(limit), "another process of its name has no more");
        drop(one);
        assert!(back.enter().is_ok());
        assert!(of("b", 7).enter().is_ok(), "others have rooms of their own");
    }

    #[tokio::test]
    async fn nothing_is_kept_of_who_is_gone() {
        let rooms = Rooms::new(Some(1));
        for name in ["a", "b", "c"] {
            drop(rooms.of(&link(name, 7)).unwrap().enter().unwrap());
        }
        assert_eq!(rooms.places.lock().unwrap().len(), 1);
        assert!(Rooms::new(None).of(&link("a", 1)).is_none());
    }
}
