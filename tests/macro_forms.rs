//! The forms of `#[callback]` and `#[fetcher]` that compile, without a warning, and what daffi is told by each.

#![deny(warnings)]
#![allow(
    unreachable_pub,
    unused_qualifications,
    reason = "items are public here, and types have paths, as in a library"
)]

#[path = "macro_forms/callbacks.rs"]
mod callbacks;
#[path = "macro_forms/methods.rs"]
mod methods;
#[path = "macro_forms/stubs.rs"]
mod stubs;
