//! Backends as people see them: health, slots, and what each model they hold is there for.

use std::fmt::Write as _;

use ipc_proto::operator::{BackendView, Snapshot, TurnView};

use super::{between, clock_time, dash};
use crate::report::{one_line, table};

/// The backends, one per line; below them what is wrong with one and what it does next.
pub(crate) fn backends(snapshot: &Snapshot) -> String {
    let views = &snapshot.backends;
    let header = [
        "backend",
        "type",
        "health",
        "worker",
        "slots",
        "max models",
        "offers",
        "queued",
        "failures",
        "swaps",
        "holds",
    ];
    let mut text =
        table(&header, views.iter().map(|view| row(view, snapshot.instance.now_unix_us)).collect());
    for view in views {
        for said in [&view.reason, &view.next].into_iter().filter(|said| !said.is_empty()) {
            let _ = write!(text, "\n{}: {}", one_line(&view.name), one_line(said));
        }
    }
    text
}

fn row(view: &BackendView, now_unix_us: i64) -> Vec<String> {
    vec![
        view.name.clone(),
        view.kind.as_str().to_owned(),
        health(view),
        worker(view),
        slots(view),
        view.max_models.map_or_else(|| "any".to_owned(), |models| models.to_string()),
        view.models.len().to_string(),
        view.queued.to_string(),
        view.failures.to_string(),
        view.swaps.to_string(),
        holds(view, now_unix_us),
    ]
}

fn health(view: &BackendView) -> String {
    if view.draining { format!("{}, draining", view.health) } else { view.health.clone() }
}

fn slots(view: &BackendView) -> String {
    let lent = if view.lent > 0 { format!(" +{} lent", view.lent) } else { String::new() };
    format!("{}/{}{lent}", view.slots_used, view.slots)
}

fn worker(view: &BackendView) -> String {
    view.worker_pid.map_or_else(|| view.worker.clone(), |pid| format!("{} {pid}", view.worker))
}

/// The models it holds, each with its turn; where no turns are known, the model it holds by our belief.
fn holds(view: &BackendView, now_unix_us: i64) -> String {
    let turns: Vec<_> = view.turns.iter().map(|turn| in_words(turn, now_unix_us)).collect();
    match (turns.is_empty(), view.current_model.as_str(), view.loading) {
        (false, ..) => turns.join("; "),
        (true, "", _) => dash(),
        (true, model, true) => format!("{model} (loading)"),
        (true, model, false) => model.to_owned(),
    }
}

/// `qwen 3:41, 2 running, 12 waiting`.
fn in_words(turn: &TurnView, now_unix_us: i64) -> String {
    let held = turn
        .since_unix_us
        .map_or_else(|| "(loading)".to_owned(), |since| clock_time(between(since, now_unix_us) / 1_000_000));
    let mut text = format!("{} {held}", turn.model);
    if let Some(context) = turn.context {
        let _ = write!(text, " context {context}");
    }
    for (number, doing) in [(u64::from(turn.running), "running"), (turn.waiting, "waiting")] {
        if number > 0 {
            let _ = write!(text, ", {number} {doing}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{backend, snapshot};
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn turn(model: &str, held_s: Option<i64>) -> TurnView {
        TurnView {
            model: model.to_owned(),
            since_unix_us: held_s.map(|seconds| NOW - seconds * 1_000_000),
            running: 0,
            waiting: 0,
            context: None,
        }
    }

    #[test]
    fn a_turn_says_how_long_it_has_lasted_and_who_uses_it() {
        let qwen = TurnView { waiting: 12, ..turn("qwen", Some(221)) };
        assert_eq!(in_words(&qwen, NOW), "qwen 3:41, 12 waiting");
        let busy = TurnView { running: 2, context: Some(8192), ..turn("phi", None) };
        assert_eq!(in_words(&busy, NOW), "phi (loading) context 8192, 2 running");
        assert_eq!(in_words(&turn("llama", Some(7322)), NOW), "llama 2:02:02");
    }

    #[test]
    fn a_backend_shows_its_turns_what_is_wrong_and_what_comes_next() {
        let mut snapshot = snapshot();
        snapshot.instance.now_unix_us = NOW;
        snapshot.backends = vec![BackendView {
            turns: vec![turn("qwen", Some(60)), turn("phi", None)],
            next: "leaving qwen for llama, waited 4:02".to_owned(),
            reason: "a\u{1b}[2J".to_owned(),
            max_models: Some(2),
            ..backend("desk")
        }];
        let text = backends(&snapshot);
        assert!(text.contains("qwen 1:00; phi (loading)"), "{text}");
        assert!(text.ends_with("\ndesk: a [2J\ndesk: leaving qwen for llama, waited 4:02"), "{text}");
        snapshot.backends =
            vec![BackendView { current_model: "old".to_owned(), loading: true, ..backend("attic") }];
        let text = backends(&snapshot);
        assert!(text.contains("any") && text.ends_with("old (loading)"), "{text}");
    }
}
