//! The info pane of a backend: its state, what it holds and for whom, and what has been learned of it.

use ipc_proto::operator::{BackendView, LearnedView};
use ratatui::text::Line;

use super::header::{is_unloaded, residents};
use super::request_info::{pair, single};
use super::strip::Strip;
use crate::app::App;
use crate::look::{Look, Tone};
use crate::measure::{age_us, count, endpoint, load, speed};

/// The lines of the pane.
pub(super) fn lines(app: &App, view: &BackendView, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let glyphs = look.glyphs;
    let learned = app.world.learned_of(view);
    let none = || glyphs.none.to_owned();
    let of =
        |text: fn(&LearnedView, &Look) -> String| learned.map_or_else(none, |learned| text(learned, look));
    let health = match view.health.as_str() {
        "up" if view.draining => "healthy, draining".to_owned(),
        "up" => "healthy".to_owned(),
        word if view.reason.is_empty() => word.to_owned(),
        word => format!("{word}: {}", view.reason),
    };
    let current = if view.current_model.is_empty() { none() } else { view.current_model.clone() };
    let queue = format!("{} waiting, {} of {} slots taken", count(view.queued), view.slots_used, view.slots);
    let models = format!("{} discovered (m lists them)", view.models.len());
    let failed = format!("{} (swaps {})", count(view.failures), count(view.swaps));
    let process = view.worker_pid.map_or_else(none, |pid| pid.to_string());
    let worker = format!("{}, process {process}, generation {}", view.worker, view.generation);
    let samples = of(|learned, _| count(learned.samples));
    let fit = of(|learned, look| {
        let known = learned.fitted.then(|| format!("{:.2} {}", learned.r_squared, learned.quality));
        known.unwrap_or_else(|| look.glyphs.none.to_owned())
    });
    let load_time = of(|learned, look| load(learned.load_ms, learned.loads, look.glyphs));
    let input = of(|learned, look| with_unit(learned.input_per_second, look));
    let output = of(|learned, look| with_unit(learned.output_per_second, look));
    let mut lines = vec![
        pair(look, cells, ("Server", &format!("{} (p{})", view.name, view.priority)), ("TL", &load_time)),
        pair(look, cells, ("URL", &view.url), (&format!("{} in", glyphs.input), &input)),
        pair(look, cells, ("Health", &health), (&format!("{} out", glyphs.output), &output)),
        pair(look, cells, ("Current", &current), ("Samples", &samples)),
        pair(look, cells, ("Queue", &queue), ("Fit", &fit)),
        pair(look, cells, ("Models", &models), ("Failed", &failed)),
        single(look, cells, "Worker", &worker, Tone::Plain),
        memory(app, view, look, cells),
    ];
    for turn in &view.turns {
        let since = turn.since_unix_us.map_or_else(
            || format!("loading{}", glyphs.going_on),
            |since| format!("for {}", age_us(app.clock_us() - since)),
        );
        let context = turn.context.map_or_else(String::new, |tokens| format!(", context {tokens}"));
        let text =
            format!("{} {since}, {} running, {} waiting{context}", turn.model, turn.running, turn.waiting);
        lines.push(single(look, cells, "Turn", &text, Tone::Plain));
    }
    if !view.next.is_empty() {
        lines.push(single(look, cells, "Next", &view.next, Tone::Warning));
    }
    lines.extend(performance(app, view, look, cells));
    lines
}

fn with_unit(per_second: f64, look: &Look) -> String {
    let text = speed(per_second, look.glyphs);
    if per_second > 0.0 { format!("{text} tok/s") } else { text }
}

fn memory(app: &App, view: &BackendView, look: &Look, cells: usize) -> Line<'static> {
    let list = residents(view).collect::<Vec<_>>().join(", ");
    let text = match &view.loaded_models {
        None if list.is_empty() => "n/a".to_owned(),
        None => format!("{list} (by our own count)"),
        Some(_) if list.is_empty() => format!("{} (none)", look.glyphs.none),
        Some(_) => list,
    };
    let mut strip = Strip::new(look, cells);
    strip.column("In memory", 12, Tone::Dim).put(&text, Tone::Plain);
    if is_unloaded(app, view) {
        strip.more(&format!("{} current model not in memory", look.glyphs.unloaded), Tone::Warning);
    }
    strip.done()
}

fn performance(app: &App, view: &BackendView, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default(), Line::styled("Per-model performance", look.style(Tone::Strong))];
    let mut known: Vec<_> = app.world.learned.iter().filter(|learned| learned.backend == view.name).collect();
    if known.is_empty() {
        lines.push(Line::styled("(no completed requests yet)", look.style(Tone::Dim)));
        return lines;
    }
    known.sort_by(|left, right| {
        (&left.model, left.endpoint.as_str()).cmp(&(&right.model, right.endpoint.as_str()))
    });
    let mut names = Strip::new(look, cells);
    let model_cells = model_cells(cells);
    let speeds = [format!("{}tok/s", look.glyphs.input), format!("{}tok/s", look.glyphs.output)];
    for (name, cells) in [("Model", model_cells), ("Endpoint", 11), ("Reqs", 5), ("Ld", 4), ("TL", 7)] {
        names.column(name, cells, Tone::Dim).put(" ", Tone::Dim);
    }
    for name in &speeds {
        names.column(name, 12, Tone::Dim).put(" ", Tone::Dim);
    }
    lines.push(names.column(look.glyphs.squared, 5, Tone::Dim).done());
    lines.extend(known.iter().map(|learned| row(learned, look, cells)));
    lines
}

/// Cells of a model's name in the table: twenty, fewer where all columns would not fit.
fn model_cells(cells: usize) -> usize {
    cells.saturating_sub(11 + 5 + 4 + 7 + 12 + 12 + 5 + 7).clamp(8, 20)
}

fn row(learned: &LearnedView, look: &Look, cells: usize) -> Line<'static> {
    let degraded = learned.quality == "degraded";
    let tone = if degraded { Tone::Flash } else { Tone::Plain };
    let mut strip = Strip::new(look, cells);
    strip.column(&learned.model, model_cells(cells), tone).put(" ", tone);
    strip.column(endpoint(learned.endpoint), 11, tone).put(" ", tone);
    strip.column(&count(learned.samples), 5, tone).put(" ", tone);
    strip.column(&count(learned.loads), 4, tone).put(" ", tone);
    strip.column(&load(learned.load_ms, learned.loads, look.glyphs), 7, tone).put(" ", tone);
    let margins = learned.confidence;
    let speeds = [
        (learned.input_per_second, margins.map_or(0.0, |margins| margins.input_per_second)),
        (learned.output_per_second, margins.map_or(0.0, |margins| margins.output_per_second)),
    ];
    for (value, margin) in speeds {
        let text = speed(value, look.glyphs);
        let margin = if margin > 0.0 && value > 0.0 {
            format!("{}{margin:.1}", look.glyphs.margin)
        } else {
            String::new()
        };
        let margin_tone = if degraded { tone } else { Tone::Margin };
        let text_cells = crate::measure::width(&text).min(12);
        strip.column(&text, text_cells, tone).column(&margin, 12 - text_cells, margin_tone).put(" ", tone);
    }
    let fit = if learned.fitted { format!("{:.2}", learned.r_squared) } else { look.glyphs.none.to_owned() };
    strip.column(&fit, 5, tone).done()
}
