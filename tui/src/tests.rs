//! The state and the screen together: messages in, text on a test terminal out.

mod keys;
mod link;
mod screens;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ipc_proto::operator::{Event, Snapshot};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::{Action, App, Message};
use crate::look::{Environment, Look};
use crate::{sample, view};

/// A screen with the sample instance, or what a test makes of it.
struct Desk {
    app: App,
    look: Look,
    size: (u16, u16),
    now_ms: u64,
}

impl Desk {
    fn empty(width: u16, height: u16) -> Self {
        let look = Look::new(Environment::default(), TimeZone::UTC);
        Self {
            app: App::new("/run/proxylm".to_owned(), (width, height)),
            look,
            size: (width, height),
            now_ms: 5_000,
        }
    }

    fn with(width: u16, height: u16, snapshot: Snapshot) -> Self {
        let mut desk = Self::empty(width, height);
        desk.say(Message::Connected);
        desk.say(Message::Event(Event::Snapshot(Box::new(snapshot))));
        desk
    }

    fn new(width: u16, height: u16) -> Self {
        Self::with(width, height, sample::snapshot())
    }

    fn in_ascii(mut self) -> Self {
        let environment =
            Environment { no_unicode: Some("1"), no_color: Some("1"), ..Environment::default() };
        self.look = Look::new(environment, TimeZone::UTC);
        self
    }

    fn say(&mut self, message: Message) -> Vec<Action> {
        self.app.update(message, self.now_ms)
    }

    fn event(&mut self, event: Event) {
        self.say(Message::Event(event));
    }

    fn press(&mut self, code: KeyCode) -> Vec<Action> {
        self.say(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn letter(&mut self, letter: char) -> Vec<Action> {
        self.press(KeyCode::Char(letter))
    }

    /// The screen after `ms` more milliseconds.
    fn after(&mut self, ms: u64) -> Terminal<TestBackend> {
        self.now_ms += ms;
        self.say(Message::Tick);
        self.app.settle();
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal.draw(|frame| view::draw(frame, &mut self.app, &self.look)).unwrap();
        terminal
    }

    /// The lines of the screen, without blanks at their ends.
    fn lines(&mut self) -> Vec<String> {
        let terminal = self.after(0);
        let buffer = terminal.backend().buffer();
        let row = |y| (0..buffer.area.width).map(move |x| buffer[(x, y)].symbol()).collect::<String>();
        (0..buffer.area.height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    fn text(&mut self) -> String {
        self.lines().join("\n")
    }

    /// The first line with `needle`.
    #[track_caller]
    fn line(&mut self, needle: &str) -> String {
        let text = self.text();
        let found = text.lines().find(|line| line.contains(needle));
        found.unwrap_or_else(|| panic!("no {needle:?} in\n{text}")).to_owned()
    }
}
