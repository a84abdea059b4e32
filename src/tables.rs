//! What `ctl` shows to people: snapshots and records as tables, with units that fit the size.
//!
//! Shows everything it is given and decides nothing; the JSON form never passes through here.

use std::fmt::Write as _;

use dialect::Endpoint;
use ipc_proto::operator::{Counters, FrontendView, InstanceView, RequestRecord, Snapshot};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::report::{one_line, table};

mod backends;
mod changes;
mod decisions;
mod learned;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use self::backends::backends;
pub(crate) use self::changes::{change, log_line, standing};
pub(crate) use self::decisions::explanation;
pub(crate) use self::learned::learned;
pub(crate) use self::rows::{csv, request};

/// The least that is shown of an id.
const SHORTEST_ID: usize = 8;
/// The most that is shown of what went wrong: the whole of it is in the JSON form.
const LONGEST_ERROR: usize = 60;
const DAY_MS: u64 = 86_400_000;

/// The whole state on one screen.
pub(crate) fn status(snapshot: &Snapshot) -> String {
    let mut parts = vec![instance(&snapshot.instance), counters(&snapshot.counters)];
    parts.push(frontends(&snapshot.frontends));
    parts.push(backends(snapshot));
    if snapshot.live > 0 {
        parts.push(requests(snapshot));
    }
    parts.join("\n\n")
}

fn instance(instance: &InstanceView) -> String {
    let up = duration_us(between(instance.started_unix_us, instance.now_unix_us));
    let mut lines = vec![
        format!("proxylm {}, {}, process {}", instance.version, since(&instance.phase, &up), instance.pid),
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

/// `running for 3 m 02 s`; of other phases it is not known how long they have lasted.
fn since(phase: &str, up: &str) -> String {
    if phase == "running" { format!("running for {up}") } else { format!("{phase}, up {up}") }
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
    let _ = write!(
        line,
        "\n{} reloads avoided, {} lingers won, {} lost",
        counters.avoided_reloads, counters.lingers_won, counters.lingers_lost
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

/// The live requests, one per line.
pub(crate) fn requests(snapshot: &Snapshot) -> String {
    let shown = short_length(&snapshot.requests);
    let now = snapshot.instance.now_unix_us;
    let row = |record: &RequestRecord| {
        vec![
            shorten(&record.id, shown),
            record.state.as_str().to_owned(),
            record.class.as_str().to_owned(),
            word_or_dash(&record.client),
            record.model.clone(),
            endpoint(record.endpoint).to_owned(),
            word_or_dash(&record.backend),
            word_or_dash(&record.reason),
            record.attempts.to_string(),
            duration_us(between(record.arrived_unix_us, now)),
            record.waiting.map_or_else(dash, |waiting| waiting.position.to_string()),
            record.waiting.map_or_else(dash, |waiting| expected_ms(waiting.estimated_wait_ms)),
        ]
    };
    let header = [
        "request",
        "state",
        "class",
        "client",
        "model",
        "operation",
        "backend",
        "reason",
        "attempts",
        "age",
        "place",
        "still waits",
    ];
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
            record.class.as_str().to_owned(),
            word_or_dash(&record.client),
            record.model.clone(),
            word_or_dash(&record.backend),
            word_or_dash(&record.reason),
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
        "class",
        "client",
        "model",
        "backend",
        "reason",
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
    endpoint.as_str()
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

/// Seconds as a clock shows them: `3:41`, `2:02:02`.
fn clock_time(s: u64) -> String {
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60),
    }
}

/// A duration that is expected, not measured. From a day on it means no more than that.
fn expected_ms(ms: u64) -> String {
    if ms < DAY_MS { format!("~{}", duration_us(ms * 1000)) } else { "over a day".to_owned() }
}

/// The time of day by the clock on this machine's wall.
fn time_of_day(unix_us: i64) -> String {
    Timestamp::from_microsecond(unix_us)
        .map_or_else(|_| dash(), |time| time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string())
}

/// A moment by the clock on this machine's wall.
fn local_time(unix_us: i64) -> String {
    Timestamp::from_microsecond(unix_us).map_or_else(
        |_| dash(),
        |time| time.to_zoned(TimeZone::system()).strftime("%m-%d %H:%M:%S").to_string(),
    )
}
