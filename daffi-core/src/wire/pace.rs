//! How many items may be on their way to a receiver that is to see fresh ones.
//!
//! As few as keep it busy. To one that is slow that is one item: another would wait while it grew old. If the path is long, the
//! receiver would be idle while the word that it is done travels one way and the next item the other: so as many more as it
//! finishes meanwhile. How long the path is shows in the time from the sending of a batch to the word that it is finished, less the
//! time for which the receiver held it. The shortest seen counts: on a path that is full a batch takes longer, and sending more
//! would only make the queue in front of it longer.

use std::{collections::VecDeque, time::Duration};

use super::limits;

/// The most items that may be on their way.
pub const MOST: u64 = limits::STREAM_WINDOW_ITEMS;

/// A path that takes less than this part of the time in which an item is finished is not worth a second item.
const WORTHWHILE: u128 = 8;

/// Counts what is on its way, and says how much may be. Times are measured from any moment that stays the same.
#[derive(Debug)]
pub struct Pace {
    most: u64,
    sent: u64,
    finished: u64,
    /// The shortest time on the way that was seen, there and back.
    path: Option<Duration>,
    on_the_way: VecDeque<Sent>,
}

#[derive(Debug)]
struct Sent {
    /// The items up to and with this batch.
    total: u64,
    at: Duration,
    /// How many had been finished by then.
    finished: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { most: 1, sent: 0, finished: 0, path: None, on_the_way: VecDeque::new() }
    }
}

impl Pace {
    /// Of a receiver that is back: so many items had come to it, and so many were finished.
    pub fn of_returned(sent: u64, finished: u64) -> Self {
        Self { sent, finished, ..Self::default() }
    }

    /// How many more items may be sent now.
    pub const fn room(&self) -> u64 {
        (self.finished + self.most).saturating_sub(self.sent)
    }

    /// Counts a batch as sent.
    pub fn send(&mut self, items: u64, now: Duration) {
        self.sent = self.sent.saturating_add(items);
        self.on_the_way.push_back(Sent { total: self.sent, at: now, finished: self.finished });
    }

    /// Takes in that the receiver is through with so many items in all. It held the batch of the last of them for `held`, if it
    /// says so; otherwise nothing is measured.
    pub fn finish(&mut self, total: u64, held: Option<Duration>, now: Duration) {
        self.finished = self.finished.max(total.min(self.sent));
        let mut last = None;
        while self.on_the_way.front().is_some_and(|sent| sent.total <= self.finished) {
            last = self.on_the_way.pop_front();
        }
        let (Some(last), Some(held)) = (last, held) else { return };
        let took = now.saturating_sub(last.at);
        let path = took.saturating_sub(held);
        let path = self.path.map_or(path, |shortest| shortest.min(path));
        self.path = Some(path);
        // Items that are finished while one travels: their rate, from the sending of this batch to now, times the path.
        let rate = u128::from(self.finished - last.finished);
        let took = took.as_nanos().max(1);
        let meanwhile = (rate * path.as_nanos()).saturating_sub(took / WORTHWHILE).div_ceil(took);
        self.most = 1 + u64::try_from(meanwhile).unwrap_or(MOST).min(MOST - 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// What ten seconds are like for a receiver at the end of a path, with a source that always has more, ten seconds after the
    /// beginning.
    struct Simulated {
        finished: u64,
        most: u64,
        /// How old the items were when the receiver was done with them, at most.
        age: Duration,
    }

    /// `path` there and back, `link` for each item to get onto it, `handling` for each item.
    fn simulate(path: Duration, link: Duration, handling: Duration) -> Simulated {
        let end = MILLI * 20_000;
        let (mut pace, mut now, mut finished) = (Pace::default(), Duration::ZERO, 0);
        let (mut link_free, mut free, mut count, mut age) = (Duration::ZERO, Duration::ZERO, 0, Duration::ZERO);
        // When each word comes back, and how long the receiver held the item.
        let mut words = VecDeque::new();
        while now < end {
            while pace.room() > 0 {
                pace.send(1, now);
                link_free = link_free.max(now) + link;
                let arrival = link_free + path / 2;
                free = free.max(arrival) + handling;
                if now > end / 2 {
                    age = age.max(free - now);
                }
                words.push_back((free + path / 2, free - arrival));
            }
            let (at, held) = words.pop_front().unwrap();
            now = at;
            count += 1;
            finished += u64::from(now > end / 2);
            pace.finish(count, Some(held), now);
        }
        Simulated { finished, most: pace.most, age }
    }

    #[test]
    fn a_slow_receiver_has_one_item_at_a_time() {
        let near = simulate(MILLI / 4, MILLI / 10, MILLI * 160);
        assert_eq!(near.most, 1);
        assert!(near.age < MILLI * 162, "{:?}", near.age);
    }

    #[test]
    fn a_long_path_is_filled() {
        let far = simulate(MILLI * 100, Duration::ZERO, MILLI * 5);
        assert!(far.finished > 10_000 / 5 * 9 / 10, "{}", far.finished);
        assert!(far.age < MILLI * 75, "{:?}", far.age);
    }

    #[test]
    fn a_thin_path_is_not_flooded() {
        let thin = simulate(MILLI * 10, MILLI * 128, MILLI / 10);
        assert!(thin.most <= 2, "{}", thin.most);
        assert!(thin.age < MILLI * 300, "{:?}", thin.age);
        assert!(thin.finished > 10_000 / 128 * 9 / 10, "{}", thin.finished);
    }

    proptest! {
        /// Whatever a receiver says: never more on the way than may be, never none for ever, and nothing is remembered of what is
        /// finished.
        #[test]
        fn what_is_on_its_way_is_bounded(
            steps in prop::collection::vec((any::<bool>(), 0u64..40, 0u64..5_000, 0u64..5_000), 0..300),
        ) {
            let (mut pace, mut now) = (Pace::default(), Duration::ZERO);
            for (send, count, held, passed) in steps {
                now += Duration::from_micros(passed);
                if send {
                    let items = count.min(pace.room());
                    if items > 0 {
                        pace.send(items, now);
                    }
                } else {
                    pace.finish(pace.finished + count, Some(Duration::from_micros(held)), now);
                }
                prop_assert!((1..=MOST).contains(&pace.most));
                prop_assert!(pace.finished <= pace.sent && pace.sent - pace.finished <= MOST);
                prop_assert!(pace.on_the_way.len() as u64 <= pace.sent - pace.finished);
                prop_assert!(pace.finished < pace.sent || pace.room() > 0);
            }
        }
    }
}
