//! Which model each backend held over the last minutes, as bars on a time axis.

use ratatui::text::{Line, Span};

use super::margins::spark;
use super::requests::backend_tone;
use super::strip::Strip;
use crate::app::App;
use crate::look::{Look, Tone};
use crate::measure::{cut, fit, width};
use crate::past::{SLICE_US, Stretch};

/// Cells of a backend's name.
const NAME: usize = 13;
/// How much time the chart covers at least, in microseconds: the first that holds all that is known, else the last.
const COVERS_US: [i64; 4] = [120_000_000, 300_000_000, 600_000_000, 1_800_000_000];

/// The lines of the pane.
pub(super) fn lines(app: &App, look: &Look, cells: usize) -> Vec<Line<'static>> {
    let chart = Chart::new(app, look, cells.saturating_sub(NAME));
    let mut lines = vec![chart.axis()];
    for view in &app.world.backends {
        let stretches: Vec<_> = app.past.stretches(&view.name).collect();
        for (place, lane) in lanes(&stretches).iter().enumerate() {
            let name = if place == 0 { view.name.as_str() } else { "" };
            let mut line = Strip::new(look, NAME).column(name, NAME, backend_tone(app, &view.name)).done();
            line.spans.extend(chart.bars(lane));
            lines.push(line);
        }
    }
    // Two rows of a sparkline tell what the turns were for, slice by slice under the same axis.
    for (name, tone) in [("answers", Tone::Good), ("queue", Tone::Warning)] {
        let groups = app.past.groups(chart.cells, chart.slices());
        let values: Vec<u64> =
            groups.iter().map(|group| if name == "queue" { group.queued } else { group.done }).collect();
        let mut strip = Strip::new(look, cells);
        strip.column(name, NAME, Tone::Dim).put(&spark(&values, chart.cells, look), tone);
        lines.push(strip.done());
    }
    lines
}

/// Stretches that do not overlap share a line: as many lines as models were held at once.
fn lanes<'a>(stretches: &[&'a Stretch]) -> Vec<Vec<&'a Stretch>> {
    let mut lanes: Vec<Vec<&Stretch>> = Vec::new();
    let mut sorted = stretches.to_vec();
    sorted.sort_by_key(|stretch| stretch.from_us);
    for stretch in sorted {
        let is_free = |lane: &&mut Vec<&Stretch>| {
            lane.last().is_none_or(|last| last.until_us.is_some_and(|until| until <= stretch.from_us))
        };
        match lanes.iter_mut().find(is_free) {
            Some(lane) => lane.push(stretch),
            None => lanes.push(vec![stretch]),
        }
    }
    if lanes.is_empty() {
        lanes.push(Vec::new());
    }
    lanes
}

/// A span of time laid over cells.
struct Chart<'a> {
    look: &'a Look,
    cells: usize,
    now_us: i64,
    cell_us: i64,
    /// Every model, so that each keeps its colour.
    models: Vec<String>,
}

impl<'a> Chart<'a> {
    fn new(app: &App, look: &'a Look, cells: usize) -> Self {
        let mut models: Vec<_> = app.world.backends.iter().flat_map(|view| &view.models).cloned().collect();
        models.sort();
        models.dedup();
        let cells_i = i64::try_from(cells.max(1)).unwrap_or(1);
        // Whole slices per cell, so that bars and sparklines agree.
        let age = app.past.oldest_us().map_or(0, |oldest| app.clock_us() - oldest);
        let covers = COVERS_US.into_iter().find(|covers| age <= *covers).unwrap_or(COVERS_US[3]);
        let slices = (covers / SLICE_US - 1).div_euclid(cells_i) + 1;
        let cell_us = slices * SLICE_US;
        Self { look, cells, now_us: app.clock_us(), cell_us, models }
    }

    /// The number, from the left, of the cell in which a time lies; may be outside.
    fn cell(&self, at_us: i64) -> i64 {
        let newest = self.now_us.div_euclid(self.cell_us);
        i64::try_from(self.cells).unwrap_or(0) - 1 - (newest - at_us.div_euclid(self.cell_us))
    }

    /// Slices per cell.
    fn slices(&self) -> usize {
        usize::try_from(self.cell_us / SLICE_US).unwrap_or(1)
    }

    fn axis(&self) -> Line<'static> {
        let mut text = String::new();
        let minute = 60_000_000;
        let covered = i64::try_from(self.cells).unwrap_or(0) * self.cell_us / minute;
        for minutes in (1..=covered).rev() {
            let place = usize::try_from(self.cell(self.now_us - minutes * minute)).unwrap_or(0);
            let label = format!("-{minutes}m");
            let step = if covered <= 6 {
                1
            } else if covered <= 16 {
                2
            } else {
                5
            };
            let is_round = minutes % step == 0;
            if is_round && place >= width(&text) + usize::from(!text.is_empty()) {
                text.push_str(&" ".repeat(place - width(&text)));
                text.push_str(&label);
            }
        }
        let room = self.cells.saturating_sub(3);
        let line = format!("{:NAME$}{}now", "", fit(&text, room, self.look.glyphs));
        Line::styled(line, self.look.style(Tone::Dim))
    }

    fn bars(&self, lane: &[&Stretch]) -> Vec<Span<'static>> {
        let mut spans = Vec::new();
        let mut at = 0;
        for stretch in lane {
            let last = i64::try_from(self.cells).unwrap_or(0);
            let from = self.cell(stretch.from_us).clamp(0, last);
            let until = match stretch.until_us {
                None => last,
                // What was there for less than a cell is seen too.
                Some(until) if self.cell(until) < 0 => continue,
                Some(until) => self.cell(until).max(self.cell(stretch.from_us) + 1).clamp(0, last),
            };
            let (from, until) =
                (usize::try_from(from).unwrap_or(0).max(at), usize::try_from(until).unwrap_or(0));
            if until <= from {
                continue;
            }
            spans.push(Span::raw(" ".repeat(from - at)));
            spans.push(self.bar(stretch, until - from));
            at = until;
        }
        spans
    }

    fn bar(&self, stretch: &Stretch, cells: usize) -> Span<'static> {
        let glyphs = self.look.glyphs;
        let place = self.models.binary_search(&stretch.model).unwrap_or(stretch.model.len());
        if stretch.loading {
            return Span::styled("~".repeat(cells), self.look.style(Tone::Dim));
        }
        let text = if self.look.has_colours() {
            let name = if cells > 3 { cut(&stretch.model, cells - 1, glyphs) } else { String::new() };
            fit(&format!("{}{name}", if cells > 3 { " " } else { "" }), cells, glyphs)
        } else {
            // Without colours the ends must be seen.
            if cells < 2 {
                return Span::raw("|");
            }
            let name = cut(&stretch.model, cells - 2, glyphs);
            let filling = "=".repeat(cells - 2 - width(&name));
            format!("[{name}{filling}]")
        };
        Span::styled(text, self.look.bar(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_held_at_once_have_lines_of_their_own() {
        let stretch = |model: &str, from_us, until_us| Stretch {
            model: model.to_owned(),
            loading: false,
            from_us,
            until_us,
        };
        let (a, b, c) = (stretch("a", 0, Some(10)), stretch("b", 5, None), stretch("c", 10, Some(20)));
        let lanes = lanes(&[&a, &b, &c]);
        let names: Vec<Vec<_>> =
            lanes.iter().map(|lane| lane.iter().map(|stretch| stretch.model.as_str()).collect()).collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"]]);
    }
}
