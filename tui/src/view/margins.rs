//! The lines above and below the panes: title with the state of the link and sparklines, filter, footer.

use ratatui::text::{Line, Span};

use super::strip::Strip;
use crate::app::{App, Link};
use crate::look::{Look, Tone};
use crate::measure::{count, cut};

/// Cells of a sparkline in the title.
const SPARKS: usize = 24;
/// Seconds of one cell of them.
const SPARK_SECONDS: usize = 5;
/// From this width on the title has room for more.
const ROOMY: u16 = 130;

/// The title: what program, how the link stands, and how busy it has been.
pub(super) fn title(app: &App, look: &Look, cells: u16) -> Line<'static> {
    let dots = look.glyphs.going_on;
    let mut strip = Strip::new(look, usize::from(cells));
    strip.put("Proxy", Tone::Title).put("LM", Tone::Strong).put(" ", Tone::Plain);
    match (&app.link, &app.world.instance) {
        (Link::Reconnecting { reason }, _) => {
            strip.put(&format!("reconnecting{dots}"), Tone::Warning);
            if !reason.is_empty() {
                strip.put(&format!(" {reason}"), Tone::Dim);
            }
            return strip.done();
        }
        (Link::Live, Some(instance)) => {
            strip.put(&instance.version, Tone::Plain);
            let tone = if instance.phase == "running" { Tone::Good } else { Tone::Badge };
            strip.put(" ", Tone::Plain).put(&instance.phase, tone);
            if cells >= 100 {
                strip.more(&instance.address, Tone::Dim);
            }
            if cells >= ROOMY {
                strip.more(&instance.strategy, Tone::Dim);
            }
        }
        _ => {
            strip.put(&format!("connecting{dots}"), Tone::Warning);
            return strip.done();
        }
    }
    let slices = if cells >= ROOMY { SPARKS } else { SPARKS / 2 };
    let groups = app.past.groups(slices, SPARK_SECONDS);
    let done: Vec<u64> = groups.iter().map(|group| group.done).collect();
    let queued: Vec<u64> = groups.iter().map(|group| group.queued).collect();
    let done_text = format!("done/min {:>3} ", count(app.past.done_per_minute()));
    let queue_text = format!("  queue {:>3} ", count(app.world.tally().queued));
    let needed = done_text.len() + queue_text.len() + 2 * slices;
    if strip.left() > needed {
        let blanks = " ".repeat(strip.left() - needed);
        strip.put(&blanks, Tone::Plain).put(&done_text, Tone::Dim);
        strip.put(&spark(&done, slices, look), Tone::Good).put(&queue_text, Tone::Dim);
        strip.put(&spark(&queued, slices, look), Tone::Warning);
    }
    strip.done()
}

/// `values` as heights in so many cells, the newest at the right.
pub(super) fn spark(values: &[u64], cells: usize, look: &Look) -> String {
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let height = |value: u64| {
        // What is there is seen, however small.
        let eighths = value.saturating_mul(8).div_ceil(highest);
        look.glyphs.heights[usize::try_from(eighths).unwrap_or(8).min(8)]
    };
    let missing = cells.saturating_sub(values.len());
    let blanks = std::iter::repeat_n(look.glyphs.heights[0], missing);
    blanks.chain(values.iter().map(|value| height(*value))).collect()
}

/// What is typed as a filter.
pub(super) fn filter(text: &str, look: &Look) -> Line<'static> {
    let cursor = Span::styled(" ", look.style(Tone::Selected));
    if text.is_empty() {
        let hint = Span::styled(" model / client / server / status", look.style(Tone::Dim));
        return Line::from(vec![Span::raw(" "), cursor, hint]);
    }
    Line::from(vec![Span::raw(format!(" {text}")), cursor])
}

/// The footer: a sentence if there is one, else the keys.
pub(super) fn footer(app: &App, look: &Look, cells: u16) -> Line<'static> {
    let cells = usize::from(cells);
    if let Some(notice) = &app.notice {
        let tone = if notice.bad { Tone::Bad } else { Tone::Good };
        return Line::styled(cut(&notice.text, cells, look.glyphs), look.style(tone));
    }
    let keys = if app.typing.is_some() {
        "Esc Cancel filter   Enter Confirm".to_owned()
    } else if cells < 80 {
        format!("F1 Help {0} l Log {0} v Turns {0} q Quit", look.glyphs.dot)
    } else if cells < 110 {
        "F1 Help  / Filter  s Sort  i Info  l Log  v Turns  m Models  Tab panes  q Quit".to_owned()
    } else {
        "F1 Help   F5 Refresh   / Filter   s Sort   e Explain   i Info   l Log   v Turns   m Models   Tab panes   q/F10 Quit"
            .to_owned()
    };
    Line::styled(cut(&keys, cells, look.glyphs), look.style(Tone::Dim))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::look::Environment;

    #[test]
    fn a_sparkline_is_as_high_as_its_highest_and_shows_whatever_is_there() {
        let look = Look::new(Environment::default(), TimeZone::UTC);
        assert_eq!(spark(&[0, 1, 400, 800], 6, &look), "   ▁▄█");
        let ascii = Look::new(Environment { no_unicode: Some("1"), ..Environment::default() }, TimeZone::UTC);
        assert_eq!(spark(&[0, 1, 2], 3, &ascii), " =@");
        assert_eq!(spark(&[], 3, &look), "   ");
    }
}
