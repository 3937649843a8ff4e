//! Remote callbacks between processes, with streams as the special strength.
//!
//! One process annotates a function with [`#[callback]`](macro@callback). Another annotates a bodiless function of the same
//! signature with [`#[fetcher]`](macro@fetcher), and calls it. An **execution modifier** says how:
//!
//! | modifier | what the call does |
//! |---|---|
//! | `FG` (default) | waits for the result of one node |
//! | `BG` | hands back a handle; `BG(no_return)` not even that |
//! | `BROADCAST` | asks every other node that has the callback, and gives a result for each |
//! | `STREAM` | passes an iterator or async stream, item by item, to every other node that has the callback |
//! | `PERIOD` | repeats, at an interval or at given times |
//!
//! The processes (**nodes**) find each other through a **controller**: the `daffi-controller` program, or any process that starts
//! with [`Builder::init_controller`]. Everything is encrypted, and nobody joins without the controller's token; on one machine
//! and for one user that takes no configuration.
//!
//! # Process 1
//!
//! ```no_run
//! use daffi::{Global, callback};
//!
//! #[callback]
//! fn process_sequence(a: i64) {
//!     println!("{a}");
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let g = Global::builder().process_name("process1").init_controller(true).start().wait()?;
//! g.join().wait()?;
//! # Ok(()) }
//! ```
//!
//! # Process 2
//!
//! ```no_run
//! use daffi::{Global, fetcher};
//!
//! #[fetcher(STREAM)]
//! async fn process_sequence(a: i64);
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let g = Global::builder().start().await?;
//! g.wait_process("process1").await?;
//! let report = process_sequence(1..=100).await?;
//! assert!(report.is_complete());
//! # Ok(()) }
//! ```
//!
//! Tests of callbacks need neither ports nor patience: see [`testing`].

mod global;
pub mod testing;
pub mod trace;

pub use daffi_controller::{InvalidLimits, Limits};
pub use daffi_core::{
    node::{
        BackgroundCall, BroadcastCall, Call, CallError, CallbackInfo, Context, Dynamic, DynamicCall, Event, Events,
        Fallible, Incoming, Iter, JoinError, Never, Next, Node, NodeInfo, NodeReply, OnError, OnSlow, OneWayCall, Op,
        PeriodCall, ReceiverReport, Results, ResultsCall, Retry, Schedule, ScheduledCall, Service, Source, StartingAt,
        StreamCall, StreamEnded, StreamReport, Task, Wait, WaitError, WrongType, fallible, starting,
    },
    transport::{CertificateError, JoinToken},
    wire::{
        failure::Right,
        limits,
        trace::{InvalidTraceparent, TraceContext},
    },
};
pub use daffi_macros::{callback, fetcher};

pub use self::global::{Builder, Global, StartError};

/// Names callbacks, for [`Builder::callbacks`] and [`Node::offer`]: `callbacks![add, shop::buy]`.
///
/// Without such a list a node offers every `#[callback]` of the program. The linker drops those of a crate that nothing
/// names: list them, or write `use that_crate as _;`.
#[macro_export]
macro_rules! callbacks {
    ($($callback:path),* $(,)?) => {
        [$(<$callback as $crate::__private::Definition>::CALLBACK),*]
    };
}

/// What the code of the attribute macros is made of.
#[doc(hidden)]
pub use daffi_core::node::stub as __private;

#[cfg(doctest)]
mod book;

/// Compiles the README's snippets.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
