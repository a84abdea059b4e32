//! The supervisor's lines in the log: what the scheduler notes, how children end, one line per ended request.
//!
//! Names, ids, counts and times; never a key, never content.

use ipc_proto::operator::RequestRecord;

use crate::children::ChildId;
use crate::scheduler::Note;

/// Writes down what the scheduler notes.
pub(crate) fn note(note: &Note) {
    match note {
        Note::BackendUp { backend, models } => tracing::info!(backend, models, "backend up"),
        Note::BackendDown { backend, reason } => tracing::info!(backend, reason, "backend down"),
        Note::BackendOdd { backend, what } => tracing::warn!(backend, what, "odd backend"),
        Note::ChildLost { child, restart_in_ms } => {
            tracing::warn!(child, restart_in_ms, "a child was lost and is started again");
        }
        Note::Load { backend, model, evicts, reason } => {
            tracing::info!(backend, model, evicts, reason, "a backend loads a model");
        }
        Note::AvoidedReload { backend, model } => {
            tracing::debug!(backend, model, "a request was fitted to the model in memory");
        }
        Note::Mode { backend, swaps } => {
            tracing::info!(backend, swaps, "measured whether a backend swaps its models");
        }
        Note::Phase(phase) => tracing::info!(phase, "phase"),
    }
}

/// Writes down the end of a child's process.
pub(crate) fn exited(child: ChildId, ended: &str) {
    tracing::info!(%child, ended, "a child's process ended");
}

/// Writes down the end of a request.
pub(crate) fn ended(record: &RequestRecord) {
    tracing::info!(
        target: "proxylm::request",
        request = record.id,
        client = record.client,
        model = record.model,
        backend = record.backend,
        state = record.state.as_str(),
        status = record.http_status,
        error = (!record.error_code.is_empty()).then_some(record.error_code.as_str()),
        class = record.class.as_str(),
        reason = (!record.reason.is_empty()).then_some(record.reason.as_str()),
        attempts = record.attempts,
        swap = record.swap,
        queue_ms = milliseconds(record.queue_us),
        first_byte_ms = milliseconds(record.first_byte_us),
        total_ms = milliseconds(record.total_us),
        input_tokens = record.input_tokens,
        output_tokens = record.output_tokens,
        "request ended"
    );
}

fn milliseconds(microseconds: Option<u64>) -> Option<u64> {
    microseconds.map(|microseconds| microseconds / 1000)
}
