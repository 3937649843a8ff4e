//! A place in a stream, between two batches or fragments.

use serde::{Deserialize, Serialize};

use super::{
    Malformed,
    batch::{Carries, Header},
    varint,
};

/// A place in a stream: what was before it, by the numbers of the items. Those who pass a stream on may cut its batches, so bytes
/// would say different things to them; the fragments of a large batch are the same for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The number of the next item.
    pub item: u64,
    /// How many bytes came of the batch that begins with it, in fragments. The largest number behind the stream's end.
    pub bytes: u64,
}

impl Position {
    const ENDED: u64 = u64::MAX;

    /// Before this item.
    pub const fn before(item: u64) -> Self {
        Self { item, bytes: 0 }
    }

    /// Behind what comes here, if it follows at this place.
    #[must_use]
    pub const fn after(self, header: &Header) -> Self {
        match header.carries {
            Carries::Items | Carries::Dependents => Self::before(header.next()),
            Carries::Fragment => Self { item: header.first, bytes: self.bytes.saturating_add(header.body as u64) },
            Carries::End => Self { item: header.first, bytes: Self::ENDED },
            Carries::Newcomers | Carries::Mark => self,
        }
    }

    /// Looks at what a peer has told.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if no item can have such a number.
    pub const fn check(self) -> Result<(), Malformed> {
        if self.item > varint::MAX { Err(Malformed("a place that no stream comes to")) } else { Ok(()) }
    }

    /// Whether the stream's end is before it.
    pub const fn is_behind_end(self) -> bool {
        self.bytes == Self::ENDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_what_is_sent() {
        let header = |carries, first, count, body| Header { body, first, count, carries, sent_at: 0 };
        let mut position = Position::default();
        let mut seen = vec![position];
        for (carries, first, count) in [
            (Carries::Items, 0, 3),
            (Carries::Fragment, 3, 0),
            (Carries::Fragment, 3, 0),
            (Carries::Dependents, 3, 1),
            (Carries::End, 4, 0),
        ] {
            position = position.after(&header(carries, first, count, 10));
            seen.push(position);
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
        assert!(position.is_behind_end());
        assert_eq!(seen[3], Position { item: 3, bytes: 20 });
    }
}
