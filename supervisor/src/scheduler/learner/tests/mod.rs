mod estimates;
mod perf;
mod properties;
mod vectors;

use super::*;

const DESK: BackendId = BackendId(0);
const ATTIC: BackendId = BackendId(1);
const CELLAR: BackendId = BackendId(2);
const CHAT: Endpoint = Endpoint::ChatCompletions;

/// A warm attempt of so many tokens and milliseconds, streamed: its first byte came after a tenth of the time.
fn warm(backend: BackendId, model: &str, input: u64, output: u64, ms: u64) -> Observation {
    Observation {
        backend,
        model: ModelName::new(model),
        endpoint: CHAT,
        input_tokens: Some(input),
        output_tokens: Some(output),
        total_us: ms * 1000,
        first_byte_us: Some(ms * 100),
        loaded: false,
        after_load: false,
        concurrent: 1,
    }
}

/// An attempt that loaded the model: its first byte came at the end.
fn load(backend: BackendId, model: &str, input: u64, output: u64, ms: u64) -> Observation {
    Observation { first_byte_us: None, loaded: true, ..warm(backend, model, input, output, ms) }
}

/// Three backends, nothing learned.
fn learner() -> Learner {
    let mut learner = Learner::default();
    for (backend, name) in [(DESK, "desk"), (ATTIC, "attic"), (CELLAR, "cellar")] {
        learner.backend(backend, name);
    }
    learner
}

fn taught(observations: impl IntoIterator<Item = Observation>) -> Learner {
    let mut learner = learner();
    for observation in observations {
        learner.learn(&observation);
    }
    learner
}

#[track_caller]
fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs().max(1e-9), "{found} is not {expected}");
}
