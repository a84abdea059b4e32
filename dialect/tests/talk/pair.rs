//! Any dialects, and the terms on which they are translated.

use dialect::translate::{Engine, FormatMode, Terms};
use dialect::{Dialect, Endpoint, Framing};
use proptest::strategy::Strategy;

/// Terms on which a client of `from` gets its answer.
pub(crate) fn terms(from: Endpoint) -> Terms {
    Terms {
        model: "model".to_owned(),
        engine: Engine::Provider,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_795_201_680,
        framing: Framing::of(from, Some("alt=sse")),
    }
}

/// Any of `dialects`.
pub(crate) fn any_of(dialects: &[Dialect]) -> impl Strategy<Value = Dialect> + use<> {
    proptest::sample::select(dialects.to_vec())
}
