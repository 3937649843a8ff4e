//! What the client types share that `#[fetcher]` makes of a trait: at whom all their calls are aimed.

use std::{borrow::Cow, sync::Arc};

use super::{
    Inner, Node,
    call::{BackgroundCall, BroadcastCall, Call, OneWayCall},
    choice::Choice,
    outgoing::Request,
    period::PeriodCall,
    stream::{ResultsCall, StreamCall},
};

/// Where the calls of a client go.
#[derive(Debug, Clone, Default)]
pub struct Target {
    node: Option<Arc<Inner>>,
    to: Option<String>,
    under: Option<String>,
}

impl Target {
    /// Through this node.
    pub fn on(mut self, node: impl AsRef<Node>) -> Self {
        self.node = Some(node.as_ref().inner().clone());
        self
    }

    /// To the node of this name, unless they go to all.
    pub fn to(mut self, name: impl Into<String>) -> Self {
        self.to = Some(name.into());
        self
    }

    /// To the value that was served under this name.
    pub fn under(mut self, name: impl Into<String>) -> Self {
        self.under = Some(name.into());
        self
    }
}

/// A call that can be aimed.
pub trait Aim {
    #[doc(hidden)]
    fn request(&mut self) -> Aimed<'_>;
}

/// The part of a call that a target changes.
#[derive(Debug)]
pub struct Aimed<'a>(&'a mut Request);

/// Aims a call, for the macros.
pub fn aim<C: Aim>(mut call: C, target: &Target) -> C {
    let Aimed(request) = call.request();
    request.node.clone_from(&target.node);
    if let Some(to) = &target.to {
        request.choice = Choice::Named(to.clone());
    }
    if let Some(under) = &target.under {
        request.callback = Cow::Owned(format!("{under}.{}", request.callback));
    }
    call
}

macro_rules! aim {
    ($($call:ident<$($parameter:ident),*>),*) => {
        $(impl<$($parameter),*> Aim for $call<$($parameter),*> {
            fn request(&mut self) -> Aimed<'_> {
                Aimed(&mut self.request)
            }
        })*
    };
}

aim!(
    Call<T, E>,
    BackgroundCall<T, E>,
    OneWayCall<>,
    BroadcastCall<T, E>,
    PeriodCall<T, E>,
    ResultsCall<T, E>,
    StreamCall<T, E>
);
