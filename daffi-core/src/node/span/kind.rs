//! Errors by their names alone: what OpenTelemetry calls `error.type`, of which there are to be few.

use crate::{
    node::{error::CallError, event::StreamEnded},
    wire::failure::Failure,
};

/// The name of the variant.
pub(super) const fn of<E>(error: &CallError<E>) -> &'static str {
    match error {
        CallError::App(_) => "App",
        CallError::NotStarted => "NotStarted",
        CallError::NotConnected { .. } => "NotConnected",
        CallError::NoCallback { .. } => "NoCallback",
        CallError::NoNode { .. } => "NoNode",
        CallError::Busy { .. } => "Busy",
        CallError::Full { .. } => "Full",
        CallError::Mismatch { .. } => "Mismatch",
        CallError::Stopping { .. } => "Stopping",
        CallError::Timeout { .. } => "Timeout",
        CallError::Cancelled => "Cancelled",
        CallError::NodeLost { .. } => "NodeLost",
        CallError::ControllerLost => "ControllerLost",
        CallError::Encode { .. } => "Encode",
        CallError::BadArguments { .. } => "BadArguments",
        CallError::BadReply { .. } => "BadReply",
        CallError::Panicked { .. } => "Panicked",
        CallError::BadResult { .. } => "BadResult",
        CallError::TooLarge { .. } => "TooLarge",
        CallError::Stalled { .. } => "Stalled",
        CallError::SourceFailed { .. } => "SourceFailed",
        CallError::Unknown { .. } => "Unknown",
    }
}

/// What the caller will call it.
pub(super) fn of_failure(failure: &Failure) -> &'static str {
    of(&CallError::from_failure(failure.clone(), String::new(), "", |_| Ok(())))
}

/// Why a stream ended before its source had; the callback's own failure is better told by [`of_failure`].
pub(super) const fn of_end(end: &StreamEnded) -> Option<(&'static str, &'static str)> {
    Some(match end {
        StreamEnded::Finished | StreamEnded::CallbackReturned => return None,
        StreamEnded::SourceFailed { .. } => ("SourceFailed", "the source failed"),
        StreamEnded::Cancelled => ("Cancelled", "the stream was cancelled"),
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
    fn an_error_has_the_name_of_its_variant() {
        let error = CallError::<()>::NoNode { name: "a".into(), present: Vec::new() };
        assert!(format!("{error:?}").starts_with(of(&error)));
        assert_eq!(of_failure(&Failure::Deadline), "Timeout");
        assert_eq!(of_failure(&Failure::App { error: Vec::new() }), "App");
        assert_eq!(of_end(&StreamEnded::Finished), None);
    }
}
