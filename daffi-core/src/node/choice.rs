//! Which of the nodes that offer a callback is called.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use siphasher::sip::SipHasher13;

/// What a call says about the node that is to run it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Choice {
    /// The next in turn.
    #[default]
    Turn,
    /// The one of this name.
    Named(String),
    /// The one with the fewest calls of this node under way.
    LeastBusy,
    /// The one that this key belongs to.
    Sticky(Vec<u8>),
}

/// The calls that this node has under way at another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load(Arc<AtomicUsize>);

impl Load {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, until the guard is dropped.
    pub(crate) fn enter(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct Busy(Load);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How much a node wants a key; the one that wants it most gets it. Rendezvous hashing (Thaler and Ravishankar, 1998): when a
/// node comes or goes, only the keys that it gets or had change their place. By name, so that a node which comes back gets
/// back its keys, and with a hash that is the same in every process.
pub(crate) fn affinity(key: &[u8], node: &str) -> u64 {
    let mut bytes = Vec::with_capacity(key.len() + 1 + node.len());
    bytes.extend_from_slice(node.as_bytes());
    // No name has this byte in it.
    bytes.push(0);
    bytes.extend_from_slice(key);
    SipHasher13::new().hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_and_stay_when_a_node_leaves() {
        let place = |key: u32, nodes: &[&'static str]| {
            let key = key.to_be_bytes();
            *nodes.iter().max_by_key(|node| affinity(&key, node)).unwrap()
        };
        let (all, fewer) = (["a", "b", "c"], ["a", "c"]);
        let mut counts = [0; 3];
        for key in 0..3_000 {
            let at = place(key, &all);
            counts[all.iter().position(|node| *node == at).unwrap()] += 1;
            if at != "b" {
                assert_eq!(place(key, &fewer), at);
            }
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_load_falls_when_its_call_has_ended() {
        let load = Load::default();
        let busy = load.enter();
        assert_eq!(load.count(), 1);
        drop(busy);
        assert_eq!(load.count(), 0);
    }
}
