//! A call's error as it prints, and under another type of application error.

use std::fmt;

use super::CallError;

/// The variant's name, which is what code matches on, and the sentence, which says what to do: it is what a `main` prints that
/// returns the error, and what `unwrap` and a failed assertion show. The sentence has every field in it.
impl<E: fmt::Debug> fmt::Debug for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = self.map_app_ref(|error| CallError::App(format!("{error:?}")));
        write!(f, "{}: {sentence}", self.variant())
    }
}

impl<E> CallError<E> {
    /// The name of the variant.
    pub(crate) const fn variant(&self) -> &'static str {
        match self {
            Self::App(_) => "App",
            Self::NotStarted => "NotStarted",
            Self::NotConnected { .. } => "NotConnected",
            Self::NoCallback { .. } => "NoCallback",
            Self::NoNode { .. } => "NoNode",
            Self::Busy { .. } => "Busy",
            Self::Full { .. } => "Full",
            Self::Limit { .. } => "Limit",
            Self::TooManyTargets { .. } => "TooManyTargets",
            Self::Mismatch { .. } => "Mismatch",
            Self::NotAllowed { .. } => "NotAllowed",
            Self::Stopping { .. } => "Stopping",
            Self::Timeout { .. } => "Timeout",
            Self::Cancelled => "Cancelled",
            Self::NodeLost { .. } => "NodeLost",
            Self::ControllerLost => "ControllerLost",
            Self::Encode { .. } => "Encode",
            Self::BadArguments { .. } => "BadArguments",
            Self::BadReply { .. } => "BadReply",
            Self::Panicked { .. } => "Panicked",
            Self::BadResult { .. } => "BadResult",
            Self::TooLarge { .. } => "TooLarge",
            Self::Stalled { .. } => "Stalled",
            Self::SourceFailed { .. } => "SourceFailed",
            Self::Unknown { .. } => "Unknown",
        }
    }

    /// A copy with another type of application error.
    pub(super) fn map_app_ref<F>(&self, map: impl FnOnce(&E) -> CallError<F>) -> CallError<F> {
        match self {
            Self::App(error) => map(error),
            Self::NotStarted => CallError::NotStarted,
            Self::NotConnected { reason } => CallError::NotConnected { reason: reason.clone() },
            Self::NoCallback { name, node, known } => {
                CallError::NoCallback { name: name.clone(), node: node.clone(), known: known.clone() }
            }
            Self::NoNode { name, present } => CallError::NoNode { name: name.clone(), present: present.clone() },
            Self::Busy { node } => CallError::Busy { node: node.clone() },
            Self::Full { node, running, waiting } => {
                CallError::Full { node: node.clone(), running: *running, waiting: *waiting }
            }
            Self::Limit { name, allowed } => CallError::Limit { name: name.clone(), allowed: *allowed },
            Self::TooManyTargets { callback, targets, limit } => {
                CallError::TooManyTargets { callback: callback.clone(), targets: *targets, limit: *limit }
            }
            Self::Mismatch { why, stub, callback } => {
                CallError::Mismatch { why, stub: stub.clone(), callback: callback.clone() }
            }
            Self::NotAllowed { caller, node, callback, right } => CallError::NotAllowed {
                caller: caller.clone(),
                node: node.clone(),
                callback: callback.clone(),
                right: *right,
            },
            Self::Stopping { who } => CallError::Stopping { who: who.clone() },
            Self::Timeout { after } => CallError::Timeout { after: *after },
            Self::Cancelled => CallError::Cancelled,
            Self::NodeLost { node } => CallError::NodeLost { node: node.clone() },
            Self::ControllerLost => CallError::ControllerLost,
            Self::Encode { message } => CallError::Encode { message: message.clone() },
            Self::BadArguments { node, message } => {
                CallError::BadArguments { node: node.clone(), message: message.clone() }
            }
            Self::BadReply { node, message } => CallError::BadReply { node: node.clone(), message: message.clone() },
            Self::Panicked { node, message } => CallError::Panicked { node: node.clone(), message: message.clone() },
            Self::BadResult { node, message } => CallError::BadResult { node: node.clone(), message: message.clone() },
            Self::TooLarge { what, size, limit } => CallError::TooLarge { what, size: *size, limit: *limit },
            Self::Stalled { node, after } => CallError::Stalled { node: node.clone(), after: *after },
            Self::SourceFailed { message, sent } => CallError::SourceFailed { message: message.clone(), sent: *sent },
            Self::Unknown { node } => CallError::Unknown { node: node.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::error::Never;

    #[test]
    fn what_a_main_prints_is_the_variant_and_the_sentence() {
        let error = CallError::<Never>::NoNode { name: "c".into(), present: vec!["a".into(), "b".into()] };
        assert_eq!(format!("{error:?}"), r#"NoNode: there is no node "c"; present: a, b"#);
        let boxed: Box<dyn std::error::Error> = Box::new(error);
        assert_eq!(format!("{boxed:?}"), r#"NoNode: there is no node "c"; present: a, b"#);
    }

    #[test]
    fn the_applications_own_error_prints_as_it_does_in_debug() {
        #[derive(Debug)]
        struct Unsayable;
        let error = CallError::App(Unsayable);
        assert_eq!(format!("{error:?}"), "App: the callback returned an error: Unsayable");
    }

    #[test]
    fn another_application_error_changes_nothing_else() {
        let error = CallError::<Never>::Stalled { node: "a".into(), after: Duration::from_secs(1) };
        assert_eq!(error.map_app_ref::<u8>(|never| match *never {}).to_string(), error.to_string());
    }
}
