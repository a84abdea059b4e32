//! The only reader of clocks in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Now, for timers and durations. Never goes back.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for comparing with dates that a backend names.
#[expect(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds from `start` until now.
pub(crate) fn micros_since(start: Instant) -> u64 {
    u64::try_from(now().duration_since(start).as_micros()).unwrap_or(u64::MAX)
}
