//! A line per backend: lamp, model, slots, queue, turn, speed. Then the counters.

use ipc_proto::operator::{BackendView, LearnedView, TurnView};
use ratatui::text::Line;

use super::strip::Strip;
use crate::app::{App, Pane, is_busy};
use crate::look::{Look, Tone};
use crate::measure::{age_us, count, cut, load, speed, width};

/// Milliseconds of one step of a busy backend's lamp.
pub(crate) const PULSE_MS: u64 = 160;
/// A model that has been there for so long is in what the backend says; what it says is asked for now and then.
const TOLD_WITHIN_US: i64 = 60_000_000;
/// The steps.
const PULSE: [Tone; 4] = [Tone::Good, Tone::GoodDeep, Tone::Dim, Tone::GoodDeep];

/// The lines of the backends that are on the screen: at most `lines`, `cells` wide.
pub(super) fn lines(app: &App, look: &Look, cells: usize, lines: usize) -> Vec<Line<'static>> {
    let views = app.world.backends.iter().enumerate().skip(app.backend_scroll).take(lines);
    views.map(|(place, view)| line(app, look, place, view, cells)).collect()
}

fn line(app: &App, look: &Look, place: usize, view: &BackendView, cells: usize) -> Line<'static> {
    let glyphs = look.glyphs;
    let mut strip = Strip::new(look, cells);
    let (lamp, tone) = lamp(app, look, view);
    strip.column(&view.name, 12, Tone::Backend(place)).put(" ", Tone::Plain).put(lamp, tone);
    let model = if view.current_model.is_empty() { "idle" } else { &view.current_model };
    let model_cells = match cells {
        0..70 => 16,
        70..126 => 24,
        _ => 30,
    };
    let is_idle = view.current_model.is_empty();
    let tone = if app.is_flashing(&view.name) {
        Tone::Flash
    } else if is_idle {
        Tone::Dim
    } else {
        Tone::Plain
    };
    let unloaded = if is_unloaded(app, view) { glyphs.unloaded } else { " " };
    strip.put(" ", Tone::Plain).column(model, model_cells, tone).put(unloaded, Tone::Warning);
    let slots = format!("{}/{}", view.slots_used, view.slots);
    strip.put(" ", Tone::Plain).column(
        &slots,
        5,
        if view.slots_used > 0 { Tone::Running } else { Tone::Dim },
    );
    let queue = if view.queued > 0 { format!("[Q:{}]", count(view.queued)) } else { String::new() };
    strip.put(" ", Tone::Plain).column(&queue, 7, Tone::Warning);
    put_details(&mut strip, app, look, view);
    let is_selected = app.selected_backend().is_some_and(|(selected, _)| selected == place);
    if is_selected && app.pane == Pane::Header {
        strip.selected(Some(look.style(Tone::Badge)))
    } else {
        strip.done()
    }
}

/// What is told as far as there is room, the most urgent first.
fn put_details(strip: &mut Strip<'_>, app: &App, look: &Look, view: &BackendView) {
    let glyphs = look.glyphs;
    let learned = app.world.learned_of(view);
    if let Some((text, tone)) = trouble(view) {
        let room = strip.left().saturating_sub(2);
        strip.more(&cut(&text, room, glyphs), tone);
    }
    if learned.is_some_and(|learned| learned.slow) {
        strip.more(" !!! SLOW !!! ", Tone::Badge);
    }
    if view.loading {
        strip.more(&format!("loading{}", glyphs.going_on), Tone::Warning);
    } else if let Some(turn) = view.turns.iter().find(|turn| turn.model == view.current_model) {
        let mut text = turn_text(app, turn);
        if strip.left() < 30 {
            text = text.split(',').next().unwrap_or_default().to_owned();
        }
        strip.more(&text, Tone::Dim);
    }
    if let Some(learned) = learned {
        let forms = metrics(learned, look);
        if let Some(text) = forms.iter().find(|text| width(text) + 2 <= strip.left()) {
            strip.more(text, Tone::Dim);
        }
    }
    strip.more(&view.next, Tone::Warning);
    let others: Vec<_> = residents(view).filter(|model| *model != view.current_model).collect();
    if !others.is_empty() {
        strip.more(&format!("+ {}", others.join(", ")), Tone::Dim);
    }
}

/// Load time and speeds, the longest form first.
fn metrics(learned: &LearnedView, look: &Look) -> [String; 3] {
    let glyphs = look.glyphs;
    let (dot, load) = (glyphs.dot, load(learned.load_ms, learned.loads, glyphs));
    let speeds = [(glyphs.input, learned.input_per_second), (glyphs.output, learned.output_per_second)];
    let [long_in, long_out] = speeds.map(|(sign, per_second)| {
        let unit = if per_second > 0.0 { " tok/s" } else { "" };
        format!("{sign}{}{unit}", speed(per_second, glyphs))
    });
    let [short_in, short_out] = speeds.map(|(sign, per_second)| {
        let number = if per_second > 0.0 { format!("{per_second:.0}") } else { glyphs.none.to_owned() };
        format!("{sign}{number}")
    });
    [
        format!("{load} {dot} {long_in} {dot} {long_out}"),
        format!("{load} {dot} {short_in} {short_out}"),
        format!("{short_in} {short_out}"),
    ]
}

