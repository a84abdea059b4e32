//! What has been learned, as operators see it.

use std::collections::BTreeMap;

use dialect::Endpoint;
use ipc_proto::ids::ModelName;
use ipc_proto::operator::{Confidence, LearnedView};

use super::LearnedModel;
use super::fit::{Fit, speed_interval};
use super::grid::{Answer, Grid};
use super::record::Record;

/// One view per backend, model and endpoint with an observation: most observations first, then by name.
pub(super) fn figures(grid: &Grid, models: &BTreeMap<ModelName, LearnedModel>) -> Vec<LearnedView> {
    let mut views = Vec::new();
    for (row, backend) in grid.rows.iter().enumerate() {
        for (name, model) in models {
            let Some(pair) = backend.pairs.get(model.index()) else { continue };
            for endpoint in Endpoint::ALL {
                if let Some(kind) = pair.kind(endpoint) {
                    let answer = grid.answer(row, *model);
                    let mut view = view(&kind.record, answer);
                    view.backend.clone_from(&backend.name);
                    name.as_str().clone_into(&mut view.model);
                    view.endpoint = endpoint;
                    views.push(view);
                }
            }
        }
    }
    let key = |view: &LearnedView| (view.backend.clone(), view.model.clone(), view.endpoint);
    views.sort_by_cached_key(|view| (std::cmp::Reverse(view.samples), key(view)));
    views
}

/// The figures of one record; the names are left to the caller.
fn view(record: &Record, answer: Answer) -> LearnedView {
    let (clean, loaded) = (&record.clean, &record.loaded);
    let mut view = LearnedView {
        backend: String::new(),
        model: String::new(),
        endpoint: Endpoint::ChatCompletions,
        samples: clean.samples + loaded.samples,
        loads: loaded.samples,
        fitted: false,
        load_ms: 0.0,
        input_per_second: 0.0,
        output_per_second: 0.0,
        confidence: None,
        r_squared: 0.0,
        quality: String::new(),
        slow: record.is_slow,
        service_ms: answer.service * 1000.0,
        expected_load_ms: answer.load * 1000.0,
    };
    let Some(fit) = Fit::of(clean, loaded) else { return view };
    let quality = fit.quality(clean, loaded);
    let [load, input, output] = fit.costs;
    view.fitted = true;
    view.load_ms = load;
    view.input_per_second = per_second(input);
    view.output_per_second = per_second(output);
    view.r_squared = quality.r_squared;
    quality.as_str().clone_into(&mut view.quality);
    view.confidence = quality.intervals.map(|[load_ms, input, output]| Confidence {
        load_ms,
        input_per_second: speed_interval(view.input_per_second, input),
        output_per_second: speed_interval(view.output_per_second, output),
    });
    view
}

/// Tokens per second from milliseconds per token; 0: unknown.
fn per_second(token_ms: f64) -> f64 {
    if token_ms > 0.0 { 1000.0 / token_ms } else { 0.0 }
}
