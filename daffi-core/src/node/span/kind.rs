//! Errors by their names alone: what OpenTelemetry calls `error.type`, of which there are to be few.

use crate::{
    node::{error::CallError, event::StreamEnded},
    wire::failure::Failure,
};

/// What the caller will call it.
pub(super) fn of_failure(failure: &Failure) -> &'static str {
    CallError::from_failure(failure.clone(), String::new(), "", |_| Ok(())).variant()
}

/// Why a stream ended before its source had; the callback's own failure is better told by [`of_failure`].
pub(super) const fn of_end(end: &StreamEnded) -> Option<(&'static str, &'static str)> {
    Some(match end {
        StreamEnded::Finished | StreamEnded::CallbackReturned => return None,
        StreamEnded::SourceFailed { .. } => ("SourceFailed", "the source failed"),
        StreamEnded::Cancelled => ("Cancelled", "the stream was cancelled"),
        StreamEnded::Stalled => ("Stalled", "this node finished nothing for too long"),
        StreamEnded::NotAllowed => ("NotAllowed", "the rules allow it no more"),
        StreamEnded::ProducerLost => ("ProducerLost", "the producer was lost"),
        StreamEnded::OtherReceiverFailed => ("OtherReceiverFailed", "another receiver failed"),
        StreamEnded::CallbackFailed { .. } => ("App", "the callback failed"),
        StreamEnded::Deadline => ("Timeout", "the deadline passed"),
        StreamEnded::Disconnected => ("ControllerLost", "the connection to the controller was lost"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_name_that_its_caller_gives_it() {
        assert_eq!(of_failure(&Failure::Deadline), "Timeout");
        assert_eq!(of_failure(&Failure::App { error: Vec::new() }), "App");
        assert_eq!(of_end(&StreamEnded::Finished), None);
    }
}
