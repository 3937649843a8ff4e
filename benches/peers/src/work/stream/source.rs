//! What a sender streams: numbered items, as fast as they are taken or at a camera's pace.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Scene, item::Marks};
use crate::clock::monotonic_ns;

/// Gives so many items. As an iterator it blocks until the next is due.
#[derive(Debug)]
pub(crate) struct Source {
    /// A copy of this costs what a camera's driver would, and no page of fresh memory.
    template: Vec<u8>,
    next: u64,
    count: u64,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When the first item was asked for.
    begun: Option<Instant>,
}

impl Source {
    pub(crate) fn new(scene: &Scene, count: u32) -> Self {
        Self {
            template: (0..scene.length).map(|index| index as u8).collect(),
            next: 0,
            count: count.into(),
            pace: scene.fps.map(|fps| Pace { interval: Duration::from_secs(1) / fps, begun: None }),
        }
    }

    /// The next item, for those with a runtime. Cancel safe.
    pub(crate) async fn next_item(&mut self) -> Option<Vec<u8>> {
        let due = self.due()?;
        if let Some(due) = due.filter(|due| Instant::now() < *due) {
            tokio::time::sleep_until(due.into()).await;
            return Some(self.make(monotonic_ns()));
        }
        Some(self.make(since(due)))
    }

    /// The bytes of the next items until there are `enough`; of those with a pace no more than one. Cancel safe.
    pub(crate) async fn next_bytes(&mut self, enough: usize) -> Option<Vec<u8>> {
        if self.pace.is_some() {
            return self.next_item().await;
        }
        let mut bytes = Vec::with_capacity(enough.max(self.template.len()));
        self.fill(&mut bytes, enough);
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Puts the next items at the end of `bytes` until it has `enough` or there are no more: for those to whom items are nothing
    /// but bytes. Blocks until the first is due, and takes of those with a pace no more than one.
    pub(crate) fn fill(&mut self, bytes: &mut Vec<u8>, enough: usize) {
        loop {
            let Some(item) = self.mark_next() else { return };
            bytes.extend_from_slice(item);
            if self.pace.is_some() || bytes.len() + self.template.len() > enough {
                return;
            }
        }
    }

    /// When the next item is due, if there is one: without a pace at no time of its own.
    fn due(&mut self) -> Option<Option<Instant>> {
        if self.next == self.count {
            return None;
        }
        let number = u32::try_from(self.next).unwrap_or(u32::MAX);
        Some(self.pace.as_mut().map(|pace| *pace.begun.get_or_insert_with(Instant::now) + pace.interval * number))
    }

    fn mark_next(&mut self) -> Option<&[u8]> {
        let due = self.due()?;
        let made_ns = match due.map(|due| due.saturating_duration_since(Instant::now())) {
            Some(early) if !early.is_zero() => {
                thread::sleep(early);
                monotonic_ns()
            }
            _ => since(due),
        };
        self.mark(made_ns);
        Some(&self.template)
    }

    fn make(&mut self, made_ns: u64) -> Vec<u8> {
        self.mark(made_ns);
        self.template.clone()
    }

    fn mark(&mut self, made_ns: u64) {
        Marks { number: self.next, made_ns }.write(&mut self.template);
        self.next += 1;
    }
}

impl Iterator for Source {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.mark_next()?.to_vec())
    }
}

/// When an item was made that was due at a time that has passed: then. A frame that nobody was ready to take has waited.
fn since(due: Option<Instant>) -> u64 {
    due.map_or(0, |due| monotonic_ns().saturating_sub(due.elapsed().as_nanos().try_into().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::stream::Kind;

    fn scene(fps: Option<u32>) -> Scene {
        Scene { kind: Kind::Tiny, length: 64, receivers: 1, fps, slow: false }
    }

    fn marks(items: &[u8]) -> Vec<Marks> {
        items.chunks_exact(64).map(|item| Marks::read(item).unwrap()).collect()
    }

    #[test]
    fn items_are_numbered_and_end() {
        let items: Vec<_> = Source::new(&scene(None), 5).collect();
        assert!(items.iter().all(|item| item.len() == 64));
        let numbers: Vec<_> = marks(&items.concat()).iter().map(|marks| (marks.number, marks.made_ns)).collect();
        assert_eq!(numbers, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
    }

    #[test]
    fn bytes_are_filled_with_whole_items() {
        let mut source = Source::new(&scene(None), 5);
        let mut bytes = Vec::new();
        source.fill(&mut bytes, 200);
        assert_eq!(bytes.len(), 3 * 64);
        bytes.clear();
        source.fill(&mut bytes, 10);
        assert_eq!(bytes.len(), 64, "at least one");
        source.fill(&mut bytes, 10_000);
        assert_eq!(marks(&bytes).iter().map(|marks| marks.number).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_pace_is_kept_and_what_was_not_taken_has_waited() {
        let mut source = Source::new(&scene(Some(200)), 3);
        let mut bytes = source.next().unwrap();
        // Whoever asks late gets what was due long ago.
        thread::sleep(Duration::from_millis(12));
        let asked = monotonic_ns();
        bytes.extend(source.next().unwrap());
        bytes.extend(source.next().unwrap());
        let [first, second, third] = marks(&bytes)[..] else { panic!("three items") };
        assert!(first.made_ns < second.made_ns && second.made_ns < third.made_ns && third.made_ns < asked);
    }

    #[tokio::test]
    async fn the_same_items_come_to_those_who_await_them() {
        let mut source = Source::new(&scene(Some(1_000)), 3);
        let mut bytes = Vec::new();
        while let Some(item) = source.next_item().await {
            bytes.extend(item);
        }
        let marks = marks(&bytes);
        assert_eq!(marks.iter().map(|marks| marks.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(marks.iter().all(|marks| marks.made_ns > 0));
    }
}
