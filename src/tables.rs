//! What `ctl` shows to people: snapshots and records as tables, with units that fit the size.

use std::fmt::Write as _;

use dialect::Endpoint;
use ipc_proto::operator::{BackendView, Counters, FrontendView, InstanceView, RequestRecord, Snapshot};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::report::{one_line, table};

/// The least that is shown of an id.
const SHORTEST_ID: usize = 8;
/// The most that is shown of what went wrong: the whole of it is in the JSON form.
const LONGEST_ERROR: usize = 60;

/// The whole state on one screen.
pub(crate) fn status(snapshot: &Snapshot) -> String {
    let mut parts = vec![instance(&snapshot.instance), counters(&snapshot.counters)];
    parts.push(frontends(&snapshot.frontends));
    parts.push(backends(&snapshot.backends));
    if snapshot.live > 0 {
        parts.push(requests(snapshot));
    }
    parts.join("\n\n")
}

fn instance(instance: &InstanceView) -> String {
    let up = duration_us(between(instance.started_unix_us, instance.now_unix_us));
    let mut lines = vec![
        format!("proxylm {}, {} for {up}, process {}", instance.version, instance.phase, instance.pid),
        format!("listening on http://{}", instance.address),
        format!(
            "strategy {}, {} of at most {} waiting",
            instance.strategy, instance.queued, instance.queue_limit
        ),
    ];
    if !instance.config.is_empty() {
        lines.push(format!("configuration {}", instance.config));
    }
    lines.push(format!("history {}", instance.database));
    lines.join("\n")
}

fn counters(counters: &Counters) -> String {
    let mut line = format!(
        "{} admitted, {} completed, {} failed, {} cancelled, {} refused by a full queue, {} retries, {} swaps",
        counters.admitted,
        counters.completed,
        counters.failed,
        counters.cancelled,
        counters.queue_full,
        counters.retries,
        counters.swaps
    );
    if counters.restarts > 0 {
        let _ = write!(line, ", {} processes started again", counters.restarts);
    }
    if counters.history_lost > 0 {
        let _ = write!(
            line,
            "\n{} rows of history LOST: is the disk full or the file locked?",
            counters.history_lost
        );
    }
    line
}

fn frontends(views: &[FrontendView]) -> String {
    let row = |view: &FrontendView| {
        let pid = view.pid.map_or_else(dash, |pid| pid.to_string());
        vec![
            view.seat.to_string(),
            view.state.clone(),
            pid,
            view.generation.to_string(),
            view.requests.to_string(),
        ]
    };
    table(&["frontend", "state", "pid", "generation", "requests"], views.iter().map(row).collect())
}

