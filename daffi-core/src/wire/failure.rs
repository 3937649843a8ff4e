//! Why a call had no result, as it travels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::shape;

/// Why a callback has no result for its caller. The caller's node turns it into a `CallError`.
///
/// Encoded as a map with a `kind`, so that a kind which an older peer does not know still arrives, as
/// [`Failure::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The callback ran and returned its own error, encoded as a payload.
    App {
        /// The encoded error value.
        #[serde(with = "serde_bytes")]
        error: Vec<u8>,
    },
    /// The node does not offer this callback. It did not run.
    NoCallback,
    /// The node is not there. It did not run.
    NoNode,
    /// The node has more waiting for it than the controller keeps. It did not run.
    Busy,
    /// As many runs of the callback as its node allows are under way, and as many as may wait do. It did not run.
    Full {
        /// How many may run at a time.
        running: u32,
        /// How many may wait.
        waiting: u32,
    },
    /// The controller's rules do not allow it. It did not run.
    NotAllowed {
        /// The node that asked.
        caller: String,
        /// The callback that it asked for.
        callback: String,
        /// What it would have taken.
        right: Right,
    },
    /// A limit that the controller sets is reached. It did not run.
    Limit {
        /// The limit's name in the controller's configuration.
        name: String,
        /// How many there may be.
        allowed: u64,
    },
    /// The controller is about to stop. It did not run.
    Stopping,
    /// The node is about to stop. It did not run.
    NodeStopping,
    /// The arguments do not fit the callback's parameters. It did not run.
    BadArguments {
        /// What did not fit.
        message: String,
    },
    /// The callback panicked.
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The callback ran, and its result cannot be encoded.
    BadResult {
        /// What the encoder said.
        message: String,
    },
    /// The callback ran, and its result is larger than a payload may be.
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The deadline passed before the callback returned.
    Deadline,
    /// The call was cancelled.
    Cancelled,
    /// The connection to the node broke while the call was under way. It may have run.
    NodeLost,
    /// The receiver finished no item for too long and was taken off the stream.
    Stalled {
        /// For how long, in milliseconds.
        millis: u64,
    },
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a controller's rules allow a node to do with a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Right {
    /// To call it on other nodes, whatever the modifier but STREAM. Results that are a stream belong to the call.
    Call,
    /// To offer it to other nodes.
    Offer,
    /// To send a stream of items to it on other nodes.
    Stream,
    /// A right that this version does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Offer => "offer",
            Self::Stream => "stream to",
            Self::Unknown => "use",
        })
    }
}

/// In words, for events and logs.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { .. } => f.write_str("the callback returned an error"),
            Self::NoCallback => f.write_str("the node does not offer the callback"),
            Self::NoNode => f.write_str("the node is not there"),
            Self::Busy => f.write_str("the node has too much waiting for it"),
            Self::Full { running, waiting } => {
                write!(f, "{running} runs of the callback are under way and {waiting} wait, which are all it allows")
            }
            Self::NotAllowed { caller, callback, right: Right::Offer } => {
                write!(f, "no rule allows the node to offer {callback:?}, which {caller:?} asked for")
            }
            Self::NotAllowed { caller, callback, right } => {
                write!(f, "no rule allows {caller:?} to {right} {callback:?}")
            }
            Self::Limit { name, allowed } => write!(f, "the controller's limit `{name}` of {allowed} is reached"),
            Self::Stopping => f.write_str("the controller is stopping"),
            Self::NodeStopping => f.write_str("the node is stopping"),
            Self::BadArguments { message } => write!(f, "the arguments do not fit: {message}"),
            Self::Panicked { message } => write!(f, "the callback panicked: {message}"),
            Self::BadResult { message } => write!(f, "the result cannot be encoded: {message}"),
            Self::TooLarge { size, limit } => write!(f, "the result has {size} bytes, more than {limit}"),
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Cancelled => f.write_str("the call was cancelled"),
            Self::NodeLost => f.write_str("the node was lost"),
            Self::Stalled { millis } => write!(f, "the node finished no item for {millis} ms"),
            Self::Unknown => f.write_str("a failure that this version does not know"),
        }
    }
}

impl Failure {
    /// Encodes the failure as a payload.
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self)
            // A failure consists of numbers, strings and bytes.
            .unwrap_or_else(|error| unreachable!("a failure always encodes: {error}"))
    }

    /// Decodes a failure; what does not decode is [`Failure::Unknown`].
    pub fn decode(payload: &[u8]) -> Self {
        let decoded = shape::check(payload).ok().and_then(|()| rmp_serde::from_slice(payload).ok());
        decoded.unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn round_trips() {
        for failure in [
            Failure::App { error: vec![1, 2] },
            Failure::NoCallback,
            Failure::Limit { name: "calls_per_node".into(), allowed: 7 },
            Failure::Panicked { message: "oh".into() },
            Failure::TooLarge { size: 9, limit: 8 },
            Failure::NotAllowed { caller: "a".into(), callback: "add".into(), right: Right::Stream },
        ] {
            assert_eq!(Failure::decode(&failure.encode()), failure);
        }
    }

    #[test]
    fn a_kind_from_the_future_is_unknown() {
        #[derive(Serialize)]
        struct Future {
            kind: &'static str,
            detail: u32,
        }
        let payload = rmp_serde::to_vec_named(&Future { kind: "eclipsed", detail: 7 }).unwrap();
        assert_eq!(Failure::decode(&payload), Failure::Unknown);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_something(payload: Vec<u8>) {
            let _ = Failure::decode(&payload);
        }
    }
}
