//! What lies over the screen: help, models, decisions, and the question before an order.

use std::fmt::Write as _;

use ipc_proto::operator::{Decision, Explanation};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph};

use super::request_info::state_text;
use super::strip::Strip;
use crate::app::{App, Order, Overlay};
use crate::look::{Look, Tone};
use crate::measure::{clock, wait_us};

/// Models listed at most.
const MOST_MODELS: usize = 24;

const HELP: &[(&str, &str)] = &[
    ("Up k / Down j", "previous, next line; in the lower pane scroll"),
    ("PgUp PgDn Home End", "by pages, to the ends"),
    ("Tab, Shift-Tab", "next, previous pane"),
    ("Enter", "show the selected request or backend"),
    ("i  l  v", "lower pane: info, log, turns of the last minutes"),
    ("L", "log level: info, warning, error, debug"),
    ("/", "filter by model, client, server, status; Esc clears"),
    ("s  S", "sort by the next column; reverse the order"),
    ("m", "models of the selected backend"),
    ("e", "how the selected request was decided on"),
    ("F5", "read the state again"),
    ("c", "cancel the selected request"),
    ("d", "drain the selected backend, or use it again"),
    ("r", "restart the selected backend's worker"),
    ("p", "pause all backends, or resume"),
    ("Mouse", "click selects, the wheel scrolls"),
    ("q, F10, Ctrl-C", "quit; q and Esc close what lies over the screen"),
];

const SIGNS: &[(&str, &str)] = &[
    ("~ and grey", "waits for a model that no healthy backend holds"),
    ("RM", "the model was loaded for this request"),
    ("1.4s*", "load time, seen once or twice only"),
    ("lamp", "pulses: busy; steady: idle; red: down"),
];

/// Draws what lies over the screen, if anything does.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: &Look) {
    let area = frame.area();
    let widest = usize::from(area.width.saturating_sub(8));
    let Some(overlay) = app.overlay.as_ref() else { return };
    let (title, lines, cells) = match overlay {
        Overlay::Help => ("Help", help(look, widest.min(76)), 76),
        Overlay::Models(backend) => ("Models", models(app, backend, look, widest.min(60)), 60),
        Overlay::Explanation(explanation) => {
            ("How it was decided", decisions(explanation, look, widest), widest)
        }
        Overlay::Confirm(order) => ("Sure?", question(order, look, widest.min(66)), 66),
    };
    let width = u16::try_from(cells.min(widest) + 4).unwrap_or(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(2));
    let place = Rect {
        x: area.x + (area.width - width.min(area.width)) / 2,
        y: area.y + (area.height - height) / 2,
        width: width.min(area.width),
        height,
    };
    let room = super::inside(place);
    let hidden = lines.len().saturating_sub(usize::from(room.height));
    app.scroll_limit = hidden;
    app.overlay_scroll = app.overlay_scroll.min(hidden);
    let mut title = format!(" {title} ");
    if hidden > 0 {
        title.push_str("(scroll with Up and Down) ");
    }
    frame.render_widget(Clear, place);
    frame.render_widget(super::pane(look, true).title(title), place);
    let scroll = u16::try_from(app.overlay_scroll).unwrap_or(0);
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), room);
}

fn help(look: &Look, cells: usize) -> Vec<Line<'static>> {
    let entry = |(key, meaning): &(&str, &str)| {
        Strip::new(look, cells).column(key, 20, Tone::Strong).put(meaning, Tone::Plain).done()
    };
    let mut lines: Vec<_> = HELP.iter().map(entry).collect();
    lines.push(Line::default());
    lines.extend(SIGNS.iter().map(entry));
    lines.push(Line::default());
    let note = "No text of a request or an answer is ever shown here.";
    lines.push(Strip::new(look, cells).put(note, Tone::Dim).done());
    lines
}

fn models(app: &App, backend: &str, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let Some((_, view)) = app.world.backend(backend) else {
        return vec![Line::from("this backend is gone")];
    };
    let mut lines = vec![Line::styled(view.name.clone(), look.style(Tone::Strong))];
    let mut names: Vec<_> = view.models.iter().collect();
    names.sort();
    for name in names.iter().take(MOST_MODELS) {
        let (mark, tone) = if **name == view.current_model {
            (look.glyphs.running, Tone::Running)
        } else {
            (" ", Tone::Plain)
        };
        lines.push(Strip::new(look, cells).put(&format!("{mark} {name}"), tone).done());
    }
    if names.len() > MOST_MODELS {
        lines.push(Line::from(format!("{} (+{} more)", look.glyphs.going_on, names.len() - MOST_MODELS)));
    }
    if names.is_empty() {
        lines.push(Line::styled("(no models discovered yet)", look.style(Tone::Dim)));
    }
    lines
}

fn question(order: &Order, look: &Look, cells: usize) -> Vec<Line<'static>> {
    vec![
        Strip::new(look, cells).put(&order.question(), Tone::Strong).done(),
        Strip::new(look, cells).put(order.consequence(), Tone::Plain).done(),
        Line::default(),
        Line::styled("y, Enter  yes      n, Esc  no", look.style(Tone::Dim)),
    ]
}

fn decisions(explanation: &Explanation, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let record = &explanation.record;
    let state = state_text(record, look);
    let head = format!("{} for {}: {state}", record.id, record.model);
    let mut lines = vec![Strip::new(look, cells).put(&head, Tone::Strong).done()];
    if explanation.decisions.is_empty() {
        lines.push(Line::styled("no decision is remembered", look.style(Tone::Dim)));
    }
    for decision in &explanation.decisions {
        lines.push(Line::default());
        lines.push(Strip::new(look, cells).put(&sentence(decision, look), Tone::Plain).done());
        for candidate in &decision.candidates {
            let tone = if candidate.eligible { Tone::Good } else { Tone::Dim };
            let chosen = if candidate.backend == decision.chosen { look.glyphs.running } else { " " };
            let mut strip = Strip::new(look, cells);
            strip.put(chosen, Tone::Running).put(" ", Tone::Plain).column(&candidate.backend, 12, tone);
            strip.put(" ", Tone::Plain).put(&candidate.verdict, tone);
            let cost = format!(
                "load {}, service {}",
                wait_us(candidate.load_ms.saturating_mul(1000)),
                wait_us(candidate.service_ms.saturating_mul(1000))
            );
            lines.push(strip.more(&cost, Tone::Dim).done());
        }
    }
    lines
}

fn sentence(decision: &Decision, look: &Look) -> String {
    let at = clock(decision.at_unix_us, &look.zone);
    let mut text = match decision.chosen.as_str() {
        "" => format!("{at} {}", decision.reason),
        backend => format!("{at} sent to {backend}: {}", decision.reason),
    };
    if let Some(position) = decision.position {
        let _ = write!(text, ", place {position}");
    }
    if let Some(wait) = decision.estimated_wait_ms {
        let _ = write!(text, ", expected wait {}", wait_us(wait.saturating_mul(1000)));
    }
    text
}
