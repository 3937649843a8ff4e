//! Why a node did not join, or no longer takes part.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    transport::{CertificateError, CertificateFault, InvalidToken, StateError},
    wire::name::InvalidName,
};

/// Why a node did not join, or no longer takes part.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No join token was given and none was found.
    #[error(
        "no join token: a controller of this user on this machine leaves one in {}; for any other, print it there with \
         `daffi-controller token` and pass it by `.token(..)`, `.token_file(..)`, DAFFI_TOKEN or DAFFI_TOKEN_FILE", .searched.display()
    )]
    NoToken {
        /// Where one was looked for.
        searched: PathBuf,
    },
    /// What was given as a join token is none.
    #[error("{origin}: {source}")]
    InvalidToken {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        source: InvalidToken,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The name is not one.
    #[error("the node name {name:?} is not one: {source}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: InvalidName,
    },
    /// The name of a callback is not one.
    #[error("the callback name {name:?} is not one ({location}): {source}")]
    InvalidCallbackName {
        /// The name.
        name: String,
        /// Where the callback is: `file:line`.
        location: String,
        /// What is wrong with it.
        source: InvalidName,
    },
    /// Another node has the name.
    #[error("{reason}")]
    NameTaken {
        /// What the controller said.
        reason: String,
    },
    /// The controller does not accept the join token.
    #[error("the controller refused the join token: {reason}")]
    WrongToken {
        /// What the controller said.
        reason: String,
    },
    /// The controller is not the one that the join token names, or its certificate is not valid.
    #[error(transparent)]
    WrongController(crate::transport::quic::ConnectError),
    /// The node's own certificate, or that of the authority, cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The controller does not accept the node's certificate, or wants one and got none.
    #[error("the controller refused this node: {reason}")]
    CertificateRefused {
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The controller's rules do not allow the node to offer one of its callbacks.
    #[error("the controller refused this node: {reason}")]
    NotAllowed {
        /// What the controller said: which callback, and why.
        reason: String,
    },
    /// The node offers more callbacks than it may.
    #[error(
        "the node would offer {count} callbacks, and may offer {limit}: offer fewer, split them among several nodes, or raise \
         `callbacks_per_node` in the controller's configuration if that is what says so"
    )]
    TooManyCallbacks {
        /// How many it would offer.
        count: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// A limit of the controller's is reached.
    #[error("the controller does not take this node: {reason}")]
    Limit {
        /// Which limit, and what helps.
        reason: String,
    },
    /// The controller speaks another version of the protocol.
    #[error("the controller refused this node: {reason}")]
    Version {
        /// What the controller said.
        reason: String,
    },
    /// The controller refused the node for another reason.
    #[error("the controller refused this node: {reason}")]
    Refused {
        /// What the controller said.
        reason: String,
    },
    /// No controller answered in time.
    #[error("no controller at {address} within {waited:?} (last: {last}); is `daffi-controller` running there?")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// For how long.
        waited: Duration,
        /// Why the last attempt failed.
        last: String,
    },
    /// Two callbacks of this process have one name.
    #[error("two callbacks are named {name:?}: at {first} and at {second}")]
    DuplicateCallback {
        /// The name.
        name: String,
        /// Where the first is: `file:line`.
        first: String,
        /// Where the second is.
        second: String,
    },
    /// There is no thread for the node.
    #[error("could not start the node's thread: {0}")]
    Thread(std::io::Error),
    /// The connection is gone and the node does not make another.
    #[error("the connection to the controller is gone: {reason}")]
    Disconnected {
        /// Why.
        reason: String,
    },
}

impl JoinError {
    /// Whether a node that was refused for it may be let in later without being started again: what is wrong is with the controller, or
    /// in files.
    pub(crate) const fn may_be_mended(&self) -> bool {
        matches!(
            self,
            Self::State(_)
                | Self::NoToken { .. }
                | Self::InvalidToken { .. }
                | Self::WrongToken { .. }
                | Self::WrongController(_)
                | Self::Certificate(_)
                | Self::CertificateRefused { .. }
                | Self::NotAllowed { .. }
                | Self::Limit { .. }
        )
    }

    pub(crate) fn certificate_refused(fault: &CertificateFault) -> Self {
        let remedy = match fault {
            CertificateFault::Missing => {
                "give the node one, by `.certificate(..)` or DAFFI_CERT and DAFFI_KEY; `daffi-controller cert node NAME` makes one"
            }
            CertificateFault::Expired => {
                "issue a new one, with `daffi-controller cert node NAME --force`, or set the clocks"
            }
            _ => {
                "give the node one of the controller's authority, made for nodes: `daffi-controller cert node NAME` makes one"
            }
        };
        Self::CertificateRefused { reason: format!("{fault}; {remedy}") }
    }
}

/// The sentence itself: it is what a `main` prints that returns the error.
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
