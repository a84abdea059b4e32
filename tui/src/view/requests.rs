//! The table of requests: columns to the width, and what stands in each.

use ipc_proto::operator::{RequestRecord, RequestState};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::strip::Strip;
use crate::app::{App, Pane};
use crate::layout::WIDE;
use crate::look::{Glyphs, Look, Tone};
use crate::measure::{clock, count, cut, elapsed_us, endpoint, fit_right, wait_us};
use crate::table;

/// Widths of the columns that depend on the screen's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Columns {
    client: usize,
    model: usize,
    tokens: usize,
    /// Why a request is where it is, or what it waits for.
    why: Option<usize>,
    endpoint: Option<usize>,
}

impl Columns {
    /// The columns of a screen so many cells wide, [`WIDE`] or more.
    fn new(width: usize) -> Self {
        let free = width.saturating_sub(75);
        let (model, tokens) = match free {
            39.. => (27, 11),
            30..=38 => (free - 12, 11),
            28..=29 => (18, free - 19),
            _ => (18, 9),
        };
        // On the three narrowest screens the client's name gives way.
        let client = 9 - 28usize.saturating_sub(free).min(3);
        let why = (width >= 136).then_some(20);
        let endpoint = (width >= 200).then_some(18);
        Self { client, model, tokens, why, endpoint }
    }
}

/// The lines of the pane `area`: names of the columns where they fit, then the rows on the screen.
pub(super) fn lines(app: &App, look: &Look, area: Rect) -> Vec<Line<'static>> {
    let room = usize::from(area.width.saturating_sub(4));
    let wide = area.width >= WIDE;
    let columns = Columns::new(usize::from(area.width));
    let mut lines = Vec::new();
    let mut visible = usize::from(area.height.saturating_sub(2));
    if wide {
        lines.push(names(look, columns, room));
        visible = visible.saturating_sub(1);
    }
    for id in app.table.rows.iter().skip(app.table.scroll).take(visible) {
        let Some(record) = app.world.requests.get(id) else { continue };
        let mut strip = Strip::new(look, room);
        if wide {
            put_row(&mut strip, app, look, columns, record);
        } else {
            put_compact(&mut strip, app, look, record);
        }
        let is_selected = app.table.selected.as_ref() == Some(id);
        lines.push(if is_selected && app.pane == Pane::Requests {
            strip.selected(None)
        } else {
            strip.done()
        });
    }
    if app.table.rows.is_empty() {
        let text = if app.table.filter.is_empty() {
            "no requests in the last 30 minutes"
        } else {
            "no request fits the filter"
        };
        lines.push(Line::styled(text, look.style(Tone::Dim)));
    }
    lines
}

fn names(look: &Look, columns: Columns, room: usize) -> Line<'static> {
    let mut strip = Strip::new(look, room);
    strip.put("  ", Tone::Dim);
    let tokens = format!("I{}O tok", look.glyphs.arrow);
    for (name, cells) in [
        ("#", 4),
        ("Client", columns.client),
        ("Model", columns.model),
        ("Server", 10),
        ("Status", 12),
        ("RM", 2),
        ("Queued", 8),
        ("Started", 8),
        ("Elapsed", 7),
        (&tokens, columns.tokens),
    ] {
        strip.column(name, cells, Tone::Dim).put(" ", Tone::Dim);
    }
    if let Some(cells) = columns.endpoint {
        strip.column("Endpoint", cells, Tone::Dim).put(" ", Tone::Dim);
    }
    if let Some(cells) = columns.why {
        strip.column("Why", cells, Tone::Dim);
    }
    strip.done()
}

fn put_row(strip: &mut Strip<'_>, app: &App, look: &Look, columns: Columns, record: &RequestRecord) {
    let glyphs = look.glyphs;
    let tone = tone(app, record);
    let elapsed = table::elapsed_us(record, app.clock_us()).map(elapsed_us);
    let none = || glyphs.none.to_owned();
    strip.put(&marker(record, glyphs), tone);
    strip.column(&short_id(&record.id), 4, tone).put(" ", tone);
    strip.column(&or_none(&record.client, glyphs), columns.client, tone).put(" ", tone);
    strip.column(&model(app, record, columns.model, glyphs), columns.model, tone).put(" ", tone);
    put_backend(strip, app, record, 10, tone);
    let (sign, word) = state(record, glyphs);
    strip.put(" ", tone).column(&format!("{sign} {word}"), 12, tone).put(" ", tone);
    let reloaded = record.swap && record.state != RequestState::Queued;
    strip.column(if reloaded { glyphs.done } else { glyphs.none }, 2, tone).put(" ", tone);
    strip.column(&clock(record.arrived_unix_us, &look.zone), 8, tone).put(" ", tone);
    let started = record.started_unix_us.map_or_else(none, |at| clock(at, &look.zone));
    strip.column(&started, 8, tone).put(" ", tone);
    strip.put(&fit_right(&elapsed.unwrap_or_else(none), 7, glyphs), tone).put(" ", tone);
    strip.column(&tokens(record, glyphs), columns.tokens, tone);
    if let Some(cells) = columns.endpoint {
        strip.put(" ", tone).column(endpoint(record.endpoint), cells, tone);
    }
    if let Some(cells) = columns.why {
        let tone = if record.attempts > 1 { Tone::Retry } else { tone };
        // What is left belongs to the errors, which are long.
        let cells = cells.max(strip.left().saturating_sub(1));
        strip.put(" ", tone).column(&why(record), cells, tone);
    }
}

