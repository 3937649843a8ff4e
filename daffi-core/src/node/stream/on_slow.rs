//! What becomes of the items that a receiver is too slow for.

use std::num::NonZeroU32;

/// What happens to items that come faster than a receiver finishes them. Each receiver has a queue of its own at the controller, so
/// what is done for one that is slow concerns that one alone, unless it is [`Block`](Self::Block).
///
/// A callback that says `#[callback(lossless)]` is served as with `Block`, whatever the stub or the call say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnSlow {
    /// The source waits: every receiver gets every item, and the slowest sets the pace of all.
    #[default]
    Block,
    /// So many items wait for the receiver, at most 4 MiB of them or a single larger one; the oldest go when more come. 0 is taken as
    /// 1: an item for which there is no place would never arrive.
    DropOldest(u32),
    /// Only the newest item waits, as with `DropOldest(1)`.
    KeepLatest,
}

impl OnSlow {
    /// How many items may wait; nothing if none may go.
    pub(super) const fn keep(self) -> Option<NonZeroU32> {
        match self {
            Self::Block => None,
            Self::DropOldest(count) => match NonZeroU32::new(count) {
                None => Some(NonZeroU32::MIN),
                some => some,
            },
            Self::KeepLatest => Some(NonZeroU32::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_place_for_one() {
        let places = |on_slow: OnSlow| on_slow.keep().map(NonZeroU32::get);
        assert_eq!(places(OnSlow::Block), None);
        for (on_slow, count) in [(OnSlow::DropOldest(0), 1), (OnSlow::DropOldest(7), 7), (OnSlow::KeepLatest, 1)] {
            assert_eq!(places(on_slow), Some(count));
        }
    }
}
