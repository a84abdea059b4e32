//! One row of the history and the record it stands for: the columns, and both directions between them. The decisions
//! on a request are a column that records do not have.

use dialect::Endpoint;
use ipc_proto::control::Class;
use ipc_proto::operator::{Decision, RequestRecord, RequestState};
use rusqlite::types::Type;
use rusqlite::{Row, Statement};

/// Columns that are known when the request arrives and never change.
const FIXED: [&str; 9] =
    ["exchange", "id", "client", "model", "endpoint", "stream", "arrived_unix_us", "request_bytes", "class"];
/// Columns that every later write of the same request replaces.
const CHANGING: [&str; 22] = [
    "state",
    "backend",
    "attempts",
    "swap",
    "last_failed_backend",
    "http_status",
    "upstream_status",
    "error_code",
    "error",
    "warnings",
    "started_unix_us",
    "ended_unix_us",
    "queue_us",
    "load_us",
    "first_byte_us",
    "total_us",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "response_bytes",
    "reason",
];
/// The decisions, which a later write without any leaves as they are.
const DECISIONS: &str = "decisions";

/// The columns of a record, in the order in which [`write`] binds them.
pub(super) fn columns() -> String {
    [FIXED.as_slice(), CHANGING.as_slice()].concat().join(", ")
}

/// The same, and the decisions.
pub(super) fn columns_with_decisions() -> String {
    format!("{}, {DECISIONS}", columns())
}

/// The statement that writes one row, whether it is there already or not.
pub(super) fn upsert() -> String {
    let places = vec!["?"; FIXED.len() + CHANGING.len() + 1].join(", ");
    let updates = CHANGING.map(|column| format!("{column} = excluded.{column}")).join(", ");
    let columns = columns();
    format!(
        "INSERT INTO requests ({columns}, {DECISIONS}) VALUES ({places}) ON CONFLICT (exchange) DO UPDATE SET \
         {updates}, {DECISIONS} = ifnull(excluded.{DECISIONS}, {DECISIONS})"
    )
}

/// Runs the statement of [`upsert`] for `record`, with the decisions on it as JSON if there is news of them.
pub(super) fn write(
    statement: &mut Statement<'_>,
    record: &RequestRecord,
    decisions: Option<&str>,
) -> rusqlite::Result<usize> {
    statement.execute(rusqlite::params![
        record.exchange,
        record.id,
        record.client,
        record.model,
        endpoint_word(record.endpoint),
        record.stream,
        record.arrived_unix_us,
        signed(record.request_bytes),
        record.class.as_str(),
        record.state.as_str(),
        record.backend,
        record.attempts,
        record.swap,
        record.last_failed_backend,
        record.http_status,
        record.upstream_status,
        record.error_code,
        record.error,
        record.warnings,
        record.started_unix_us,
        record.ended_unix_us,
        record.queue_us.map(signed),
        record.load_us.map(signed),
        record.first_byte_us.map(signed),
        record.total_us.map(signed),
        record.input_tokens.map(signed),
        record.output_tokens.map(signed),
        record.cached_tokens.map(signed),
        record.reasoning_tokens.map(signed),
        signed(record.response_bytes),
        record.reason,
        decisions,
    ])
}

/// The record of a row that was selected with [`columns`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<RequestRecord> {
    Ok(RequestRecord {
        exchange: row.get("exchange")?,
        id: row.get("id")?,
        client: row.get("client")?,
        model: row.get("model")?,
        endpoint: word(row, "endpoint", endpoint_from_word)?,
        stream: row.get("stream")?,
        arrived_unix_us: row.get("arrived_unix_us")?,
        request_bytes: count(row, "request_bytes")?.unwrap_or(0),
        state: word(row, "state", RequestState::from_word)?,
        backend: row.get("backend")?,
        attempts: row.get("attempts")?,
        swap: row.get("swap")?,
        last_failed_backend: row.get("last_failed_backend")?,
        http_status: row.get("http_status")?,
        upstream_status: row.get("upstream_status")?,
        class: word(row, "class", Class::from_word)?,
        reason: row.get("reason")?,
        waiting: None,
        error_code: row.get("error_code")?,
        error: row.get("error")?,
        warnings: row.get("warnings")?,
        started_unix_us: row.get("started_unix_us")?,
        ended_unix_us: row.get("ended_unix_us")?,
        queue_us: count(row, "queue_us")?,
        load_us: count(row, "load_us")?,
        first_byte_us: count(row, "first_byte_us")?,
        total_us: count(row, "total_us")?,
        input_tokens: count(row, "input_tokens")?,
        output_tokens: count(row, "output_tokens")?,
        cached_tokens: count(row, "cached_tokens")?,
        reasoning_tokens: count(row, "reasoning_tokens")?,
        response_bytes: count(row, "response_bytes")?.unwrap_or(0),
    })
}

/// The record and the decisions of a row that was selected with [`columns_with_decisions`].
pub(super) fn read_with_decisions(row: &Row<'_>) -> rusqlite::Result<(RequestRecord, Vec<Decision>)> {
    let text: Option<String> = row.get(DECISIONS)?;
    let decisions = text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
        let index = row.as_ref().column_index(DECISIONS).unwrap_or_default();
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into())
    })?;
    Ok((read(row)?, decisions.unwrap_or_default()))
}

/// SQLite's integers have a sign: what does not fit is not a count of anything real.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count that may be missing.
pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(|value| u64::try_from(value).unwrap_or(0)))
}

/// A word that stands for a `T`.
pub(super) fn word<T>(row: &Row<'_>, column: &str, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let index = row.as_ref().column_index(column).unwrap_or_default();
        let cause = format!("{column} is {text:?}, which this version does not know");
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, cause.into())
    })
}

/// The word for an endpoint in every table.
pub(super) fn endpoint_word(endpoint: Endpoint) -> &'static str {
    endpoint.as_str()
}

/// The endpoint with this word.
pub(super) fn endpoint_from_word(word: &str) -> Option<Endpoint> {
    Endpoint::ALL.into_iter().find(|endpoint| endpoint_word(*endpoint) == word)
}
