//! How much a controller lets others use of it: all that its owner may set, with a default that systems of common size never meet.
//!
//! What exceeds a limit is refused with a typed error that names the limit, where it is a node that exceeds it; a stranger is told as
//! much as QUIC lets it be told. Below these there are limits of the protocol that nobody sets:
//! [`daffi_core::wire::limits`].

use std::time::Duration;

use bytesize::ByteSize;
use daffi_core::wire::{
    control::Terms,
    limits::{self, MAX_CALLBACKS, MAX_CALLS, MAX_LANE_BACKLOG, MAX_PAYLOAD},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};

/// The most `handshake_time`, and more than any network needs: it is the time for which a stranger may hold a place.
const MAX_HANDSHAKE_TIME: Duration = Duration::from_secs(3_600);

/// The least `silence`: a busy machine lets a process wait for a part of it now and then.
const MIN_SILENCE: Duration = Duration::from_millis(500);

/// The least `message_size`: there must be room to say what went wrong.
const MIN_MESSAGE: u64 = 1 << 10;

/// How much a controller lets others use of it.
///
/// In a configuration file a size is a number of bytes or text such as `"16 MiB"`, a time is text such as `"5s"`; what is left out has
/// its default, and a key that is none is an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// How many nodes may have joined at a time; 10,000. One more is refused with `JoinError::Limit`. Each node is told of all others
    /// in one message, which has room for some 10,000 with a few callbacks each.
    pub nodes: usize,
    /// How many callbacks a node may offer; 4,096, which is all that the protocol allows. `JoinError::TooManyCallbacks` for a node that
    /// knows the limit, `JoinError::Limit` for one that joins with more.
    pub callbacks_per_node: usize,
    /// How many streams a node may send at a time; not set. One more fails with `CallError::Limit` at each of its receivers. If it is
    /// not set, 127 go on at a time and further ones wait until one of them ends. Streams of results are not counted: they belong to
    /// their calls.
    pub streams_per_node: Option<u32>,
    /// How many calls of a node may be under way; a broadcast counts once for each of its receivers. 262,144: a node makes 16,384 calls
    /// at a time by itself, so only large broadcasts can meet it. One more fails with `CallError::Limit`.
    pub calls_per_node: usize,
    /// How many bytes of replies may wait for a node that calls and takes its results more slowly than they come; 1 GiB, which is four of
    /// the largest, or 64 KiB for each call that a node makes at a time. A node for which more wait loses its connection. At least 64 MiB,
    /// which is what may wait of calls, and `message_size`.
    #[serde(deserialize_with = "size")]
    pub backlog_per_node: u64,
    /// The largest payload of a call or reply; 256 MiB, which is all that the protocol allows. More fails with `CallError::TooLarge`
    /// before it is sent. The controller holds a large message whole while it passes.
    #[serde(deserialize_with = "size")]
    pub message_size: u64,
    /// The largest item of a stream; 256 MiB likewise. More fails with `CallError::SourceFailed` at its producer.
    #[serde(deserialize_with = "size")]
    pub item_size: u64,
    /// How long a peer has from its first packet to a valid hello; 5 s, which is ten round trips of the slowest networks. One that takes
    /// longer loses its connection, and joins anew if it is a node. An hour at most.
    #[serde(deserialize_with = "time")]
    pub handshake_time: Duration,
    /// After how long without a word a node is taken for dead, and the controller by its nodes; 2.4 s. Half a second at least, ten seconds
    /// at most. By a node the time is counted from its first word that the controller leaves without an answer, up to 0.5 s later. It
    /// takes longer where answers are slow: three times what QUIC takes for the longest that one may be away.
    #[serde(deserialize_with = "time")]
    pub silence: Duration,
    /// How many connections may be there that have not joined yet, half of them from one address; 1,024, some 40 MB. A node that meets
    /// one of the limits of connections tries again, and gets `JoinError::Limit` when its time to join is over.
    pub handshakes: usize,
    /// From how many such connections on a peer has to show, at the cost of a round trip, that it receives what is sent to its address;
    /// 64, and half of `handshakes` at most. So a flood with addresses that are not the sender's own takes no more places than these. The
    /// same is asked of it while less than half is left of what may come at once (`connections_burst`, in all or from its address):
    /// the other half is for those who have shown theirs.
    pub validate_above: usize,
    /// How many connections a second are taken; 1,000, half of what a core can do.
    pub connections_per_second: u32,
    /// How many more are taken at once, after a while without any; 2,000.
    pub connections_burst: u32,
    /// How many connections a second are taken from one address (of IPv6, one network of 64 bits); 500, half of the above.
    pub connections_per_second_per_address: u32,
    /// How many more are taken from it at once; 1,000.
    pub connections_burst_per_address: u32,
    /// How many bytes a second each node may send, calls, replies and items together; not set. It is the same when it joins again. What it sends beyond that is not read,
    /// so that it waits and nothing is lost. What it may send in a second it may send at once.
    #[serde(deserialize_with = "some_size")]
    pub bytes_per_second_per_node: Option<u64>,
}

