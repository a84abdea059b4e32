//! Requests with all that is known of them: one under the other for people, side by side for spreadsheets.

use ipc_proto::operator::RequestRecord;
use jiff::Timestamp;
use serde_json::Value;

use super::local_time;
use crate::report::table;

/// The ending of names of moments.
const MOMENT: &str = "_unix_us";

/// What is known of a request, by name.
pub(crate) fn request(record: &RequestRecord) -> String {
    let known = fields(record).filter(|(_, value)| !is_nothing(value));
    let row = |(name, value): (String, Value)| match (name.strip_suffix(MOMENT), value.as_i64()) {
        (Some(name), Some(unix_us)) => vec![name.to_owned(), local_time(unix_us)],
        _ => vec![name, plain(&value)],
    };
    table(&["field", "value"], known.map(row).collect())
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// Records as comma-separated values under a line of names. Moments are in universal time, durations in microseconds.
pub(crate) fn csv(records: &[RequestRecord]) -> String {
    let mut lines: Vec<String> = records.iter().map(|record| csv_line(cells(record))).collect();
    lines.insert(0, csv_line(NAMES.iter().map(|name| (*name).to_owned())));
    lines.join("\n")
}

/// The columns, in the order of a record's fields.
const NAMES: [&str; 31] = [
    "id",
    "exchange",
    "client",
    "model",
    "endpoint",
    "stream",
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
    "arrived",
    "started",
    "ended",
    "queue_us",
    "class",
    "reason",
    "load_us",
    "first_byte_us",
    "total_us",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "request_bytes",
    "response_bytes",
];

fn cells(record: &RequestRecord) -> impl Iterator<Item = String> {
    // Nothing of the past waits.
    fields(record).filter(|(name, _)| name != "waiting").map(|(name, value)| {
        match (name.ends_with(MOMENT), value.as_i64()) {
            (true, Some(unix_us)) => {
                Timestamp::from_microsecond(unix_us).map_or_else(|_| String::new(), |at| at.to_string())
            }
            _ => plain(&value),
        }
    })
}

/// A record's fields by name, in order.
fn fields(record: &RequestRecord) -> impl Iterator<Item = (String, Value)> {
    let value = serde_json::to_value(record).expect("our own types have string keys and finite numbers");
    let fields = if let Value::Object(fields) = value { fields } else { serde_json::Map::new() };
    fields.into_iter()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let parts: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            parts.join(", ")
        }
        other => other.to_string(),
    }
}

fn csv_line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        if cell.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn the_names_of_the_columns_are_those_of_the_fields() {
        let named: Vec<String> = fields(&record("job-0"))
            .map(|(name, _)| name.trim_end_matches(MOMENT).to_owned())
            .filter(|name| name != "waiting")
            .collect();
        assert_eq!(named, NAMES);
    }

    #[test]
    fn values_with_commas_quotes_and_line_ends_stay_one_value() {
        let odd = RequestRecord {
            error: "a, \"b\"\nc".to_owned(),
            arrived_unix_us: 1_500_000,
            http_status: Some(502),
            ..record("job-0")
        };
        let text = csv(&[odd]);
        let (head, row) = text.split_once('\n').unwrap();
        assert!(head.starts_with("id,exchange,client,model,"), "{head}");
        assert!(row.contains(",502,") && row.contains(",\"a, \"\"b\"\"\nc\","), "{row}");
        assert!(row.contains(",1970-01-01T00:00:01.5Z,"), "{row}");
        assert_eq!(csv(&[]), head);
    }

    #[test]
    fn of_a_request_only_what_is_known_is_shown() {
        let text =
            request(&RequestRecord { http_status: Some(200), backend: String::new(), ..record("job-0") });
        assert!(text.contains("http_status") && text.contains("200") && !text.contains("backend "), "{text}");
        assert!(text.lines().any(|line| line.starts_with("arrived ")), "{text}");
    }
}
