//! The producer's end of a stream: what it may send, and what it may have to send again.
//!
//! A stream that goes on after its connection broke goes on from the last item that each receiver has. So what not every
//! receiver has finished that is to have all items is kept: they grant what they have finished and a window, which says what that
//! is, and bounds it.

use std::collections::VecDeque;

use super::{
    batch::Batch,
    credit::{Allowance, Credit},
    item_stream::Mark,
    limits,
    position::Position,
};

/// What a stream may have on its way from the start.
const WINDOW: Credit = Credit { items: limits::STREAM_WINDOW_ITEMS, bytes: limits::STREAM_WINDOW_BYTES };

/// The batches and fragments of a stream, in the order in which they go.
#[derive(Debug)]
pub struct Outflow {
    allowance: Allowance,
    /// What is granted, but for the window, is finished.
    granted: Credit,
    /// What is kept: sent and not finished, or not sent.
    units: VecDeque<Unit>,
    /// How many of these were sent.
    sent: usize,
    /// Behind all of them.
    end: Mark,
    /// Sent units are kept.
    keeps: bool,
    /// The other side is told first where the stream goes on.
    marks: Marks,
}

#[derive(Debug)]
struct Unit {
    start: Mark,
    batch: Batch,
}

impl Unit {
    fn end(&self) -> Mark {
        let Mark { position, credit } = self.start;
        Mark { position: position.after(self.batch.header()), credit: credit.plus(self.batch.cost()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// The stream goes on where it is.
    None,
    /// Nothing goes before the other side has said where.
    Awaited,
    Due,
}

/// What goes next.
#[derive(Debug)]
pub enum Next<'a> {
    /// This.
    Batch(&'a Batch),
    /// This, and then what follows it.
    Mark(Mark),
    /// More than is granted.
    NoCredit,
    /// Nothing, before the other side has said where the stream goes on.
    Lost,
    /// Nothing that is known yet.
    Nothing,
}

impl Outflow {
    /// Of a stream that begins. If it `keeps` what it has sent, it can go on elsewhere.
    pub fn new(keeps: bool) -> Self {
        let mut allowance = Allowance::default();
        allowance.raise(WINDOW);
        Self {
            allowance,
            granted: WINDOW,
            units: VecDeque::new(),
            sent: 0,
            end: Mark::default(),
            keeps,
            marks: Marks::None,
        }
    }

    /// Takes in what follows: a batch, a fragment, or the end.
    pub fn push(&mut self, batch: Batch) {
        let unit = Unit { start: self.end, batch };
        self.end = unit.end();
        self.units.push_back(unit);
    }

    /// What goes next, and counts it as sent.
    #[expect(clippy::should_implement_trait, reason = "there may be more after nothing")]
    pub fn next(&mut self) -> Next<'_> {
        if !self.keeps {
            self.units.drain(..std::mem::take(&mut self.sent));
        }
        match self.marks {
            Marks::Awaited => return Next::Lost,
            Marks::Due => {
                self.marks = Marks::None;
                return Next::Mark(self.here());
            }
            Marks::None => {}
        }
        let Some(Unit { batch, .. }) = self.units.get(self.sent) else { return Next::Nothing };
        // The end needs no room.
        if !batch.header().is_end() && !self.allowance.may_send() {
            return Next::NoCredit;
        }
        self.allowance.spend(batch.cost());
        self.sent += 1;
        Next::Batch(batch)
    }

    /// Whether a batch that came now could go at once.
    pub fn may_send(&self) -> bool {
        self.marks == Marks::None && self.sent == self.units.len() && self.allowance.may_send()
    }

    /// Whether all of it was sent, the end included.
    pub fn is_sent(&self) -> bool {
        self.sent == self.units.len() && self.end.position.is_behind_end()
    }

    /// Where the stream is that was taken in so far.
    pub const fn end(&self) -> Position {
        self.end.position
    }

    /// Takes in a grant; whether it allows more than those before.
    pub fn grant(&mut self, granted: Credit) -> bool {
        self.granted = self.granted.max(granted);
        let finished = self.granted.minus(WINDOW);
        while self.sent > 0
            && self.units.front().is_some_and(|unit| {
                let end = unit.end();
                // The end of the stream is finished with the stream.
                !end.position.is_behind_end()
                    && end.credit.items <= finished.items
                    && end.credit.bytes <= finished.bytes
            })
        {
            self.units.pop_front();
            self.sent -= 1;
        }
        self.allowance.raise(granted)
    }

    /// Goes back to this place, or to where what is kept begins; never forward.
    pub fn rewind(&mut self, to: Position) {
        let sent = self.units.iter().take(self.sent).take_while(|unit| unit.end().position <= to).count();
        self.sent = sent;
        self.allowance.rewind(self.here().credit);
        self.marks = Marks::Due;
    }

    /// Begins anew, perhaps with one who knows nothing of what was: where what is kept begins. Nothing goes before the next
    /// [`rewind`](Self::rewind).
    pub fn resume(&mut self) -> Mark {
        let from = self.units.front().map_or(self.end, |unit| unit.start);
        self.allowance.reset(from.credit.plus(WINDOW));
        self.marks = Marks::Awaited;
        from
    }

    /// Where the next that goes begins.
    fn here(&self) -> Mark {
        self.units.get(self.sent).map_or(self.end, |unit| unit.start)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::{
        batch::{Builder, fragments},
        item_stream::StreamEnd,
    };

    fn batch(first: u64, count: u64, size: usize) -> Batch {
        let mut builder = Builder::default();
        for _ in 0..count {
            builder
                .push(|out| {
                    out.resize(out.len() + size, 0);
                    Ok::<_, Infallible>(())
                })
                .unwrap();
        }
        builder.close(first, 0)
    }

    /// The other side of the stream: it takes what goes on from where it is, and finishes some of it.
    #[derive(Default)]
    struct Taker {
        /// Where the flow is, and where this one is.
        flow: Mark,
        here: Mark,
        finished: Credit,
    }

    impl Taker {
        fn take(&mut self, flow: &mut Outflow, most: usize) {
            for _ in 0..most {
                match flow.next() {
                    Next::Batch(batch) => {
                        let start = self.flow;
                        let position = start.position.after(batch.header());
                        assert_eq!(batch.header().first, start.position.item);
                        self.flow = Mark { position, credit: start.credit.plus(batch.cost()) };
                        assert!(start.position <= self.here.position, "a gap before {start:?}");
                        if start.position == self.here.position {
                            assert_eq!(start.credit, self.here.credit);
                            self.here = self.flow;
                        }
                    }
                    Next::Mark(mark) => self.flow = mark,
                    Next::NoCredit | Next::Lost | Next::Nothing => return,
                }
            }
        }
    }

    #[test]
    fn what_is_finished_is_not_kept() {
        let mut flow = Outflow::new(true);
        for number in 0..100 {
            flow.push(batch(number, 1, 60_000));
        }
        let mut taker = Taker::default();
        taker.take(&mut flow, 1_000);
        // A window, and the batch that may exceed it.
        assert!(matches!(flow.next(), Next::NoCredit));
        let sent = taker.here.position.item;
        assert!((69..72).contains(&sent), "{sent}");
        flow.grant(taker.here.credit.plus(WINDOW));
        assert_eq!(flow.units.len() as u64, 100 - sent);
        taker.take(&mut flow, 1_000);
        assert_eq!(taker.here.position, Position::before(100));
    }

    #[test]
    fn nothing_is_kept_of_a_stream_that_ends_with_its_connection() {
        let mut flow = Outflow::new(false);
        flow.push(batch(0, 3, 10));
        assert!(matches!(flow.next(), Next::Batch(_)));
        assert!(matches!(flow.next(), Next::Nothing) && flow.units.is_empty());
    }

    #[test]
    fn one_who_knows_nothing_is_told_from_where_on() {
        let mut flow = Outflow::new(true);
        (0..4).for_each(|number| flow.push(batch(number, 1, 10)));
        let mut taker = Taker::default();
        taker.take(&mut flow, 3);
        let from = flow.resume();
        assert_eq!(from, Mark::default());
        assert!(matches!(flow.next(), Next::Lost));
        flow.rewind(Position::before(2));
        let Next::Mark(mark) = flow.next() else { panic!("the mark comes first") };
        assert_eq!(mark.position, Position::before(2));
        let Next::Batch(batch) = flow.next() else { panic!("then what follows it") };
        assert_eq!(batch.header().first, 2);
    }

    proptest! {
        // Its batches are large.
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However often the stream is rewound and resumed, with batches of any size: a taker that goes on from where it is finds
        /// no gap, and gets all.
        #[test]
        fn all_of_it_arrives(
            sizes in prop::collection::vec((1u64..4, prop_oneof![4 => 1usize..100, 2 => 50_000usize..200_000, 1 => Just((2usize << 20) + 9)]), 1..12),
            steps in prop::collection::vec((0u8..5, 1usize..6), 0..60),
        ) {
            let mut flow = Outflow::new(true);
            let (mut sizes, mut next) = (sizes.into_iter(), 0);
            let mut taker = Taker::default();
            let mut ended = false;
            let mut feed = |flow: &mut Outflow| match sizes.next() {
                Some((count, size)) => {
                    fragments(batch(next, count, size)).unwrap().for_each(|unit| flow.push(unit));
                    next += count;
                }
                None if !ended => {
                    flow.push(Batch::end(&StreamEnd::Finished, next, 0));
                    ended = true;
                }
                None => {}
            };
            let grant = |flow: &mut Outflow, taker: &mut Taker| {
                taker.finished = taker.here.credit;
                flow.grant(taker.finished.plus(WINDOW));
            };
            for (step, count) in steps {
                match step {
                    0 if flow.may_send() => feed(&mut flow),
                    0 | 1 => taker.take(&mut flow, count),
                    2 => grant(&mut flow, &mut taker),
                    3 => flow.rewind(taker.here.position),
                    _ => {
                        prop_assert!(flow.resume().position <= taker.here.position);
                        prop_assert!(matches!(flow.next(), Next::Lost));
                        flow.rewind(taker.here.position);
                    }
                }
            }
            for _ in 0..100 {
                feed(&mut flow);
                taker.take(&mut flow, usize::MAX);
                grant(&mut flow, &mut taker);
            }
            prop_assert!(taker.here.position.is_behind_end());
            prop_assert_eq!(taker.here.position.item, next);
        }
    }
}
