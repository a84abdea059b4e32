//! The targets of the fuzzer. What they do stands beside the tests, which do it again with every input that is kept.

#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;

use dialect::Dialect;

/// A request of a client of `from`.
pub fn request(from: Dialect, data: &[u8]) {
    fuzzed::request(from, data);
}

/// A whole answer of a backend that speaks `by`.
pub fn answer(by: Dialect, data: &[u8]) {
    fuzzed::answer(by, data);
}

/// A stream of a backend that speaks `by`.
pub fn stream(by: Dialect, data: &[u8]) {
    fuzzed::stream(by, data);
}

/// A stream that goes through as it is.
pub fn watch(data: &[u8]) {
    fuzzed::watch(data);
}
