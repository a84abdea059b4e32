//! Time as a frontend knows it. The only reader of clocks in this crate.

use std::time::Instant;

/// Now. Never goes back.
#[expect(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Microseconds from `start` until now.
pub(crate) fn micros_since(start: Instant) -> u64 {
    u64::try_from(now().saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}
