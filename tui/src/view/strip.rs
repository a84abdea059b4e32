//! One line of text with styles, filled from the left until it is full.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::look::{Glyphs, Look, Tone};
use crate::measure::{cut, fit, width};

/// A line that is being filled.
pub(super) struct Strip<'a> {
    look: &'a Look,
    spans: Vec<Span<'static>>,
    left: usize,
}

impl<'a> Strip<'a> {
    /// An empty line of so many cells.
    pub(super) fn new(look: &'a Look, cells: usize) -> Self {
        Self { look, spans: Vec::new(), left: cells }
    }

    /// The signs in use.
    pub(super) fn glyphs(&self) -> &'static Glyphs {
        self.look.glyphs
    }

    /// The cells that are free.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Adds `text`; what does not fit is cut.
    pub(super) fn put(&mut self, text: &str, tone: Tone) -> &mut Self {
        let text = cut(text, self.left, self.look.glyphs);
        self.left -= width(&text).min(self.left);
        self.spans.push(Span::styled(text, self.look.style(tone)));
        self
    }

    /// Adds `text` as a column of `cells`.
    pub(super) fn column(&mut self, text: &str, cells: usize, tone: Tone) -> &mut Self {
        let text = fit(text, cells, self.look.glyphs);
        self.put(&text, tone)
    }

    /// Adds `text` after two blanks, if all of it fits.
    pub(super) fn more(&mut self, text: &str, tone: Tone) -> &mut Self {
        if !text.is_empty() && width(text) + 2 <= self.left {
            self.put("  ", Tone::Plain).put(text, tone);
        }
        self
    }

    /// Adds blanks up to the end.
    pub(super) fn fill(&mut self) -> &mut Self {
        let blanks = " ".repeat(self.left);
        self.put(&blanks, Tone::Plain)
    }

    /// The line.
    pub(super) fn done(&mut self) -> Line<'static> {
        Line::from(std::mem::take(&mut self.spans))
    }

    /// The line as a selected one, to its end; only what has `keeps` as its style keeps it.
    pub(super) fn selected(&mut self, keeps: Option<Style>) -> Line<'static> {
        self.fill();
        let style = self.look.style(Tone::Selected);
        for span in &mut self.spans {
            if Some(span.style) != keeps {
                span.style = style;
            }
        }
        self.done()
    }
}