fn put_compact(strip: &mut Strip<'_>, app: &App, look: &Look, record: &RequestRecord) {
    let glyphs = look.glyphs;
    let tone = tone(app, record);
    // What is more than sixty columns goes to the model and the server.
    let spare = strip.left().saturating_sub(56);
    let model_cells = 14 + spare.saturating_sub(4).min(12);
    let elapsed = table::elapsed_us(record, app.clock_us()).map(elapsed_us);
    strip.put(&marker(record, glyphs), tone);
    strip.column(&short_id(&record.id), 4, tone).put(" ", tone);
    strip.column(&or_none(&record.client, glyphs), 8, tone).put(" ", tone);
    strip.column(&model(app, record, model_cells, glyphs), model_cells, tone).put(" ", tone);
    put_backend(strip, app, record, 6 + spare.min(4), tone);
    strip.put(" ", tone).column(state(record, glyphs).1, 10, tone).put(" ", tone);
    strip.put(&elapsed.unwrap_or_else(|| glyphs.none.to_owned()), tone);
}

fn marker(record: &RequestRecord, glyphs: &Glyphs) -> String {
    match record.state {
        RequestState::Running => format!("{} ", glyphs.running),
        _ => "  ".to_owned(),
    }
}

fn tone(app: &App, record: &RequestRecord) -> Tone {
    match record.state {
        RequestState::Queued if app.world.needs_swap(record) => Tone::Dim,
        RequestState::Queued => Tone::Plain,
        RequestState::Running => Tone::Running,
        RequestState::Completed => Tone::Good,
        RequestState::Failed => Tone::Failed,
        RequestState::Cancelled => Tone::Dim,
    }
}

/// Sign and word of a request's state.
pub(super) fn state(record: &RequestRecord, glyphs: &Glyphs) -> (&'static str, &'static str) {
    let sign = match record.state {
        RequestState::Queued => glyphs.queued,
        RequestState::Running => glyphs.running,
        RequestState::Completed => glyphs.done,
        RequestState::Failed => glyphs.failed,
        RequestState::Cancelled => "?",
    };
    (sign, record.state.as_str())
}

fn short_id(id: &str) -> String {
    let skipped = id.chars().count().saturating_sub(4);
    id.chars().skip(skipped).collect()
}

fn or_none(text: &str, glyphs: &Glyphs) -> String {
    if text.is_empty() { glyphs.none.to_owned() } else { text.to_owned() }
}

fn model(app: &App, record: &RequestRecord, cells: usize, glyphs: &Glyphs) -> String {
    if app.world.needs_swap(record) {
        format!("{}~", cut(&record.model, cells - 1, glyphs))
    } else {
        record.model.clone()
    }
}

fn put_backend(strip: &mut Strip<'_>, app: &App, record: &RequestRecord, cells: usize, row: Tone) {
    let glyphs = strip.glyphs();
    let failed_before = &record.last_failed_backend;
    let failed = if record.state == RequestState::Failed && !record.backend.is_empty() {
        Some(&record.backend)
    } else if !failed_before.is_empty() && (record.backend.is_empty() || record.backend == *failed_before) {
        Some(failed_before)
    } else {
        None
    };
    if let Some(name) = failed {
        strip.column(&format!("{} {name}", glyphs.failed_backend), cells, Tone::Failed);
    } else if record.backend.is_empty() {
        strip.column(glyphs.none, cells, row);
    } else {
        strip.column(&record.backend, cells, backend_tone(app, &record.backend));
    }
}

/// A backend's colour: by its place, and for one that is gone by its name.
pub(super) fn backend_tone(app: &App, name: &str) -> Tone {
    let by_name = || name.bytes().fold(7, |sum: usize, byte| (sum * 31 + usize::from(byte)) % 1009);
    Tone::Backend(app.world.backend(name).map_or_else(by_name, |(place, _)| place))
}

fn tokens(record: &RequestRecord, glyphs: &Glyphs) -> String {
    let number = |tokens: Option<u64>| match tokens {
        None | Some(0) => glyphs.none.to_owned(),
        Some(tokens) => count(tokens),
    };
    let output = match record.output_tokens {
        None if record.state == RequestState::Running && record.stream => glyphs.going_on.to_owned(),
        tokens => number(tokens),
    };
    format!("{}{}{output}", number(record.input_tokens), glyphs.arrow)
}

/// What a request waits for, why it went where it is, or what went wrong, in a few words.
fn why(record: &RequestRecord) -> String {
    match (record.state, &record.waiting) {
        (RequestState::Queued, Some(waiting)) => {
            format!(
                "#{}, about {}",
                waiting.position,
                wait_us(waiting.estimated_wait_ms.saturating_mul(1000))
            )
        }
        (RequestState::Failed, _) if !record.error.is_empty() => record.error.clone(),
        _ if record.attempts > 1 => format!("{}, attempt {}", record.reason, record.attempts),
        _ => record.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tui_02_model_and_tokens_have_the_widths_of_the_table() {
        let widths = |width| {
            let columns = Columns::new(width);
            (columns.model, columns.tokens)
        };
        assert_eq!([103, 104, 105, 110].map(widths), [(18, 9), (18, 10), (18, 11), (23, 11)]);
        assert_eq!([113, 114, 150, 200].map(widths), [(26, 11), (27, 11), (27, 11), (27, 11)]);
    }

    #[test]
    fn tui_02_a_row_never_overflows() {
        for width in 100..400 {
            let columns = Columns::new(width);
            let more =
                columns.why.map_or(0, |cells| cells + 1) + columns.endpoint.map_or(0, |cells| cells + 1);
            let row =
                2 + 4 + columns.client + columns.model + 10 + 12 + 2 + 8 + 8 + 7 + columns.tokens + 9 + more;
            assert!(row <= width - 4, "{width}: {row}");
        }
        assert_eq!(Columns::new(199).endpoint, None);
        assert_eq!(Columns::new(200).endpoint, Some(18));
    }
}
