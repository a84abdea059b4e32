//! Scheduling as configured, and as meant: the strategy, the numbers in its rules, the bounds of the queue; and which
//! of them say nothing together.

use std::path::{Path, PathBuf};

use super::backend::millis_of;
use super::check::{Findings, resolve};
use super::file::{self, File, Linger};
use crate::scheduler::catalog::{Knobs, LoadPolicy, QueueLimits, Strategy};

/// What the configuration says of scheduling.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Scheduling {
    /// The rules that choose.
    pub(super) strategy: Strategy,
    /// The numbers in those rules.
    pub(super) knobs: Knobs,
    /// What is done with options that make an engine load a model anew.
    pub(super) load_options: LoadPolicy,
    /// Bounds of the queue.
    pub(super) queue: QueueLimits,
    /// Where events and decisions are written down, if they are.
    pub(super) record: Option<PathBuf>,
}

/// Finds out what `file` says of scheduling; relative paths start at `folder`.
pub(super) fn check_scheduling(file: &File, folder: &Path, findings: &mut Findings<'_>) -> Scheduling {
    let scheduler = &file.scheduler;
    let strategy = file.routing.strategy;
    let knobs = Knobs {
        max_wait_ms: scheduler.max_wait.exactly().map(millis_of),
        turn: scheduler.turn,
        linger: scheduler.linger == Linger::Auto,
        pace: scheduler.pace.exactly(),
        burst: scheduler.burst,
        max_consecutive_per_model: scheduler.max_consecutive_per_model,
    };
    warn_of_knobs(strategy, &knobs, findings);
    warn_of_bounds(scheduler, findings);
    Scheduling {
        strategy,
        knobs,
        load_options: load_policy(file.compat.load_options),
        queue: queue(scheduler),
        record: record(file, folder, findings),
    }
}

fn load_policy(written: file::LoadOptions) -> LoadPolicy {
    match written {
        file::LoadOptions::Bucket => LoadPolicy::Bucket,
        file::LoadOptions::Pin => LoadPolicy::Pin,
        file::LoadOptions::Pass => LoadPolicy::Pass,
        file::LoadOptions::Strip => LoadPolicy::Strip,
    }
}

fn queue(scheduler: &file::Scheduler) -> QueueLimits {
    let bound = |most: u32| Some(u64::from(most)).filter(|most| *most > 0);
    QueueLimits {
        max_waiting: scheduler.max_queue.into(),
        max_waiting_per_model: bound(scheduler.max_queue_per_model),
        max_waiting_per_client: bound(scheduler.max_queue_per_key),
        timeout_ms: bound(scheduler.queue_timeout_seconds).map(|seconds| seconds * 1000),
    }
}

fn record(file: &File, folder: &Path, findings: &mut Findings<'_>) -> Option<PathBuf> {
    const KEY: &str = "scheduler.record";
    let written = file.scheduler.record.as_ref()?.trim();
    if written.is_empty() {
        findings.wrong(KEY, "is empty; it needs the name of a file, or leave it out");
        return None;
    }
    let path = resolve(folder, written);
    if path == resolve(folder, file.storage.database_path.trim()) {
        findings.wrong_but(
            KEY,
            "is the file of storage.database_path too",
            "give the record a file of its own, such as ./decisions.jsonl",
        );
    }
    Some(path)
}

/// A number that the chosen rules do not have.
fn warn_of_knobs(strategy: Strategy, knobs: &Knobs, findings: &mut Findings<'_>) {
    let usual = Knobs::default();
    let changed = [
        ("turn", knobs.turn.total_cmp(&usual.turn).is_ne()),
        ("linger", knobs.linger != usual.linger),
        ("pace", knobs.pace != usual.pace),
        ("burst", knobs.burst != usual.burst),
    ];
    for (key, _) in changed.iter().filter(|(_, changed)| *changed && strategy != Strategy::ModelTurns) {
        let message = format!("has no effect with strategy {}: it is for model_turns", strategy.as_str());
        findings.odd(format!("scheduler.{key}"), message);
    }
    match (strategy, knobs.max_consecutive_per_model) {
        (Strategy::FairShareRoundRobin, 0) => findings.odd(
            "routing.strategy",
            "fair_share_round_robin without scheduler.max_consecutive_per_model schedules like \
             deferred_model_then_capable",
        ),
        (Strategy::FairShareRoundRobin, _) | (_, 0) => {}
        (other, _) => findings.odd(
            "scheduler.max_consecutive_per_model",
            format!("has no effect with strategy {}: it is for fair_share_round_robin", other.as_str()),
        ),
    }
}

/// A bound that another one makes unreachable.
fn warn_of_bounds(scheduler: &file::Scheduler, findings: &mut Findings<'_>) {
    let most = scheduler.max_queue;
    let bounds = [
        ("scheduler.max_queue_per_model", scheduler.max_queue_per_model),
        ("scheduler.max_queue_per_key", scheduler.max_queue_per_key),
    ];
    for (key, bound) in bounds {
        if bound > most {
            findings.odd(key, format!("has no effect: max_queue ({most}) is reached before"));
        }
    }
}
