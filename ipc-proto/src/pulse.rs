//! A slow ticker that spares system calls.
//!
//! When a timer is set that is due before every other one, the runtime wakes its own loop through the kernel, to
//! have the shorter wait taken over: two system calls. With a ticker always about to fire, time-outs of seconds,
//! which every request sets and hardly any lets run out, are never the first, and cost none.

use std::convert::Infallible;
use std::time::Duration;

/// Shorter than every time-out that belongs to a request, and seldom enough to cost nothing when all is quiet.
const INTERVAL: Duration = Duration::from_millis(500);

/// Ticks for ever. Run it beside a process's other work.
pub async fn beat() -> Infallible {
    loop {
        tokio::time::sleep(INTERVAL).await;
    }
}