/// The backends, one per line.
pub(crate) fn backends(views: &[BackendView]) -> String {
    let row = |view: &BackendView| {
        vec![
            view.name.clone(),
            view.kind.as_str().to_owned(),
            health(view),
            worker(view),
            slots(view),
            model(view),
            view.models.len().to_string(),
            view.queued.to_string(),
            view.failures.to_string(),
            view.swaps.to_string(),
        ]
    };
    let header =
        ["backend", "type", "health", "worker", "slots", "model", "models", "queued", "failures", "swaps"];
    let mut text = table(&header, views.iter().map(row).collect());
    for view in views.iter().filter(|view| !view.reason.is_empty()) {
        let _ = write!(text, "\n{}: {}", view.name, one_line(&view.reason));
    }
    text
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

fn model(view: &BackendView) -> String {
    match (view.current_model.as_str(), view.loading) {
        ("", _) => dash(),
        (model, true) => format!("{model} (loading)"),
        (model, false) => model.to_owned(),
    }
}

/// The live requests, one per line.
pub(crate) fn requests(snapshot: &Snapshot) -> String {
    let shown = short_length(&snapshot.requests);
    let now = snapshot.instance.now_unix_us;
    let row = |record: &RequestRecord| {
        vec![
            shorten(&record.id, shown),
            record.state.as_str().to_owned(),
            word_or_dash(&record.client),
            record.model.clone(),
            endpoint(record.endpoint).to_owned(),
            word_or_dash(&record.backend),
            record.attempts.to_string(),
            duration_us(between(record.arrived_unix_us, now)),
        ]
    };
    let header = ["request", "state", "client", "model", "operation", "backend", "attempts", "age"];
    let mut text = table(&header, snapshot.requests.iter().map(row).collect());
    let listed = u64::try_from(snapshot.requests.len()).unwrap_or(u64::MAX);
    if let Some(more @ 1..) = snapshot.live.checked_sub(listed) {
        let _ = write!(text, "\nand {more} more");
    }
    text
}

/// Past requests, one per line.
pub(crate) fn history(records: &[RequestRecord]) -> String {
    let shown = short_length(records);
    let row = |record: &RequestRecord| {
        vec![
            local_time(record.arrived_unix_us),
            shorten(&record.id, shown),
            record.state.as_str().to_owned(),
            record.http_status.map_or_else(dash, |status| status.to_string()),
            word_or_dash(&record.client),
            record.model.clone(),
            word_or_dash(&record.backend),
            record.attempts.to_string(),
            record.queue_us.map_or_else(dash, duration_us),
            record.first_byte_us.map_or_else(dash, duration_us),
            record.total_us.map_or_else(dash, duration_us),
            tokens(record),
            if record.swap { "swap".to_owned() } else { String::new() },
            shorten(&record.error, LONGEST_ERROR),
        ]
    };
    let header = [
        "arrived",
        "request",
        "state",
        "status",
        "client",
        "model",
        "backend",
        "attempts",
        "queue",
        "first byte",
        "total",
        "tokens",
        "",
        "error",
    ];
    table(&header, records.iter().map(row).collect())
}

fn endpoint(endpoint: Endpoint) -> &'static str {
    endpoint.path().trim_start_matches("/v1/")
}

fn tokens(record: &RequestRecord) -> String {
    let side = |tokens: Option<u64>| tokens.map_or_else(dash, |tokens| tokens.to_string());
    match (record.input_tokens, record.output_tokens) {
        (None, None) => dash(),
        (input, output) => format!("{}→{}", side(input), side(output)),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn word_or_dash(word: &str) -> String {
    if word.is_empty() { dash() } else { word.to_owned() }
}

/// How many characters of the ids tell these requests apart.
fn short_length(records: &[RequestRecord]) -> usize {
    let longest = records.iter().map(|record| record.id.len()).max().unwrap_or_default();
    let tells_apart = |length: usize| {
        let mut starts: Vec<_> = records.iter().map(|record| shorten(&record.id, length)).collect();
        starts.sort_unstable();
        starts.windows(2).all(|pair| pair[0] != pair[1])
    };
    (SHORTEST_ID..longest).find(|length| tells_apart(*length)).unwrap_or(longest)
}

/// The first `length` characters, all on one line.
fn shorten(text: &str, length: usize) -> String {
    one_line(text).chars().take(length).collect()
}

/// Microseconds from `start` to `end`, both in microseconds since 1970; 0 if the clock was set back.
fn between(start: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(start)).unwrap_or_default()
}

/// A duration in the unit that fits its size.
fn duration_us(us: u64) -> String {
    let (ms, s) = (us / 1000, us / 1_000_000);
    match s {
        0 if us < 10_000 => format!("{}.{} ms", ms, us % 1000 / 100),
        0 => format!("{ms} ms"),
        1..60 => format!("{s}.{} s", us % 1_000_000 / 100_000),
        60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
        _ => format!("{} d {:02} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A moment by the clock on this machine's wall.
fn local_time(unix_us: i64) -> String {
    Timestamp::from_microsecond(unix_us).map_or_else(
        |_| dash(),
        |time| time.to_zoned(TimeZone::system()).strftime("%m-%d %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_unit_that_fits() {
        let cases = [
            (0, "0.0 ms"),
            (1_250, "1.2 ms"),
            (250_000, "250 ms"),
            (2_340_000, "2.3 s"),
            (61_000_000, "1 m 01 s"),
            (3_720_000_000, "1 h 02 m"),
            (90_000_000_000, "1 d 01 h"),
        ];
        for (us, text) in cases {
            assert_eq!(duration_us(us), text);
        }
    }

    #[test]
    fn text_is_cut_between_characters_and_kept_on_one_line() {
        assert_eq!(shorten("héllo\nthere", 6), "héllo ");
    }
}
