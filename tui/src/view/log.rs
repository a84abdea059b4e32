//! The log pane.

use ipc_proto::operator::LogLevel;
use ratatui::text::Line;

use super::strip::Strip;
use crate::app::App;
use crate::look::{Look, Tone};
use crate::measure::clock;

/// All lines that are kept, oldest first.
pub(super) fn lines(app: &App, look: &Look, cells: usize) -> Vec<Line<'static>> {
    if app.log.is_empty() {
        let text = "nothing has been logged since this screen was opened (L changes the level)";
        return vec![Strip::new(look, cells).put(text, Tone::Dim).done()];
    }
    let line = |line: &ipc_proto::operator::LogLine| {
        let (word, tone) = match line.level {
            LogLevel::Debug => ("debug", Tone::Dim),
            LogLevel::Info => ("info", Tone::Good),
            LogLevel::Warning => ("warn", Tone::Warning),
            LogLevel::Error => ("error", Tone::Bad),
        };
        let mut strip = Strip::new(look, cells);
        strip.put(&clock(line.unix_us, &look.zone), Tone::Dim).put(" ", Tone::Plain);
        strip.column(word, 5, tone).put(" ", Tone::Plain);
        if cells >= 90 {
            strip.column(&line.source, 16, Tone::Dim).put(" ", Tone::Plain);
        }
        strip.put(&line.message, Tone::Plain).done()
    };
    app.log.iter().map(line).collect()
}
