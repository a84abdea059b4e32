//! Why a request was sent where it was, as people read it: one paragraph and one table per decision.

use std::fmt::Write as _;

use ipc_proto::operator::{Candidate, Decision, Explanation, RequestRecord};

use super::{dash, endpoint, expected_ms, local_time};
use crate::report::{one_line, table};

/// The request, and what was decided on it, in order.
pub(crate) fn explanation(explanation: &Explanation) -> String {
    let Explanation { record, decisions } = explanation;
    let mut parts = vec![request(record)];
    if decisions.is_empty() {
        parts.push("no decision on it is kept".to_owned());
    }
    parts.extend(decisions.iter().map(decision));
    parts.join("\n\n")
}

fn request(record: &RequestRecord) -> String {
    let mut text = format!(
        "request {}: model {}, {}, class {}",
        one_line(&record.id),
        one_line(&record.model),
        endpoint(record.endpoint),
        record.class.as_str()
    );
    if !record.client.is_empty() {
        let _ = write!(text, ", client {}", one_line(&record.client));
    }
    let _ = write!(text, "\narrived {}, {}", local_time(record.arrived_unix_us), record.state.as_str());
    if !record.backend.is_empty() {
        let at = if record.state.is_final() { "last on" } else { "on" };
        let _ = write!(text, " {at} {}", one_line(&record.backend));
    }
    if record.attempts > 1 {
        let _ = write!(text, ", {} attempts", record.attempts);
    }
    if !record.error_code.is_empty() {
        let _ = write!(text, ", {}: {}", one_line(&record.error_code), one_line(&record.error));
    }
    text
}

fn decision(decision: &Decision) -> String {
    let mut text = format!("{}: ", local_time(decision.at_unix_us));
    if decision.chosen.is_empty() {
        text.push_str(match decision.reason.as_str() {
            "refused" => "it was refused",
            "paused" => "it waits, as everything does until `proxylm ctl resume`",
            _ => "it waits",
        });
    } else {
        let _ = write!(text, "sent to {}, {}", one_line(&decision.chosen), one_line(&decision.reason));
        if let Some(meaning) = meaning(&decision.reason) {
            let _ = write!(text, " ({meaning})");
        }
    }
    if let Some(position) = decision.position {
        let _ = write!(text, ", place {position} among the requests for the model");
    }
    if let Some(wait_ms) = decision.estimated_wait_ms {
        let _ = write!(text, ", to begin in {}", expected_ms(wait_ms));
    }
    if decision.candidates.is_empty() {
        text.push_str("\nno backend offers the model");
    } else {
        let row = |candidate: &Candidate| row(candidate, &decision.chosen);
        let header = ["", "backend", "possible", "verdict", "score", "load", "service"];
        let _ = write!(text, "\n{}", table(&header, decision.candidates.iter().map(row).collect()));
    }
    text
}

fn row(candidate: &Candidate, chosen: &str) -> Vec<String> {
    vec![
        if candidate.backend == chosen { "\u{2192}".to_owned() } else { String::new() },
        candidate.backend.clone(),
        if candidate.eligible { "yes" } else { "no" }.to_owned(),
        candidate.verdict.clone(),
        candidate.score.map_or_else(dash, |score| format!("{score:.2}")),
        if candidate.holds_model { "loaded".to_owned() } else { expected_ms(candidate.load_ms) },
        expected_ms(candidate.service_ms),
    ]
}

/// What the word for a reason means; `None` for a word this program does not know.
fn meaning(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "loaded" => "it has the model, is loading it, or need not load",
        "relief" => "it loads the model because nobody has it",
        "copy" => "it loads the model as one more copy",
        "moved" => "it loads the model because it is faster than those that have it",
        "claim_overdue" => "it gave up its model for one that had waited too long",
        "claim_burst" => "it gave up its model, of which only the rest of a burst waited",
        "overflow" => "nobody else could begin in time",
        "retry" => "an attempt failed elsewhere",
        "switch" => "it had no work for the model it held",
        "bound" => "the request was meant for it from the start",
        "idle" => "it had nothing to do, unlike the one the request was meant for",
        "turn" => "it was the request's turn, whatever is loaded",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ipc_proto::operator::RequestState;

    use super::super::tests::record;
    use super::*;

    fn candidate(backend: &str, holds_model: bool) -> Candidate {
        Candidate {
            backend: backend.to_owned(),
            verdict: "1 of 4 slots free".to_owned(),
            eligible: holds_model,
            holds_model,
            load_ms: if holds_model { 0 } else { 8200 },
            service_ms: 1200,
            score: holds_model.then_some(0.419),
        }
    }

    fn decided(chosen: &str, reason: &str) -> Decision {
        Decision {
            at_unix_us: 0,
            chosen: chosen.to_owned(),
            reason: reason.to_owned(),
            position: Some(3),
            estimated_wait_ms: Some(130_000),
            candidates: vec![candidate("desk", true), candidate("attic", false)],
        }
    }

    #[test]
    fn a_decision_names_every_backend_and_what_spoke_for_it() {
        let text = decision(&decided("desk", "loaded"));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("sent to desk, loaded (it has the model"), "{text}");
        assert!(
            lines[0].ends_with("place 3 among the requests for the model, to begin in ~2 m 10 s"),
            "{text}"
        );
        let cells = |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).count();
        assert_eq!(cells(lines[2]), 7, "{text}");
        for word in ["\u{2192}", "desk", "yes", "1 of 4 slots free", "0.42", "loaded", "~1.2 s"] {
            assert!(lines[2].contains(word), "{word}: {text}");
        }
        for word in ["attic", "no", "-", "~8.2 s"] {
            assert!(lines[3].contains(word), "{word}: {text}");
        }
        assert!(!lines[3].contains('\u{2192}'), "{text}");
    }

    #[test]
    fn a_request_that_waits_and_one_nobody_can_serve_say_so() {
        assert!(decision(&decided("", "paused")).contains("ctl resume"));
        let waits = decision(&decided("", "waits"));
        assert!(waits.contains(": it waits, place 3") && !waits.contains('\u{2192}'), "{waits}");
        let nobody = decision(&Decision { candidates: Vec::new(), ..decided("", "waits") });
        assert!(nobody.ends_with("no backend offers the model"), "{nobody}");
        let unknown = decision(&decided("desk", "whim"));
        assert!(unknown.contains("sent to desk, whim, place"), "{unknown}");
    }

    #[test]
    fn the_request_itself_comes_first() {
        let record = RequestRecord {
            client: "laptop".to_owned(),
            state: RequestState::Failed,
            backend: "desk".to_owned(),
            attempts: 2,
            error_code: "timeout".to_owned(),
            error: "too\nlate".to_owned(),
            warnings: String::new(),
            ..record("job-1")
        };
        let decisions = vec![decided("attic", "relief"), decided("desk", "retry")];
        let text = explanation(&Explanation { record: record.clone(), decisions });
        assert!(
            text.starts_with("request job-1: model m, chat_completions, class interactive, client laptop\n")
        );
        assert!(text.contains("failed last on desk, 2 attempts, timeout: too late\n\n"), "{text}");
        assert!(text.find("relief").unwrap() < text.find("retry").unwrap());
        let forgotten = explanation(&Explanation { record, decisions: Vec::new() });
        assert!(forgotten.ends_with("no decision on it is kept"), "{forgotten}");
    }
}
