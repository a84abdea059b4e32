//! The info pane of a request: everything known of it.

use std::fmt::Write as _;

use ipc_proto::operator::{RequestRecord, RequestState};
use ratatui::text::Line;

use super::requests;
use super::strip::Strip;
use crate::app::App;
use crate::look::{Look, Tone};
use crate::measure::{count, date, elapsed_us, endpoint, wait_us, width};

/// Cells of a label.
const LABEL: usize = 12;

/// The lines of the pane.
pub(super) fn lines(app: &App, record: &RequestRecord, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let mut lines = facts(app, record, look, cells);
    lines.extend(remarks(record, look, cells));
    lines
}

/// What every request has: times, counts, names.
fn facts(app: &App, record: &RequestRecord, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let none = || look.glyphs.none.to_owned();
    let word = |text: &str| if text.is_empty() { none() } else { text.to_owned() };
    let time = |at: Option<i64>| at.map_or_else(none, |at| date(at, &look.zone));
    let tokens = |number: Option<u64>| number.map_or_else(none, count);
    let mut output = tokens(record.output_tokens);
    if let Some(thought) = record.reasoning_tokens.filter(|number| *number > 0) {
        let _ = write!(output, " ({} thinking)", count(thought));
    }
    let mut input = tokens(record.input_tokens);
    if let Some(cached) = record.cached_tokens.filter(|number| *number > 0) {
        let _ = write!(input, " ({} cached)", count(cached));
    }
    let reloaded = match record.load_us {
        Some(us) => format!("{} {}", look.glyphs.done, elapsed_us(i64::try_from(us).unwrap_or(i64::MAX))),
        None if record.swap && record.state != RequestState::Queued => look.glyphs.done.to_owned(),
        None => none(),
    };
    let mut queue_wait = record.queue_us.map_or_else(none, wait_us);
    if record.queue_us.is_none() && record.state == RequestState::Queued {
        let waited = app.clock_us().saturating_sub(record.arrived_unix_us);
        queue_wait = format!("{} so far", wait_us(u64::try_from(waited).unwrap_or(0)));
    }
    let first_byte = record.first_byte_us.map_or_else(none, wait_us);
    let created = time(Some(record.arrived_unix_us));
    let class = record.class.as_str().to_owned();
    // An id that is cut is of no use: on a narrow screen it has its own line.
    let narrow = cells < 100;
    let mut lines = Vec::new();
    if narrow {
        lines.push(single(look, cells, "ID", &record.id, Tone::Plain));
    }
    let first = if narrow { ("Class", class.clone()) } else { ("ID", record.id.clone()) };
    let last = if narrow { ("", String::new()) } else { ("Class", class) };
    let pairs = [
        (first.0, first.1, "Created", created),
        ("Client", word(&record.client), "Started", time(record.started_unix_us)),
        ("Model", record.model.clone(), "Completed", time(record.ended_unix_us)),
        ("Endpoint", endpoint(record.endpoint).to_owned(), "Queue wait", queue_wait),
        ("Stream", if record.stream { "yes" } else { "no" }.to_owned(), "Prompt tok", input),
        ("Server", backend(record, look), "Output tok", output),
        ("Status", status(record), "RM", reloaded),
        (last.0, last.1, "First byte", first_byte),
    ];
    lines.extend(pairs.iter().map(|(a, b, c, d)| pair(look, cells, (a, b), (c, d))));
    lines
}

/// What only some have: a place in the queue, a reason, an error, what was lost in translation.
fn remarks(record: &RequestRecord, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(waiting) = &record.waiting {
        let text = format!(
            "place {} among those for {}, expected to begin in {}",
            waiting.position,
            record.model,
            wait_us(waiting.estimated_wait_ms.saturating_mul(1000))
        );
        lines.push(single(look, cells, "Waits", &text, Tone::Plain));
    }
    if !record.reason.is_empty() {
        let text = format!("{} (e: how it was decided)", record.reason);
        lines.push(single(look, cells, "Why there", &text, Tone::Plain));
    }
    if !record.error.is_empty() || !record.error_code.is_empty() {
        lines.extend(wrapped(
            look,
            cells,
            "Error",
            &format!("{} {}", record.error_code, record.error),
            Tone::Bad,
        ));
    }
    if !record.warnings.is_empty() {
        lines.extend(wrapped(look, cells, "Lost", &record.warnings, Tone::Warning));
    }
    lines
}

fn status(record: &RequestRecord) -> String {
    let mut text = format!("{} (attempt {})", record.state.as_str(), record.attempts);
    if record.attempts == 0 {
        record.state.as_str().clone_into(&mut text);
    }
    if let Some(status) = record.http_status {
        let _ = write!(text, ", HTTP {status}");
    }
    text
}

fn backend(record: &RequestRecord, look: &Look) -> String {
    let sign = look.glyphs.failed_backend;
    let before = &record.last_failed_backend;
    let other = !before.is_empty() && *before != record.backend;
    match (record.state, record.backend.as_str()) {
        (RequestState::Failed, name) if !name.is_empty() && other => format!("{sign} {name} prev: {before}"),
        (RequestState::Failed, name) if !name.is_empty() => format!("{sign} {name}"),
        (_, "") if before.is_empty() => look.glyphs.none.to_owned(),
        (_, "") => format!("{sign} {before}"),
        (_, name) if other => format!("{name} ({sign} {before})"),
        (_, name) => name.to_owned(),
    }
}

/// Two labels with their values, side by side.
pub(super) fn pair(look: &Look, cells: usize, left: (&str, &str), right: (&str, &str)) -> Line<'static> {
    let half = cells / 2;
    let mut strip = Strip::new(look, cells);
    strip.column(left.0, LABEL, Tone::Dim).column(left.1, half.saturating_sub(LABEL + 1), Tone::Plain);
    strip.put(" ", Tone::Plain).column(right.0, LABEL, Tone::Dim).put(right.1, Tone::Plain);
    strip.done()
}

/// A label with its value.
pub(super) fn single(look: &Look, cells: usize, label: &str, value: &str, tone: Tone) -> Line<'static> {
    Strip::new(look, cells).column(label, LABEL, Tone::Dim).put(value, tone).done()
}

/// A label with a long value over several lines.
fn wrapped(look: &Look, cells: usize, label: &str, value: &str, tone: Tone) -> Vec<Line<'static>> {
    let room = cells.saturating_sub(LABEL).max(10);
    let mut parts = vec![String::new()];
    for word in crate::measure::plain(value).split_whitespace() {
        let full = parts.last().is_some_and(|part| !part.is_empty() && width(part) + 1 + width(word) > room);
        if full {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            if !part.is_empty() {
                part.push(' ');
            }
            part.push_str(word);
        }
    }
    let lines = parts.iter().enumerate();
    lines.map(|(at, part)| single(look, cells, if at == 0 { label } else { "" }, part, tone)).collect()
}

/// The sign and word of a request's state, as the table shows them.
pub(super) fn state_text(record: &RequestRecord, look: &Look) -> String {
    let (sign, word) = requests::state(record, look.glyphs);
    format!("{sign} {word}")
}
