//! What an item is made of: its number, when it was made, and at the end its number once more, so that one that was cut or mixed
//! with another is noticed.

/// Number and time, in eight bytes each, little-endian.
const HEAD: usize = 16;

/// The number, inverted.
const TAIL: usize = 8;

/// What an item says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) number: u64,
    /// When it was made, by [`monotonic_ns`](crate::clock::monotonic_ns); 0 if that does not matter.
    pub(crate) made_ns: u64,
}

impl Marks {
    /// Makes an item of these bytes, of which there are at least 24.
    pub(crate) fn write(self, item: &mut [u8]) {
        let end = item.len() - TAIL;
        item[..8].copy_from_slice(&self.number.to_le_bytes());
        item[8..HEAD].copy_from_slice(&self.made_ns.to_le_bytes());
        item[end..].copy_from_slice(&(!self.number).to_le_bytes());
    }

    /// What this item says, if it is whole.
    pub(crate) fn read(item: &[u8]) -> Option<Self> {
        let (head, rest) = item.split_first_chunk::<HEAD>()?;
        Self::of(head, rest.last_chunk()?)
    }

    fn of(head: &[u8; HEAD], tail: &[u8; TAIL]) -> Option<Self> {
        let [number, made_ns] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte])));
        (u64::from_le_bytes(*tail) == !number).then_some(Self { number, made_ns })
    }
}

/// Finds items in a stream of bytes in which each follows the one before, without copying more than their marks: for the
/// floors, which know of nothing.
#[derive(Debug)]
pub(crate) struct Splitter {
    length: usize,
    /// How much of the item at hand has come.
    offset: usize,
    head: [u8; HEAD],
    tail: [u8; TAIL],
}

impl Splitter {
    /// For items of this length.
    pub(crate) const fn new(length: usize) -> Self {
        Self { length, offset: 0, head: [0; HEAD], tail: [0; TAIL] }
    }

    /// Gives the marks of every item that ends in `bytes`; nothing for one that is not whole.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Option<Marks>)) {
        if self.offset > 0 {
            let (end, rest) = bytes.split_at(bytes.len().min(self.length - self.offset));
            self.keep(end);
            bytes = rest;
            if self.offset < self.length {
                return;
            }
            self.offset = 0;
            found(Marks::of(&self.head, &self.tail));
        }
        let mut items = bytes.chunks_exact(self.length);
        items.by_ref().for_each(|item| found(Marks::read(item)));
        self.keep(items.remainder());
    }

    /// Takes note of what belongs to the marks of the item at hand.
    fn keep(&mut self, piece: &[u8]) {
        let (begin, end) = (self.offset, self.offset + piece.len());
        copy_overlap(&mut self.head, 0, piece, begin);
        copy_overlap(&mut self.tail, self.length - TAIL, piece, begin);
        self.offset = end;
    }
}

/// Copies to `to`, which begins at byte `to_at` of an item, what `from`, which begins at byte `from_at`, has of it.
fn copy_overlap(to: &mut [u8], to_at: usize, from: &[u8], from_at: usize) {
    let begin = to_at.max(from_at);
    let end = (to_at + to.len()).min(from_at + from.len());
    if begin < end {
        to[begin - to_at..end - to_at].copy_from_slice(&from[begin - from_at..end - from_at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: usize = HEAD + TAIL;

    fn items(count: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length * count as usize];
        for (item, number) in bytes.chunks_exact_mut(length).zip(0..) {
            Marks { number, made_ns: number + 7 }.write(item);
        }
        bytes
    }

    #[test]
    fn a_whole_item_says_its_number_and_another_nothing() {
        for length in [SHORTEST, 64, 1_000] {
            let mut item = items(1, length);
            assert_eq!(Marks::read(&item), Some(Marks { number: 0, made_ns: 7 }));
            item[length - 1] ^= 1;
            assert_eq!(Marks::read(&item), None);
        }
        assert_eq!(Marks::read(&items(1, 64)[..SHORTEST - 1]), None);
        assert_eq!(Marks::read(&[]), None);
    }

    #[test]
    fn items_are_found_however_the_bytes_are_cut() {
        for length in [SHORTEST, 64, 100] {
            let bytes = items(20, length);
            for piece in [1, 3, 8, 23, 24, 63, 64, 65, 250, 10_000] {
                let mut splitter = Splitter::new(length);
                let mut found = Vec::new();
                bytes.chunks(piece).for_each(|piece| splitter.feed(piece, |marks| found.push(marks.unwrap().number)));
                assert_eq!(found, (0..20).collect::<Vec<_>>(), "items of {length} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn an_item_that_is_not_whole_is_found_and_says_nothing() {
        let mut bytes = items(3, 64);
        bytes[2 * 64 - 1] ^= 1;
        let mut found = Vec::new();
        Splitter::new(64).feed(&bytes, |marks| found.push(marks.map(|marks| marks.number)));
        assert_eq!(found, [Some(0), None, Some(2)]);
    }
}
