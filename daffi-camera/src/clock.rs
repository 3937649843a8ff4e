//! The clock that capture times are read from.

use std::time::Duration;

/// The machine's monotonic time: where it begins has no meaning, and all processes of the machine agree on it. V4L2 drivers stamp
/// their frames with the same clock.
///
/// Times of two machines cannot be compared. Where the system has no such clock, this is the time since 1970.
pub fn now() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The clock counts from the boot or later: neither part is negative.
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(unix))]
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
