//! What the parts of a soak are told, and what they answer. Lines of JSON, as everywhere in this program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The streams of a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Lossless and without end.
    Steady,
    /// Keeps the latest item for who is slow, and has no end either.
    Live,
    /// A few large items, lossless.
    Large,
}

/// What a producer is told. It answers each with [`Streams`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ProducerOrder {
    /// Begin a stream, once these receivers are there.
    Begin { kind: Kind, stream: u64, receivers: Vec<String> },
    /// Let the streams of this kind come to their end.
    End(Kind),
    /// Tell of the streams.
    Tell,
}

/// The streams of a producer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Streams {
    /// How many are under way.
    pub(super) running: u64,
    /// Those that ended since it was last asked.
    pub(super) finished: Vec<Finished>,
}

/// A stream that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) kind: Kind,
    pub(super) stream: u64,
    /// When, in milliseconds of the time of day.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) outcome: Result<Report, Broken>,
}

/// What the producer's report says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) sent: u64,
    pub(super) parts: Vec<Part>,
}

/// What it says of one receiver.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) node: String,
    pub(super) first: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) failed: Option<String>,
    /// It failed before anything began there: the controller was about to stop, say.
    pub(super) refused: bool,
}

/// There is no report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Broken {
    pub(super) error: String,
    /// Nothing of it began.
    pub(super) refused: bool,
}

/// What a receiver is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ReceiverOrder {
    /// How many items of a kind came in all: `u64`.
    Count(Kind),
    /// The same, once there are more than so many, or after the patience.
    Await { kind: Kind, beyond: u64, millis: u64 },
    /// What came of these streams, which it then forgets: one [`Seen`] for each.
    Take(Vec<u64>),
}

/// What came of a stream to a receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) items: u64,
    /// The number of the first, and of the one that would come next.
    pub(super) first: u64,
    pub(super) next: u64,
    /// Numbers between those that came.
    pub(super) missing: u64,
    /// Items with a number that was there, or passed over, before.
    pub(super) repeated: u64,
}

impl Seen {
    /// One more item came.
    pub(super) fn take(&mut self, number: u64) {
        if self.items == 0 {
            self.first = number;
            self.next = number;
        }
        self.items += 1;
        if number < self.next {
            self.repeated += 1;
            return;
        }
        self.missing += number - self.next;
        self.next = number + 1;
    }
}

/// What the caller is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum CallerOrder {
    /// Begin to call: `()`.
    Go,
    /// What became of the calls: [`Tally`].
    Tell,
    /// The same, once it has stopped to call.
    Stop,
    /// How often this node left: `u64`.
    Left(String),
    /// The same, once it is more than so many times, or after the patience.
    AwaitLeft { node: String, beyond: u64, millis: u64 },
}

/// What became of the calls, those for streams of results included.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) made: u64,
    pub(super) answered: u64,
    /// Typed errors, by their names.
    pub(super) errors: BTreeMap<String, u64>,
    /// Those that did not end by their deadline.
    pub(super) overdue: u64,
    /// Answers and items that were not what they should be.
    pub(super) wrong: u64,
    /// Of these calls, those that must not run twice.
    pub(super) once_made: u64,
    pub(super) once_answered: u64,
    /// Items of streams of results.
    pub(super) results: u64,
}

impl Tally {
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// What ran at the callee, of the calls that must not run twice.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Ran {
    pub(super) ran: u64,
    pub(super) repeated: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_repeated_is_seen() {
        let mut seen = Seen::default();
        for number in [3, 4, 7, 7, 5, 8] {
            seen.take(number);
        }
        assert_eq!(seen, Seen { items: 6, first: 3, next: 9, missing: 2, repeated: 2 });
    }
}