/// The limits cannot be as they are set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLimits {
    /// One is below the least that works.
    #[error("the limit `{name}` is {}, and has to be at least {}", in_its_unit(.name, *.value), in_its_unit(.name, *.least))]
    TooLow {
        /// Its name.
        name: &'static str,
        /// What it is; of times, in milliseconds.
        value: u64,
        /// What it has to be.
        least: u64,
    },
    /// One is above the most that works.
    #[error("the limit `{name}` is {}, and may be {} at most", in_its_unit(.name, *.value), in_its_unit(.name, *.most))]
    TooHigh {
        /// Its name.
        name: &'static str,
        /// What it is; of times, in milliseconds.
        value: u64,
        /// The most that there may be.
        most: u64,
    },
}

impl InvalidLimits {
    /// The name of the limit that is wrong.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLow { name, .. } | Self::TooHigh { name, .. } => name,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 10_000,
            callbacks_per_node: MAX_CALLBACKS,
            streams_per_node: None,
            calls_per_node: 16 * MAX_CALLS,
            backlog_per_node: 4 * MAX_PAYLOAD as u64,
            message_size: MAX_PAYLOAD as u64,
            item_size: MAX_PAYLOAD as u64,
            handshake_time: limits::HANDSHAKE,
            silence: limits::SILENCE,
            handshakes: 1_024,
            validate_above: 64,
            connections_per_second: 1_000,
            connections_burst: 2_000,
            connections_per_second_per_address: 500,
            connections_burst_per_address: 1_000,
            bytes_per_second_per_node: None,
        }
    }
}

impl Limits {
    /// Whether a controller can keep to them.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`], of the first that is wrong.
    pub fn check(&self) -> Result<(), InvalidLimits> {
        let payload = MAX_PAYLOAD as u64;
        for (name, value, least, most) in [
            ("nodes", self.nodes as u64, 1, u64::MAX),
            ("callbacks_per_node", self.callbacks_per_node as u64, 1, MAX_CALLBACKS as u64),
            // QUIC counts streams of both sides with 62 bits; long before that memory is the limit.
            ("streams_per_node", self.streams_per_node.unwrap_or(1).into(), 1, 1 << 20),
            ("calls_per_node", self.calls_per_node as u64, 1, u64::MAX),
            // What others may send it without being asked has to fit.
            (
                "backlog_per_node",
                self.backlog_per_node,
                (MAX_LANE_BACKLOG as u64).saturating_add(self.message_size),
                u64::MAX,
            ),
            ("message_size", self.message_size, MIN_MESSAGE, payload),
            ("item_size", self.item_size, 1, payload),
            ("handshake_time", millis(self.handshake_time), 1, millis(MAX_HANDSHAKE_TIME)),
            ("silence", millis(self.silence), millis(MIN_SILENCE), millis(limits::MAX_SILENCE)),
            ("handshakes", self.handshakes as u64, 2, u64::MAX),
            ("connections_per_second", self.connections_per_second.into(), 1, u64::MAX),
            ("connections_burst", self.connections_burst.into(), 1, u64::MAX),
            ("connections_per_second_per_address", self.connections_per_second_per_address.into(), 1, u64::MAX),
            ("connections_burst_per_address", self.connections_burst_per_address.into(), 1, u64::MAX),
            ("bytes_per_second_per_node", self.bytes_per_second_per_node.unwrap_or(1), 1, u64::MAX),
        ] {
            if value < least {
                return Err(InvalidLimits::TooLow { name, value, least });
            }
            if value > most {
                return Err(InvalidLimits::TooHigh { name, value, most });
            }
        }
        Ok(())
    }

    /// What nodes are told, so that they keep to it by themselves.
    pub(crate) const fn terms(&self) -> Terms {
        Terms { message_size: self.message_size, item_size: self.item_size, callbacks: self.callbacks_per_node as u64 }
    }

