//! Callbacks as the macros describe them: what a callback is called, what it takes, and how to run it.

use std::{any::Any, fmt, sync::Arc};

use super::stub::{BoxFuture, Items, Outcome, Payload};
use crate::wire::offer::{Contract, Kind, Offer, Parameter};

/// A function that other nodes can call, as `#[callback]` describes it.
#[derive(Debug, Clone, Copy)]
pub struct Callback {
    /// The name that callers use.
    pub name: &'static str,
    /// What it takes and returns.
    pub signature: Signature,
    /// The source file it stands in.
    pub file: &'static str,
    /// The line it stands on.
    pub line: u32,
    /// How it wants to be run.
    pub options: CallbackOptions,
    /// How to run it.
    pub handler: Handler,
}

/// What a callback takes and returns, or what a stub says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// As written, for people.
    pub text: &'static str,
    /// How it is called.
    pub kind: Kind,
    /// The names and types of the arguments, in normal form.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The type of the result, or of one of its items, in normal form.
    pub result: &'static str,
}

/// What `#[callback(..)]` says besides the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallbackOptions {
    /// Runs on the I/O thread.
    pub inline: bool,
    /// Runs to its end although nobody wants it any more.
    pub no_cancel: bool,
    /// How many may run at a time, and how many may wait.
    pub limit: Option<(u32, u32)>,
    /// Has to have all items of a stream, however slow it is.
    pub lossless: bool,
}

/// How to run a callback.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// It may block, so it runs on a thread for that.
    Sync(fn(&State, &[u8]) -> Outcome),
    /// It runs as a task. Nothing of the user's runs before the future is polled.
    Async(fn(State, Payload) -> BoxFuture<Outcome>),
    /// It takes a whole stream, on a thread that may block.
    TakeSync(fn(&State, Items) -> Outcome),
    /// It takes a whole stream, as a task.
    TakeAsync(fn(State, Items) -> BoxFuture<Outcome>),
}

/// Leads from a callback's name in the source to its description; `#[callback]` implements it.
pub trait Definition {
    /// The description.
    const CALLBACK: Callback;
}

/// A value whose methods are callbacks: what `#[callback] impl Type { .. }` makes of `Type`. An [`Arc`] of such a value is one
/// too, for whoever wants to keep a hand on it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks to serve",
    label = "needs an impl block with `#[callback]`",
    note = "put `#[callback]` on `impl {Self} {{ .. }}`, and on each method in it that others may call"
)]
pub trait Service: Send + Sync + Sized + 'static {
    /// The callbacks among its methods.
    #[doc(hidden)]
    const CALLBACKS: &'static [Callback];

    /// What the methods' handlers are called with.
    #[doc(hidden)]
    fn into_state(self) -> State {
        State(Some(Arc::new(self)))
    }
}

impl<S: Service> Service for Arc<S> {
    const CALLBACKS: &'static [Callback] = S::CALLBACKS;

    fn into_state(self) -> State {
        State(Some(self))
    }
}

/// The value that a method is called on; nothing for a free function.
#[derive(Clone, Default)]
pub struct State(Option<Arc<dyn Any + Send + Sync>>);

impl State {
    /// The value, of the type that it was served as.
    ///
    /// # Panics
    ///
    /// If it is of another type, which the code of the macros never asks for.
    pub fn of<S: Service>(&self) -> &S {
        let value = self.0.as_ref().and_then(|value| value.downcast_ref());
        // The registry pairs each method with the value that it was served with.
        value.expect("a method is called on the value that was served")
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "State(..)" } else { "State" })
    }
}

inventory::collect!(Callback);

impl Callback {
    pub(crate) fn location(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    pub(crate) fn offer(&self, name: &str) -> Offer {
        Offer {
            name: name.to_owned(),
            signature: self.signature.text.to_owned(),
            location: self.location(),
            contract: Some(self.signature.contract()),
            lossless: self.options.lossless,
        }
    }
}

impl Signature {
    pub(crate) fn contract(&self) -> Contract {
        let parameter = |(name, ty): &(&str, &str)| Parameter { name: (*name).into(), ty: (*ty).into() };
        Contract {
            kind: self.kind,
            parameters: self.parameters.iter().map(parameter).collect(),
            result: self.result.to_owned(),
        }
    }
}
