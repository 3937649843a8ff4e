//! Why a connection or a stream is no more, and the codes by which one side tells the other.

use super::CertificateFault;
use crate::wire::limits::MAX_REASON;

/// Why one side closed a connection, as the other side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum CloseCode {
    /// Nothing went wrong: the side is done.
    Done = 0,
    /// The two sides speak different versions of the protocol.
    Version = 1,
    /// The join token is not the controller's.
    Token = 2,
    /// Another node has this name.
    NameTaken = 3,
    /// The node's or a callback's name is not one.
    InvalidName = 4,
    /// The controller is stopping.
    Stopping = 5,
    /// The side sent bytes that make no sense.
    Malformed = 6,
    /// The side exceeded a limit.
    Limit = 7,
    /// The side took too long to say who it is.
    Silent = 8,
    /// The node's certificate does not name it.
    Certificate = 9,
    /// The controller's rules do not allow what the node offers.
    NotAllowed = 10,
    /// A code that this version does not know.
    Unknown = u32::MAX,
}

impl CloseCode {
    /// Reads a code off the wire.
    pub fn from_wire(code: u64) -> Self {
        [
            Self::Done,
            Self::Version,
            Self::Token,
            Self::NameTaken,
            Self::InvalidName,
            Self::Stopping,
            Self::Malformed,
            Self::Limit,
            Self::Silent,
            Self::Certificate,
            Self::NotAllowed,
        ]
        .into_iter()
        .find(|known| *known as u64 == code)
        .unwrap_or(Self::Unknown)
    }
}

/// The connection is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionLost {
    /// The other side closed it and said why.
    #[error("the peer closed the connection: {reason} ({code:?})")]
    ClosedByPeer {
        /// For programs.
        code: CloseCode,
        /// For people: of one line, and no longer than [`MAX_REASON`].
        reason: String,
    },
    /// This side closed it.
    #[error("the connection was closed by this side")]
    ClosedHere,
    /// The controller took no further connection at that moment.
    #[error(
        "the controller takes no further connections at the moment: as many are not yet joined, or came within a second, as its \
         limits let it take"
    )]
    Refused,
    /// Nothing was heard of the other side: for as long as the controller bears ([`SILENCE`](crate::wire::limits::SILENCE), unless its
    /// limit `silence` says otherwise), or while the connection was made.
    #[error("nothing was heard from the peer for too long")]
    TimedOut,
    /// The other side knows nothing of the connection any more: it was started again with its former state, or had heard nothing of this
    /// side for too long. Nobody but the other side can have said so.
    #[error(
        "the peer knows nothing of the connection any more: it was started again, or had heard nothing of this side for too long"
    )]
    Forgotten,
    /// The other side refused this side's certificate, or the lack of one.
    #[error("the peer refused the connection: {0}")]
    CertificateRefused(CertificateFault),
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Failed(String),
}

impl ConnectionLost {
    pub(super) fn closed_by_peer(code: CloseCode, reason: &[u8]) -> Self {
        Self::ClosedByPeer { code, reason: presentable(&String::from_utf8_lossy(reason)) }
    }

    /// With what the transport says, which may be what the peer said.
    pub(super) fn failed(error: &impl ToString) -> Self {
        Self::Failed(presentable(&error.to_string()))
    }
}

/// What a peer says, for logs and terminals: cut, and without what would begin or reorder a line. Anybody can be a peer, without a token.
fn presentable(text: &str) -> String {
    let breaks = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let cut = &text[..text.floor_char_boundary(MAX_REASON)];
    cut.replace(breaks, "?")
}

/// A stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamLost {
    /// The sender gave the stream up.
    #[error("the sender reset the stream")]
    Reset,
    /// The receiver wants no more of it.
    #[error("the receiver stopped the stream")]
    Stopped,
    /// The other side took this one off the stream, because it finished nothing for too long.
    #[error("the other side took this one off the stream, because it finished nothing for too long")]
    Stalled,
    /// The other side took this one off the stream, because its rules allow it no more.
    #[error("the other side took this one off the stream, because its rules allow it no more")]
    NotAllowed,
    /// The whole connection is gone.
    #[error(transparent)]
    Connection(#[from] ConnectionLost),
}

/// Why one side gives a stream up: the code that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum GiveUp {
    /// It wants no more.
    #[default]
    Unwanted = 0,
    /// The other side finished nothing for too long.
    Stalled = 1,
    /// The rules have changed, and allow it no more.
    NotAllowed = 2,
}

impl GiveUp {
    /// What it means to the other side, if it is not that no more is wanted.
    pub(super) fn lost(code: u64, unwanted: StreamLost) -> StreamLost {
        match code {
            code if code == Self::Stalled as u64 => StreamLost::Stalled,
            code if code == Self::NotAllowed as u64 => StreamLost::NotAllowed,
            _ => unwanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_one_short_line() {
        let says = |reason: &[u8]| match ConnectionLost::closed_by_peer(CloseCode::Done, reason) {
            ConnectionLost::ClosedByPeer { reason, .. } => reason,
            other => panic!("{other}"),
        };
        assert_eq!(says("it said \"adiós\", \\o/".as_bytes()), "it said \"adiós\", \\o/");
        assert_eq!(says(b"\r\n2026 ERROR forged\x1b[31m\0\x7f"), "??2026 ERROR forged?[31m??");
        assert_eq!(says("\u{85}\u{2028}\u{202e}\u{2066}".as_bytes()), "????");
        assert_eq!(says(b"\xff"), "\u{fffd}");
        assert_eq!(says("é".repeat(MAX_REASON).as_bytes()).len(), MAX_REASON);
        assert_eq!(says(&[b'x', 0xff].repeat(MAX_REASON)).len(), MAX_REASON);
        assert_eq!(ConnectionLost::failed(&"a\nb"), ConnectionLost::Failed("a?b".into()));
    }
}
