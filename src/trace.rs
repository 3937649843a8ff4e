#![doc = include_str!("../docs/traces.md")]

#[doc(no_inline)]
pub use daffi_core::wire::trace::{InvalidTraceparent, TraceContext};
