//! Trying a call again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::error::CallError;

/// How often a call is tried again, and with what pauses; for `.retry(..)`.
///
/// What surely did not run is tried again ([`CallError::is_retryable`]). What may have run, because its node or the controller
/// was lost meanwhile, is tried again only if the stub says that running it twice does no harm, by `#[fetcher(idempotent)]`. Neither
/// is done unless a call asks for it, and each time is announced as [`Event::Retried`](super::Event::Retried) and logged.
///
/// All attempts share the call's timeout: it is not begun anew. Each picks its node anew, so a call that is not tied to one by
/// `.to(..)` goes on to the next in turn. Pauses double, from the first up to the longest ([`pauses`](Self::pauses)), and each is lengthened by a
/// random part of itself, so that many callers do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    times: u32,
    first_pause: Duration,
    max_pause: Duration,
}

impl Retry {
    /// So many times besides the first, with pauses of 50 ms to 2 s: what a node takes that is restarted, or whose queue has
    /// to become shorter.
    pub const fn times(times: u32) -> Self {
        Self { times, first_pause: Duration::from_millis(50), max_pause: Duration::from_secs(2) }
    }

    /// The first pause and the longest, both before the random part is added.
    pub const fn pauses(mut self, first: Duration, max: Duration) -> Self {
        (self.first_pause, self.max_pause) = (first, max);
        self
    }

    /// One pause for each time.
    pub(crate) fn schedule(self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.max_pause)
            .with_max_times(self.times as usize)
            .with_jitter()
            .build()
    }
}

/// Whether a call may be tried again after this error.
pub(crate) const fn may_retry<E>(error: &CallError<E>, idempotent: bool) -> bool {
    error.is_retryable() || (idempotent && matches!(error, CallError::NodeLost { .. } | CallError::ControllerLost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Never;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let (first, max) = (Duration::from_millis(10), Duration::from_millis(40));
        let pauses: Vec<_> = Retry::times(5).pauses(first, max).schedule().collect();
        assert_eq!(pauses.len(), 5);
        for (pause, base) in pauses.iter().zip([10, 20, 40, 40, 40].map(Duration::from_millis)) {
            assert!(*pause >= base && *pause <= base * 2, "{pauses:?}");
        }
    }

    #[test]
    fn what_may_have_run_is_for_idempotent_calls_only() {
        let lost = CallError::<Never>::NodeLost { node: "a".into() };
        assert!(!may_retry(&lost, false) && may_retry(&lost, true));
        assert!(may_retry(&CallError::<Never>::Busy { node: "a".into() }, false));
        // Its time is over, and all attempts share it.
        assert!(!may_retry(&CallError::<Never>::Timeout { after: Duration::ZERO }, true));
    }
}
