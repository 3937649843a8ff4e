#![no_main]
//! Names and traces: what passes keeps the promise, and prints as what it was.

use daffi_core::wire::{limits::MAX_NAME, name, trace::TraceContext};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if name::check(text).is_ok() {
        assert!((1..=MAX_NAME).contains(&text.len()) && !text.starts_with(['.', '-']));
        assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace() || "/\\|*?:\"<>'$`;&".contains(c)));
    }
    if let Ok(trace) = text.parse::<TraceContext>() {
        // A later version reads as this one, without what it may have appended.
        assert_eq!(trace.to_string()[2..], text[2..55]);
        assert!(!text.starts_with("00") || trace.to_string() == text);
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(TraceContext::new(trace.trace_id(), trace.span_id(), trace.flags()), Ok(trace));
    }
});
