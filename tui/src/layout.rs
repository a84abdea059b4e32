//! Where everything is on a screen of a given size. Drawing and the mouse both ask here, so that they agree.

use ratatui::layout::{Position, Rect};

/// Screens narrower than this show only a message.
pub(crate) const NARROWEST: u16 = 60;
/// From this width on the request table has its header and all columns.
pub(crate) const WIDE: u16 = 100;
/// Screens lower than this show only a message.
pub(crate) const LOWEST: u16 = 10;

/// The parts of the screen, from top to bottom.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// One line.
    pub(crate) title: Rect,
    /// A box: a line per backend, then the counters.
    pub(crate) header: Rect,
    /// A box: a header line, then requests.
    pub(crate) requests: Rect,
    /// A box: info, log or turns.
    pub(crate) lower: Rect,
    /// A box of three lines while a filter is typed, else nothing.
    pub(crate) filter: Rect,
    /// One line.
    pub(crate) footer: Rect,
}

impl Layout {
    /// The layout of a screen of `width` and `height` with so many `backends`. `None`: too small for anything.
    pub(crate) fn new(width: u16, height: u16, backends: usize, is_filter_open: bool) -> Option<Self> {
        if width < NARROWEST || height < LOWEST {
            return None;
        }
        let filter = if is_filter_open { 3 } else { 0 };
        let free = height - 2 - filter;
        let wanted = u16::try_from(backends.max(1)).unwrap_or(u16::MAX).saturating_add(3);
        // Many backends scroll: the requests must still be seen.
        let header = wanted.min((free / 2).max(4)).min(free);
        let rest = free - header;
        let requests = (rest * 2 / 3).max(3).min(rest);
        let mut top = 0;
        let mut next = |height: u16| {
            let area = Rect::new(0, top, width, height);
            top += height;
            area
        };
        Some(Self {
            title: next(1),
            header: next(header),
            requests: next(requests),
            lower: next(rest - requests),
            filter: next(filter),
            footer: next(1),
        })
    }

    /// Lines of backends that are seen at once.
    pub(crate) fn backend_lines(&self) -> usize {
        usize::from(self.header.height.saturating_sub(3))
    }

    /// Rows of requests that are seen at once.
    pub(crate) fn request_lines(&self) -> usize {
        let header = u16::from(self.requests.width >= WIDE);
        usize::from(self.requests.height.saturating_sub(2 + header)).max(1)
    }

    /// Lines of the lower pane.
    pub(crate) fn lower_lines(&self) -> usize {
        usize::from(self.lower.height.saturating_sub(2))
    }

    /// What is at a place of the screen.
    pub(crate) fn at(&self, column: u16, row: u16) -> Option<Place> {
        let position = Position::new(column, row);
        let line = |area: Rect| usize::from(row - area.y).checked_sub(1);
        if self.header.contains(position) {
            Some(Place::Backend(line(self.header).filter(|line| *line < self.backend_lines())))
        } else if self.requests.contains(position) {
            let header = usize::from(self.requests.width >= WIDE);
            let line = line(self.requests).and_then(|line| line.checked_sub(header));
            Some(Place::Request(line.filter(|line| *line < self.request_lines())))
        } else if self.lower.contains(position) {
            Some(Place::Lower)
        } else {
            None
        }
    }
}

/// What the mouse points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The header, and the line of a backend if it is one.
    Backend(Option<usize>),
    /// The table, and the line of a request if it is one.
    Request(Option<usize>),
    /// The lower pane.
    Lower,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tui_01_the_parts_fill_the_screen_at_every_size() {
        for (width, height) in
            [(60, 24), (80, 24), (100, 30), (103, 30), (114, 40), (200, 60), (60, 10), (300, 100)]
        {
            for backends in [0, 1, 3, 40] {
                for filter in [false, true] {
                    let layout = Layout::new(width, height, backends, filter).unwrap();
                    let parts = [
                        layout.title,
                        layout.header,
                        layout.requests,
                        layout.lower,
                        layout.filter,
                        layout.footer,
                    ];
                    assert_eq!(parts.iter().map(|part| part.height).sum::<u16>(), height, "{layout:?}");
                    assert_eq!(layout.footer.bottom(), height);
                }
            }
        }
        assert_eq!((Layout::new(59, 24, 1, false), Layout::new(80, 9, 1, false)), (None, None));
    }

    #[test]
    fn tui_01_an_80x24_screen_with_two_backends() {
        let layout = Layout::new(80, 24, 2, false).unwrap();
        assert_eq!((layout.header.y, layout.header.height), (1, 5));
        assert_eq!((layout.requests.height, layout.lower.height), (11, 6));
        assert_eq!((layout.backend_lines(), layout.request_lines()), (2, 9));
    }

    #[test]
    fn the_mouse_finds_lines() {
        let layout = Layout::new(120, 40, 2, false).unwrap();
        assert_eq!(layout.at(5, 2), Some(Place::Backend(Some(0))));
        assert_eq!(layout.at(5, 3), Some(Place::Backend(Some(1))));
        assert_eq!(layout.at(5, 4), Some(Place::Backend(None)), "the counters");
        let top = layout.requests.y;
        assert_eq!(layout.at(5, top + 1), Some(Place::Request(None)), "the columns' names");
        assert_eq!(layout.at(5, top + 2), Some(Place::Request(Some(0))));
        assert_eq!(layout.at(5, layout.lower.y), Some(Place::Lower));
        assert_eq!(layout.at(5, 0), None);
    }
}
