//! Traces over real QUIC, with all nodes in one process: which trace a call belongs to, and with the feature `opentelemetry` which
//! spans there are of it.
//!
//! The tests run side by side in one process, so each of them has traces of its own.

mod common;

#[path = "tracing/inheritance.rs"]
mod inheritance;
#[cfg(feature = "opentelemetry")]
#[path = "tracing/recorder.rs"]
mod recorder;
#[cfg(feature = "opentelemetry")]
#[path = "tracing/spans.rs"]
mod spans;

use std::sync::atomic::{AtomicU64, Ordering};

use daffi::TraceContext;

/// A trace that no other test has.
fn fresh(flags: u8) -> TraceContext {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut trace_id = [0xda; 16];
    trace_id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    TraceContext::new(trace_id, *b"a caller", flags).expect("neither is zero")
}
