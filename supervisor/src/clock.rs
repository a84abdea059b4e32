//! Time as the supervisor knows it. The only reader of clocks in this crate.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: microseconds since the supervisor started. A test can write one down, and a journal replay it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// The moment `milliseconds` after the start.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds * 1000)
    }

    /// Microseconds from `earlier` until now; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds from `earlier` until now; 0 if `earlier` is later.
    #[expect(clippy::cast_precision_loss, reason = "a microsecond in three centuries is no matter")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.since(earlier) as f64 / 1e6
    }

    /// The moment `seconds` later; never earlier, and at most the end of time.
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Self {
        let later = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        self + later
    }

    /// The moment `milliseconds` later.
    #[must_use]
    pub fn plus_millis(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(1000)))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The clock of one supervisor.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    started_unix_us: i64,
}

impl Clock {
    /// Starts the clock.
    #[expect(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Instant::now(),
            started_unix_us: i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Now. Never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn now(&self) -> Time {
        Time::default() + Instant::now().duration_since(self.start)
    }

    /// The start, in microseconds since 1970.
    pub fn started_unix_us(&self) -> i64 {
        self.started_unix_us
    }

    /// The instant of `time`, for the runtime's timers.
    pub fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_micros(time.0)
    }
}
