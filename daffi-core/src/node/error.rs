//! Why a call has no result; and, in a file of its own, why a node did not join.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer};

use crate::wire::failure::{Failure, Right};

mod join;
mod shown;

pub use self::join::JoinError;

/// An error that cannot be: what a callback returns that has no error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("the callback returned an error, and this stub says that it has none"))
    }
}

/// Why a call has no result. `E` is the callback's own error type.
///
/// [`is_retryable`](Self::is_retryable) tells whether the callback surely did not run and the call may be tried again.
///
/// Debug-printing one gives the variant's name and then its sentence, so `main` may return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E = Never> {
    /// The callback ran and returned this error.
    #[error("the callback returned an error: {0}")]
    App(E),
    /// No node was started in this process, and the call names none.
    #[error(
        "this process has no node, or has stopped it: call `Global::builder().start()` and keep what it gives, or name a node \
         with `.on(&node)`"
    )]
    NotStarted,
    /// The node has no connection to its controller at the moment.
    #[error("not connected to the controller: {reason}")]
    NotConnected {
        /// Why.
        reason: String,
    },
    /// Nobody else offers the callback, or the node that the call names does not.
    #[error("{} {name:?}; known callbacks: {}", who_offers_not(.node), list(.known))]
    NoCallback {
        /// The callback that was asked for.
        name: String,
        /// The node that was asked, if the call named one.
        node: Option<String>,
        /// The callbacks that this node offers, or else all others.
        known: Vec<String>,
    },
    /// No node has this name.
    #[error("there is no node {name:?}; present: {}", list(.present))]
    NoNode {
        /// The name that was asked for.
        name: String,
        /// The nodes that are there.
        present: Vec<String>,
    },
    /// The node has more calls waiting than the controller keeps for it.
    #[error("node {node:?} has too much waiting for it: try again later, or slower")]
    Busy {
        /// The node.
        node: String,
    },
    /// As many runs of the callback as its node allows are under way, and as many as may wait for a place do.
    #[error(
        "node {node:?} runs the callback {running} times at once and lets {waiting} wait, and both are reached: try again later"
    )]
    Full {
        /// The node.
        node: String,
        /// How many may run at a time.
        running: u32,
        /// How many may wait.
        waiting: u32,
    },
    /// A limit that the controller sets for each node is reached, for this node or, if it is one of a receiver, for that one.
    #[error(
        "the controller's limit `{name}` of {allowed} is reached: do less at a time, or raise it in the controller's configuration"
    )]
    Limit {
        /// The limit's name in the controller's configuration.
        name: String,
        /// How many there may be.
        allowed: u64,
    },
    /// More nodes offer the callback than one broadcast or stream can go to. It went to none.
    #[error(
        "{targets} nodes offer {callback:?}, and one broadcast or stream goes to at most {limit}: split them by callbacks of other names"
    )]
    TooManyTargets {
        /// The callback.
        callback: String,
        /// How many offer it.
        targets: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// The stub, or the call without one, does not fit the callback. It was not called.
    #[error("{} does not fit {callback}: {why}", who_calls(.stub))]
    Mismatch {
        /// What does not fit.
        why: &'static str,
        /// The stub's signature and where it stands; nothing for a call by name.
        stub: Option<String>,
        /// The callback's signature, its node, and where it stands.
        callback: String,
    },
    /// The controller's rules do not allow it. The callback did not run, unless its result is a stream: then it may have, if the rules have
    /// changed since it was called.
    #[error(
        "node {caller:?} may not {} {callback:?} of node {node:?}: no rule of the controller allows {}; whoever keeps its rules can add \
         one",
        asked_for(.right), what_no_rule_allows(.right, .caller, .node)
    )]
    NotAllowed {
        /// The node that asked.
        caller: String,
        /// The node that was asked.
        node: String,
        /// The callback.
        callback: String,
        /// The right that one of them lacks: the caller that to call or stream, or the other one that to offer.
        right: Right,
    },
    /// The node or the controller is about to stop and begins nothing new.
    #[error("{who} is stopping")]
    Stopping {
        /// Which of them, in words.
        who: String,
    },
    /// There was no answer in time. The callback may have run, or may still run where it cannot be stopped.
    #[error("no answer within {after:.0?}; `.timeout(..)` sets how long to wait")]
    Timeout {
        /// How long the call waited.
        after: Duration,
    },
    /// The call was cancelled: by its handle, or because the callback that made it was.
    #[error("the call was cancelled")]
    Cancelled,
    /// The connection to the node that ran the callback broke. It may have run.
    #[error("node {node:?} was lost during the call; its callback may have run")]
    NodeLost {
        /// The node.
        node: String,
    },
    /// The connection to the controller broke during the call. The callback may have run.
    #[error("the connection to the controller was lost during the call; the callback may have run")]
    ControllerLost,
    /// The arguments cannot be encoded.
    #[error("the arguments cannot be encoded: {message}")]
    Encode {
        /// What the encoder said.
        message: String,
    },
    /// The arguments do not fit the callback's parameters. It did not run.
    #[error("node {node:?}: the arguments do not fit the callback's parameters: {message}")]
    BadArguments {
        /// The node.
        node: String,
        /// What did not fit.
        message: String,
    },
    /// The callback's result is not what the call expects: it does not fit the return type of the stub, or is a stream.
    #[error("the result of node {node:?} is not what the call expects: {message}")]
    BadReply {
        /// The node.
        node: String,
        /// What did not fit.
        message: String,
    },
    /// The callback panicked.
    #[error("the callback panicked on node {node:?}: {message}")]
    Panicked {
        /// The node.
        node: String,
        /// The panic's message.
        message: String,
    },
    /// The callback ran, and its result cannot be encoded.
    #[error("the result on node {node:?} cannot be encoded: {message}")]
    BadResult {
        /// The node.
        node: String,
        /// What the encoder said.
        message: String,
    },
    /// The arguments, an item or the result are larger than a payload may be.
    #[error("{what} has {size} bytes, more than the {limit} that a payload may have: pass it as a stream")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A receiver finished no item of a stream for too long and was taken off it.
    #[error("node {node:?} finished no item for {after:?} and was taken off the stream")]
    Stalled {
        /// The node.
        node: String,
        /// For how long.
        after: Duration,
    },
    /// The source of a stream failed or panicked. The receivers have the items before that.
    #[error("the source failed after {sent} items: {message}")]
    SourceFailed {
        /// What it said.
        message: String,
        /// How many items it gave.
        sent: u64,
    },
    /// A failure that this version of daffi does not know.
    #[error("node {node:?} failed in a way that this version does not know: upgrade it")]
    Unknown {
        /// The node.
        node: String,
    },
}

