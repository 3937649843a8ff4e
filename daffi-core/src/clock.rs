//! The time of day, which schedules at given times and the stamps of items go by: the system's, or on an in-memory network one
//! that passes with tokio's clock, so that a test that pauses or skips time takes the time of day along.

use std::time::SystemTime;

use tokio::time::Instant;

/// Where a node has the time of day from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Clock {
    /// The system. It may be set, and follows that.
    #[default]
    System,
    /// Tokio's clock, which showed `since` when it was `time`.
    Runtime { time: SystemTime, since: Instant },
}

impl Clock {
    /// A clock that shows `time` now, and goes on with tokio's.
    pub(crate) fn starting_at(time: SystemTime) -> Self {
        Self::Runtime { time, since: Instant::now() }
    }

    /// Whether tests may pause it, so that it stands still while a thread blocks.
    pub(crate) const fn may_be_paused(self) -> bool {
        matches!(self, Self::Runtime { .. })
    }

    /// What time it is. One of tokio's time is to be read within its runtime, or on one of its blocking threads.
    pub(crate) fn now(self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Runtime { time, since } => time + since.elapsed(),
        }
    }

    /// Microseconds since 1970; 0 for a time before.
    pub(crate) fn micros(self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_passes_with_the_runtimes_clock() {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
        let day = Duration::from_secs(86_400);
        tokio::time::sleep(day).await;
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + day);
        assert_eq!(clock.micros(), 86_400_000_000);
        let blocking = tokio::task::spawn_blocking(move || clock.now());
        assert_eq!(blocking.await.unwrap(), SystemTime::UNIX_EPOCH + day);
    }

    #[test]
    fn a_time_before_1970_is_no_number_of_microseconds() {
        assert_eq!(Clock::starting_at(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).micros(), 0);
    }
}