    /// How many streams QUIC lets a node have open: its control stream, those that it may have, and some that are being refused.
    pub(crate) const fn open_streams(&self) -> u32 {
        const REFUSED: u32 = 32;
        match self.streams_per_node {
            Some(streams) => streams.saturating_add(1 + REFUSED),
            None => 0,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// As people write it.
fn in_its_unit(name: &str, value: u64) -> String {
    match name {
        "handshake_time" | "silence" => humantime::format_duration(Duration::from_millis(value)).to_string(),
        _ => value.to_string(),
    }
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let wrong = |error| D::Error::custom(format!("{error}; a size is a number of bytes, or text such as \"16 MiB\""));
    ByteSize::deserialize(from).map(|size| size.as_u64()).map_err(wrong)
}

fn some_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    size(from).map(Some)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Else(IgnoredAny),
    }
    let Written::Text(text) = Written::deserialize(from)? else {
        return Err(D::Error::custom("a time is text with its unit, such as \"10s\""));
    };
    humantime::parse_duration(&text).map_err(|error| D::Error::custom(format!("`{text}` is no time: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
    }

    #[test]
    fn people_write_sizes_and_times_as_they_do() {
        let text = r#"{"item_size": "16 MiB", "message_size": 2048, "handshake_time": "1s 500ms", "bytes_per_second_per_node": "10MB",
            "streams_per_node": 4}"#;
        let limits: Limits = serde_json::from_str(text).unwrap();
        assert_eq!((limits.item_size, limits.message_size), (16 << 20, 2_048));
        assert_eq!(limits.handshake_time, Duration::from_millis(1_500));
        assert_eq!((limits.bytes_per_second_per_node, limits.streams_per_node), (Some(10_000_000), Some(4)));
        assert_eq!(limits.nodes, Limits::default().nodes);
    }

    #[test]
    fn a_misspelled_limit_is_an_error_that_lists_those_that_there_are() {
        let error = serde_json::from_str::<Limits>(r#"{"node": 3}"#).unwrap_err().to_string();
        assert!(error.contains("`node`") && error.contains("`nodes`"), "{error}");
        let error = serde_json::from_str::<Limits>(r#"{"handshake_time": "soon"}"#).unwrap_err().to_string();
        assert!(error.contains("`soon` is no time"), "{error}");
        let error = serde_json::from_str::<Limits>(r#"{"silence": 10}"#).unwrap_err().to_string();
        assert!(error.contains(r#"such as "10s""#), "{error}");
        let error = serde_json::from_str::<Limits>(r#"{"item_size": "16 GiBi"}"#).unwrap_err().to_string();
        assert!(error.contains(r#"such as "16 MiB""#), "{error}");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check()
        };
        assert_eq!(with(|l| l.nodes = 1), Ok(()));
        assert_eq!(with(|l| l.nodes = 0), Err(InvalidLimits::TooLow { name: "nodes", value: 0, least: 1 }));
        assert_eq!(with(|l| l.message_size = 1 << 10), Ok(()));
        assert!(with(|l| l.message_size = 1_023).is_err());
        let most = MAX_PAYLOAD as u64;
        assert_eq!(with(|l| l.backlog_per_node = 320 << 20), Ok(()));
        let least = (64 << 20) + most;
        let too_low = InvalidLimits::TooLow { name: "backlog_per_node", value: least - 1, least };
        assert_eq!(with(|l| l.backlog_per_node = (320 << 20) - 1), Err(too_low));
        let too_high = InvalidLimits::TooHigh { name: "item_size", value: most + 1, most };
        assert_eq!(with(|l| l.item_size += 1), Err(too_high));
        assert!(with(|l| l.callbacks_per_node += 1).is_err());
        assert!(with(|l| l.handshake_time = Duration::ZERO).is_err());
        assert_eq!(with(|l| l.silence = Duration::from_millis(500)), Ok(()));
        let too_low = InvalidLimits::TooLow { name: "silence", value: 499, least: 500 };
        assert_eq!(too_low.to_string(), "the limit `silence` is 499ms, and has to be at least 500ms");
        assert_eq!(with(|l| l.silence = Duration::from_millis(499)), Err(too_low));
        assert_eq!(with(|l| l.silence = Duration::from_secs(10)), Ok(()));
        assert!(with(|l| l.silence = Duration::from_millis(10_001)).is_err());
        assert!(with(|l| l.bytes_per_second_per_node = Some(0)).is_err());
    }

    #[test]
    fn a_time_that_ends_never_is_too_long() {
        for text in ["300000000000y", "61m"] {
            let limits: Limits = serde_json::from_str(&format!(r#"{{"handshake_time": "{text}"}}"#)).unwrap();
            let wrong = limits.check().unwrap_err();
            assert!(matches!(wrong, InvalidLimits::TooHigh { name: "handshake_time", most: 3_600_000, .. }), "{wrong}");
        }
        assert_eq!(Limits { handshake_time: Duration::from_secs(3_600), ..Limits::default() }.check(), Ok(()));
    }
}
