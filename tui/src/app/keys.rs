//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ipc_proto::operator::{Command, LogLevel};

use super::{Action, App, Chosen, Link, Overlay, Pane, Purpose, Tab};

/// The longest filter, in characters.
const LONGEST_FILTER: usize = 80;

impl App {
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Action> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { vec![Action::Quit] } else { Vec::new() };
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            // Escape and another key that come together look like this.
            let mut actions = self.press(KeyCode::Esc);
            actions.extend(self.press(key.code));
            return actions;
        }
        self.press(key.code)
    }

    fn press(&mut self, code: KeyCode) -> Vec<Action> {
        if let Some(overlay) = self.overlay.clone() {
            self.key_over(code, &overlay)
        } else if self.typing.is_some() {
            self.type_filter(code);
            Vec::new()
        } else {
            self.key_on_screen(code)
        }
    }

    fn key_over(&mut self, code: KeyCode, overlay: &Overlay) -> Vec<Action> {
        if let (Overlay::Confirm(order), KeyCode::Char('y' | 'Y') | KeyCode::Enter) = (overlay, code) {
            return self.confirm(order.clone());
        }
        let closes = match overlay {
            Overlay::Confirm(_) => matches!(code, KeyCode::Char('n' | 'N')),
            Overlay::Help => matches!(code, KeyCode::F(1) | KeyCode::Char('?')),
            Overlay::Models(_) => code == KeyCode::Char('m'),
            Overlay::Explanation(_) => code == KeyCode::Char('e'),
        };
        if closes || matches!(code, KeyCode::Esc | KeyCode::Char('q') | KeyCode::F(10)) {
            self.overlay = None;
            self.overlay_scroll = 0;
            return Vec::new();
        }
        let step = match code {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -10,
            KeyCode::PageDown => 10,
            KeyCode::Home => isize::MIN,
            KeyCode::End => isize::MAX,
            _ => 0,
        };
        self.overlay_scroll = self.overlay_scroll.saturating_add_signed(step).min(self.scroll_limit);
        Vec::new()
    }

    fn type_filter(&mut self, code: KeyCode) {
        let Some(text) = &mut self.typing else { return };
        match code {
            KeyCode::Char(sign) if text.chars().count() < LONGEST_FILTER => text.push(sign),
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Enter => {
                let text = self.typing.take().unwrap_or_default();
                self.set_filter(text.trim().to_owned());
            }
            KeyCode::Esc => {
                self.typing = None;
                self.set_filter(String::new());
            }
            _ => {}
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        for sign in text.chars().filter(|sign| !sign.is_control()) {
            self.type_filter(KeyCode::Char(sign));
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.table.filter = filter;
        self.table.scroll = 0;
        self.is_dirty = true;
        self.settle();
    }

    fn key_on_screen(&mut self, code: KeyCode) -> Vec<Action> {
        match code {
            KeyCode::Char('q') | KeyCode::F(10) => return vec![Action::Quit],
            KeyCode::F(1) | KeyCode::Char('?') => self.open(Overlay::Help),
            KeyCode::F(5) => return self.refresh(),
            KeyCode::Char('m') => {
                if let Some((_, view)) = self.selected_backend() {
                    self.open(Overlay::Models(view.name.clone()));
                }
            }
            KeyCode::Char('/') => self.typing = Some(self.table.filter.clone()),
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Tab => self.go_to(match self.pane {
                Pane::Header => Pane::Requests,
                Pane::Requests => Pane::Lower,
                Pane::Lower => Pane::Header,
            }),
            KeyCode::BackTab => self.go_to(match self.pane {
                Pane::Header => Pane::Lower,
                Pane::Requests => Pane::Header,
                Pane::Lower => Pane::Requests,
            }),
            KeyCode::Enter => {
                self.choose();
                self.show(Tab::Info);
            }
            KeyCode::Char('i') => self.show(Tab::Info),
            KeyCode::Char('l') => self.show(Tab::Log),
            KeyCode::Char('v') => self.show(Tab::Turns),
            KeyCode::Char('L') => return self.next_log_level(),
            KeyCode::Char('s') => {
                self.table.sort = self.table.sort.next();
                self.is_dirty = true;
            }
            KeyCode::Char('S') => {
                self.table.reverse = !self.table.reverse;
                self.is_dirty = true;
            }
            KeyCode::Char('d') => self.propose_drain(),
            KeyCode::Char('r') => self.propose_restart(),
            KeyCode::Char('c') => self.propose_cancel(),
            KeyCode::Char('p') => self.propose_pause(),
            KeyCode::Char('e') => return self.explain(),
            code => self.go(code),
        }
        Vec::new()
    }

    fn open(&mut self, overlay: Overlay) {
        self.overlay = Some(overlay);
        self.overlay_scroll = 0;
    }

    fn show(&mut self, tab: Tab) {
        if self.tab != tab {
            self.tab = tab;
            self.scroll = 0;
        }
    }

    fn go_to(&mut self, pane: Pane) {
        self.pane = pane;
        if pane != Pane::Lower {
            self.choose();
        }
    }

    /// Lets the info pane show what is selected in the active pane.
    pub(super) fn choose(&mut self) {
        let chosen = match self.pane {
            Pane::Header => self.selected_backend().map(|(_, view)| Chosen::Backend(view.name.clone())),
            Pane::Requests => self.table.selected.clone().map(Chosen::Request),
            Pane::Lower => None,
        };
        if chosen.is_some() && chosen != self.chosen {
            self.chosen = chosen;
            self.scroll = if self.tab == Tab::Info { 0 } else { self.scroll };
        }
    }

    fn refresh(&mut self) -> Vec<Action> {
        if self.link != Link::Live {
            self.notify("there is no connection", true);
            return Vec::new();
        }
        self.ask(Purpose::Refresh, Command::Snapshot)
    }

    fn explain(&mut self) -> Vec<Action> {
        let selected = match &self.chosen {
            Some(Chosen::Request(id)) if self.pane != Pane::Requests => Some(id.to_string()),
            _ => self.selected_request().map(|record| record.exchange.clone()),
        };
        match selected {
            Some(request) if self.link == Link::Live => {
                self.ask(Purpose::Explain, Command::Explain { request })
            }
            Some(_) => {
                self.notify("there is no connection", true);
                Vec::new()
            }
            None => {
                self.notify("select a request first", true);
                Vec::new()
            }
        }
    }

    fn next_log_level(&mut self) -> Vec<Action> {
        self.log_level = match self.log_level {
            LogLevel::Debug => LogLevel::Info,
            LogLevel::Info => LogLevel::Warning,
            LogLevel::Warning => LogLevel::Error,
            LogLevel::Error => LogLevel::Debug,
        };
        self.show(Tab::Log);
        if self.link != Link::Live {
            return Vec::new();
        }
        // The subscription tells the kept lines again.
        self.log.clear();
        self.subscribe()
    }

    fn go(&mut self, code: KeyCode) {
        let Some(layout) = self.layout() else { return };
        let page = |lines: usize| isize::try_from(lines).unwrap_or(isize::MAX).max(1);
        let page = match self.pane {
            Pane::Header => page(layout.backend_lines()),
            Pane::Requests => page(layout.request_lines()),
            Pane::Lower => page(layout.lower_lines() / 2),
        };
        let step = match code {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -page,
            KeyCode::PageDown => page,
            KeyCode::Home => isize::MIN,
            KeyCode::End => isize::MAX,
            _ => return,
        };
        match self.pane {
            Pane::Header => self.step_backend(step),
            Pane::Requests => {
                self.table.step(step, layout.request_lines());
                self.choose();
            }
            Pane::Lower => self.scroll_lower(step),
        }
    }

    /// Selects another backend, `step` lines further.
    pub(super) fn step_backend(&mut self, step: isize) {
        let last = self.world.backends.len().saturating_sub(1);
        let place = self.selected_backend().map_or(0, |(place, _)| place);
        self.select_backend(place.saturating_add_signed(step).min(last));
    }

    /// Selects the backend at `place`.
    pub(super) fn select_backend(&mut self, place: usize) {
        let Some(view) = self.world.backends.get(place) else { return };
        self.backend = Some(view.name.clone());
        let visible = self.layout().map_or(1, |layout| layout.backend_lines()).max(1);
        let lowest = (place + 1).saturating_sub(visible);
        self.backend_scroll = self.backend_scroll.clamp(lowest, place);
        self.choose();
    }

    /// Scrolls the lower pane by `step` lines, down if positive.
    pub(super) fn scroll_lower(&mut self, step: isize) {
        // The log is counted from its end.
        let step = if self.tab == Tab::Log { step.saturating_neg() } else { step };
        self.scroll = self.scroll.saturating_add_signed(step).min(self.scroll_limit);
    }
}
