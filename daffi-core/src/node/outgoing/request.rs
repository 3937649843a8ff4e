//! What is asked for: the callback, its arguments and the options of a call.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    node::{Inner, choice::Choice, contract::Stub, error::CallError, retry::Retry, stub::EncodedArgs},
    wire::trace::TraceContext,
};

/// What every kind of call has: what to call, with what, and the options that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) callback: Cow<'static, str>,
    /// What the stub says of itself; nothing for a call without one.
    pub(crate) stub: Option<&'static Stub>,
    pub(crate) args: EncodedArgs,
    pub(crate) node: Option<Arc<Inner>>,
    pub(crate) choice: Choice,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) trace: Option<TraceContext>,
}

impl Request {
    /// What a stub asks for.
    pub(crate) const fn of(stub: &'static Stub, args: EncodedArgs) -> Self {
        Self::new(Cow::Borrowed(stub.name), Some(stub), args)
    }

    /// What is asked for by its name alone.
    pub(crate) const fn named(callback: String, args: EncodedArgs) -> Self {
        Self::new(Cow::Owned(callback), None, args)
    }

    const fn new(callback: Cow<'static, str>, stub: Option<&'static Stub>, args: EncodedArgs) -> Self {
        Self { callback, stub, args, node: None, choice: Choice::Turn, timeout: None, retry: None, trace: None }
    }

    /// Whether the arguments can be sent.
    pub(crate) fn check(&self) -> Result<(), CallError> {
        self.args.clone().into_payload().map(drop)
    }
}

/// How a stub is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    Fg,
    Bg,
    Broadcast,
    Period,
    Stream,
    /// FG, with a stream of results.
    Results,
}

impl Modifier {
    /// How a stub spells it.
    #[cfg(feature = "opentelemetry")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fg | Self::Results => "FG",
            Self::Bg => "BG",
            Self::Broadcast => "BROADCAST",
            Self::Period => "PERIOD",
            Self::Stream => "STREAM",
        }
    }

    /// How long a call waits that does not say; for ever, if somebody holds a handle to it, or nobody waits for it.
    pub(super) fn default_timeout(self, node: &Inner) -> Option<Duration> {
        match self {
            Self::Fg | Self::Broadcast | Self::Period => Some(node.call_timeout),
            Self::Bg | Self::Stream | Self::Results => None,
        }
    }
}
