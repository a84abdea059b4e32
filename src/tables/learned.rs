//! What has been learned of models on backends, as people read it.

use ipc_proto::operator::LearnedView;

use super::{dash, duration_us, endpoint};
use crate::report::table;

/// One line per backend, model and operation: the figures of the fit with half the width of their 95 % intervals, and
/// what the scheduler counts with.
pub(crate) fn learned(views: &[LearnedView]) -> String {
    if views.is_empty() {
        return "nothing has been learned yet: figures come with the first complete answers".to_owned();
    }
    let header = [
        "backend",
        "model",
        "operation",
        "samples",
        "loads",
        "load s",
        "\u{2193} prompt tok/s",
        "\u{2191} tok/s",
        "fit",
        "counts with",
        "",
    ];
    table(&header, views.iter().map(row).collect())
}

fn row(view: &LearnedView) -> Vec<String> {
    let confidence = |half: fn(&ipc_proto::operator::Confidence) -> f64| view.confidence.as_ref().map(half);
    let seconds = |ms: f64| ms / 1000.0;
    let load = view.fitted && view.loads > 0;
    vec![
        view.backend.clone(),
        view.model.clone(),
        endpoint(view.endpoint).to_owned(),
        view.samples.to_string(),
        view.loads.to_string(),
        if load {
            figure(seconds(view.load_ms), confidence(|half| half.load_ms).map(seconds))
        } else {
            dash()
        },
        speed(view.input_per_second, confidence(|half| half.input_per_second)),
        speed(view.output_per_second, confidence(|half| half.output_per_second)),
        fit(view),
        format!("load {}, request {}", rough(view.expected_load_ms), rough(view.service_ms)),
        if view.slow { "slow now".to_owned() } else { String::new() },
    ]
}

fn fit(view: &LearnedView) -> String {
    if view.fitted { format!("{} {:.2}", view.quality, view.r_squared) } else { dash() }
}

/// Tokens per second; 0 is unknown.
fn speed(per_second: f64, half_width: Option<f64>) -> String {
    if per_second > 0.0 { figure(per_second, half_width) } else { dash() }
}

/// A figure and, where it is known, half the width of its interval, both with as many places as fit the size.
fn figure(value: f64, half_width: Option<f64>) -> String {
    let places = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let value = format!("{value:.places$}");
    half_width
        .filter(|half| *half > 0.0)
        .map_or_else(|| value.clone(), |half| format!("{value} \u{b1}{half:.places$}"))
}

/// A duration in milliseconds that is only expected.
fn rough(ms: f64) -> String {
    let us = std::time::Duration::try_from_secs_f64(ms / 1000.0).map_or(0, |time| time.as_micros());
    format!("~{}", duration_us(u64::try_from(us).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use dialect::Endpoint;
    use ipc_proto::operator::Confidence;

    use super::*;

    fn view() -> LearnedView {
        LearnedView {
            backend: "desk".to_owned(),
            model: "qwen".to_owned(),
            endpoint: Endpoint::ChatCompletions,
            samples: 40,
            loads: 3,
            fitted: true,
            load_ms: 8240.0,
            input_per_second: 1234.5,
            output_per_second: 41.26,
            confidence: Some(Confidence { load_ms: 310.0, input_per_second: 20.0, output_per_second: 0.0 }),
            r_squared: 0.9876,
            quality: "good".to_owned(),
            slow: true,
            service_ms: 2300.0,
            expected_load_ms: 8100.0,
        }
    }

    #[test]
    fn figures_come_with_their_confidence_and_in_fitting_precision() {
        let row = row(&view());
        let expected = [
            "desk",
            "qwen",
            "chat_completions",
            "40",
            "3",
            "8.24 ±0.31",
            "1234 ±20",
            "41.3",
            "good 0.99",
            "load ~8.1 s, request ~2.3 s",
            "slow now",
        ];
        assert_eq!(row, expected);
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let unfitted = LearnedView {
            fitted: false,
            load_ms: 0.0,
            input_per_second: 0.0,
            output_per_second: 0.0,
            confidence: None,
            quality: String::new(),
            slow: false,
            ..view()
        };
        assert_eq!(row(&unfitted)[5..9], ["-", "-", "-", "-"]);
        assert!(!learned(&[unfitted]).contains("slow"));
        let never_loaded = LearnedView { loads: 0, ..view() };
        assert_eq!(row(&never_loaded)[5], "-", "a load that was never seen");
        assert!(learned(&[]).starts_with("nothing has been learned"));
    }
}