fn turn_text(app: &App, turn: &TurnView) -> String {
    let age = turn.since_unix_us.map_or_else(String::new, |since| age_us(app.clock_us() - since));
    match turn.waiting {
        0 => format!("turn {age}"),
        waiting => format!("turn {age}, {} wait", count(waiting)),
    }
}

/// The models in memory, as the backend says, else as we believe.
pub(super) fn residents(view: &BackendView) -> impl Iterator<Item = &str> {
    let believed = view.turns.iter().filter(|turn| turn.since_unix_us.is_some()).map(|turn| &turn.model);
    let told = view.loaded_models.iter().flatten();
    let is_told = view.loaded_models.is_some();
    told.chain(believed.filter(move |_| !is_told)).map(String::as_str)
}

/// Whether the backend says that it has dropped the model we believe it holds. A model that works or has just come is
/// there, whatever was said before.
pub(super) fn is_unloaded(app: &App, view: &BackendView) -> bool {
    let Some(loaded) = &view.loaded_models else { return false };
    let turn = view.turns.iter().find(|turn| turn.model == view.current_model);
    let is_settled = turn.is_none_or(|turn| {
        let since = turn.since_unix_us.unwrap_or(i64::MAX);
        turn.running == 0 && app.clock_us().saturating_sub(since) > TOLD_WITHIN_US
    });
    !view.current_model.is_empty() && !view.loading && is_settled && !loaded.contains(&view.current_model)
}

fn lamp(app: &App, look: &Look, view: &BackendView) -> (&'static str, Tone) {
    match view.health.as_str() {
        "down" => (look.glyphs.failed, Tone::Bad),
        "up" if is_busy(view) => {
            let step = usize::try_from(app.now_ms() / PULSE_MS % 4).unwrap_or(0);
            (look.glyphs.healthy, PULSE[step])
        }
        "up" => (look.glyphs.healthy, Tone::Good),
        _ => (look.glyphs.healthy, Tone::Dim),
    }
}

/// What keeps a backend from serving, if anything does.
fn trouble(view: &BackendView) -> Option<(String, Tone)> {
    if view.draining {
        Some(("draining".to_owned(), Tone::Badge))
    } else if view.health == "down" {
        let reason = if view.reason.is_empty() { String::new() } else { format!(": {}", view.reason) };
        Some((format!("down{reason}"), Tone::Bad))
    } else if view.worker != "ready" {
        Some((format!("worker {}", view.worker), Tone::Warning))
    } else if view.health != "up" {
        Some((format!("health {}", view.health), Tone::Dim))
    } else {
        None
    }
}

/// The last line: requests and backends, counted.
pub(super) fn counters(app: &App, look: &Look, cells: usize) -> Line<'static> {
    let tally = app.world.tally();
    let all = app.world.backends.len();
    let healthy = app.world.backends.iter().filter(|view| view.health == "up").count();
    let mut strip = Strip::new(look, cells);
    let gap = if cells < 76 { "  " } else { "   " };
    strip.put("Queued: ", Tone::Dim).put(&count(tally.queued), Tone::Strong).put(gap, Tone::Plain);
    strip.put("Running: ", Tone::Dim).put(&count(tally.running), Tone::Running).put(gap, Tone::Plain);
    strip.put("Done/30m: ", Tone::Dim).put(&count(tally.done), Tone::Good).put(gap, Tone::Plain);
    let failed = if tally.failed > 0 { Tone::Bad } else { Tone::Plain };
    strip.put("Failed: ", Tone::Dim).put(&count(tally.failed), failed).put(gap, Tone::Plain);
    let tone = match healthy {
        0 => Tone::Bad,
        _ if healthy == all => Tone::Good,
        _ => Tone::Warning,
    };
    let word = if cells < 76 { "up" } else { "healthy" };
    strip.put("Servers: ", Tone::Dim).put(&format!("{healthy}/{all} {word}"), tone);
    let counters = &app.world.counters;
    strip.more(&format!("Swaps: {}", count(counters.swaps)), Tone::Dim);
    if counters.queue_full > 0 {
        strip.more(&format!("Refused: {}", count(counters.queue_full)), Tone::Bad);
    }
    if counters.history_lost > 0 {
        strip.more(&format!("History lost: {}", count(counters.history_lost)), Tone::Bad);
    }
    strip.more(&format!("Retries: {}", count(counters.retries)), Tone::Dim);
    strip.done()
}
