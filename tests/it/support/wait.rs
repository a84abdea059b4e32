//! Waiting for a predicate, with a sentence that says what for. The only place of the tests that reads a clock or pauses.

use std::time::{Duration, Instant};

/// Long enough for the slowest machine; a test that passes never waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Returns once `predicate` holds, and fails the test with `sentence` if it does not come to that.
#[track_caller]
pub(crate) fn wait_until(sentence: &str, mut predicate: impl FnMut() -> bool) {
    assert!(wait_for(|| predicate().then_some(())).is_some(), "waited in vain until {sentence}");
}

/// Returns what `look` finds, once it finds something; `None` if it never does.
#[expect(clippy::disallowed_methods, reason = "this is the place where tests wait")]
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// How long `action` takes, in milliseconds: for bounds that are part of a promise, with room for slow machines.
#[expect(clippy::disallowed_methods, reason = "this is the place where tests read the clock")]
pub(crate) fn milliseconds_of<T>(action: impl FnOnce() -> T) -> (T, u128) {
    let start = Instant::now();
    let result = action();
    (result, start.elapsed().as_millis())
}

/// Takes as long as an engine would: for upstreams whose work is part of what is tested, never for a test to wait.
#[expect(clippy::disallowed_methods, reason = "an engine's work takes time")]
pub(crate) fn work(time: Duration) {
    std::thread::sleep(time);
}
