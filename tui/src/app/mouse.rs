//! What the mouse does.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::{App, Pane};
use crate::layout::Place;

/// Lines per turn of the wheel.
const WHEEL: isize = 3;

impl App {
    pub(super) fn mouse(&mut self, mouse: MouseEvent) {
        if self.typing.is_some() || self.overlay.is_some() {
            return;
        }
        let Some(layout) = self.layout() else { return };
        let Some(place) = layout.at(mouse.column, mouse.row) else { return };
        let step = match mouse.kind {
            MouseEventKind::ScrollUp => -1,
            MouseEventKind::ScrollDown => 1,
            MouseEventKind::Up(MouseButton::Left) => return self.click(place),
            _ => return,
        };
        match place {
            Place::Backend(_) => {
                self.pane = Pane::Header;
                self.step_backend(step);
            }
            Place::Request(_) => {
                self.pane = Pane::Requests;
                self.table.scroll_by(step * WHEEL, layout.request_lines());
            }
            Place::Lower => {
                self.pane = Pane::Lower;
                self.scroll_lower(step * WHEEL);
            }
        }
    }

    fn click(&mut self, place: Place) {
        match place {
            Place::Backend(line) => {
                self.pane = Pane::Header;
                if let Some(line) = line {
                    self.select_backend(line + self.backend_scroll);
                }
            }
            Place::Request(line) => {
                self.pane = Pane::Requests;
                if let Some(line) = line {
                    self.table.select(line + self.table.scroll);
                    self.choose();
                }
            }
            Place::Lower => self.pane = Pane::Lower,
        }
    }
}