impl<E> CallError<E> {
    /// Whether the callback surely did not run, and trying again may help. Not for errors that would only repeat themselves,
    /// like arguments that cannot be encoded.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NotConnected { .. }
                | Self::NoCallback { .. }
                | Self::NoNode { .. }
                | Self::Busy { .. }
                | Self::Full { .. }
                | Self::Limit { .. }
                | Self::Stopping { .. }
        )
    }

    /// The same error with another type of application error.
    pub(crate) fn map_app<F>(self, map: impl FnOnce(E) -> CallError<F>) -> CallError<F> {
        match self {
            Self::App(error) => map(error),
            // Not asked for: it is no `App`.
            other => other.map_app_ref(|_| CallError::Cancelled),
        }
    }

    /// What a node's failure means to the caller of `callback`; the directory adds who is there instead.
    pub(crate) fn from_failure(
        failure: Failure,
        node: String,
        callback: &str,
        decode_error: impl FnOnce(&[u8]) -> Result<E, String>,
    ) -> Self {
        match failure {
            Failure::App { error } => match decode_error(&error) {
                Ok(error) => Self::App(error),
                Err(message) => Self::BadReply { node, message },
            },
            Failure::NoCallback => Self::NoCallback { name: callback.to_owned(), node: Some(node), known: Vec::new() },
            Failure::NoNode => Self::NoNode { name: node, present: Vec::new() },
            Failure::Busy => Self::Busy { node },
            Failure::Full { running, waiting } => Self::Full { node, running, waiting },
            Failure::NotAllowed { caller, callback, right } => Self::NotAllowed { caller, node, callback, right },
            Failure::Limit { name, allowed } => Self::Limit { name, allowed },
            Failure::Stopping => Self::Stopping { who: "the controller".into() },
            Failure::NodeStopping => Self::Stopping { who: format!("node {node:?}") },
            Failure::BadArguments { message } => Self::BadArguments { node, message },
            Failure::Panicked { message } => Self::Panicked { node, message },
            Failure::BadResult { message } => Self::BadResult { node, message },
            Failure::TooLarge { size, limit } => Self::TooLarge { what: "the result", size, limit },
            Failure::Deadline => Self::Timeout { after: Duration::ZERO },
            Failure::Cancelled => Self::Cancelled,
            Failure::NodeLost => Self::NodeLost { node },
            Failure::Stalled { millis } => Self::Stalled { node, after: Duration::from_millis(millis) },
            Failure::Unknown => Self::Unknown { node },
        }
    }
}

impl CallError {
    /// An error that has nothing to do with the application, whatever the application's error type.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        self.map_app(|never| match never {})
    }
}

fn who_offers_not(node: &Option<String>) -> String {
    node.as_ref().map_or_else(|| "no other node offers".into(), |node| format!("node {node:?} does not offer"))
}

/// What a caller wanted that was refused for the lack of this right.
fn asked_for(right: &Right) -> String {
    match right {
        Right::Offer => "use".into(),
        right => right.to_string(),
    }
}

fn what_no_rule_allows(right: &Right, caller: &str, node: &str) -> String {
    match right {
        Right::Offer => format!("{node:?} to offer it"),
        right => format!("{caller:?} to {right} it"),
    }
}

fn who_calls(stub: &Option<String>) -> String {
    stub.as_ref().map_or_else(|| "a call by name".into(), |stub| format!("the stub {stub}"))
}

pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_did_not_run_is_retryable() {
        assert!(CallError::<Never>::Busy { node: "a".into() }.is_retryable());
        assert!(!CallError::<Never>::NodeLost { node: "a".into() }.is_retryable());
        assert!(!CallError::<Never>::Timeout { after: Duration::ZERO }.is_retryable());
        assert!(!CallError::<Never>::Encode { message: String::new() }.is_retryable());
    }

    #[test]
    fn errors_say_what_is_there() {
        let error =
            CallError::<Never>::NoCallback { name: "ad".into(), node: None, known: vec!["add".into(), "sub".into()] };
        assert_eq!(error.to_string(), r#"no other node offers "ad"; known callbacks: add, sub"#);
        let error = CallError::<Never>::NoCallback { name: "ad".into(), node: Some("b".into()), known: vec![] };
        assert_eq!(error.to_string(), r#"node "b" does not offer "ad"; known callbacks: none"#);
    }
}
