//! The screen's state: what is known, what is chosen, what is open. Pure: messages in, actions out.
//!
//! Reads no clock and opens nothing; the time comes with each message, in milliseconds of a clock that only goes forward.

mod keys;
mod mouse;
mod orders;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};
use ipc_proto::operator::{
    BackendView, Command, Event, Explanation, LogLevel, LogLine, Refusal, Reply, RequestRecord,
};

pub(crate) use self::orders::Order;
use crate::layout::Layout;
use crate::past::Past;
use crate::table::Table;
use crate::world::World;

/// Log lines kept.
const MOST_LOG_LINES: usize = 1_000;
/// How long a sentence stands in the footer, in milliseconds.
const NOTICE_MS: u64 = 6_000;
/// How long a backend's new model is marked, in milliseconds.
const FLASH_MS: u64 = 2_000;
/// Between two questions for the places in the queue, which are not told by themselves, in milliseconds.
const PLACES_MS: u64 = 3_000;

/// What has happened.
#[derive(Debug)]
pub enum Message {
    /// The link to the instance is up.
    Connected,
    /// The link is down; another attempt follows.
    Lost {
        /// Why, in a few words.
        reason: String,
    },
    /// The instance tells something by itself.
    Event(Event),
    /// The instance answers a call.
    Answer {
        /// The call.
        id: u32,
        /// What came of it.
        reply: Result<Reply, Refusal>,
    },
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has this size now: columns and rows.
    Resize(u16, u16),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Ask or order the instance.
    Call {
        /// For the answer.
        id: u32,
        /// What.
        command: Command,
    },
    /// End.
    Quit,
}

/// How the link stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    /// Nothing has been said yet.
    Connecting,
    /// The state is the instance's.
    Live,
    /// The state is old.
    Reconnecting {
        /// Why.
        reason: String,
    },
}

/// The panes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Pane {
    /// The backends.
    Header,
    /// The requests.
    #[default]
    Requests,
    /// Info, log or turns.
    Lower,
}

/// What the lower pane shows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Tab {
    /// The chosen request or backend.
    #[default]
    Info,
    /// The log.
    Log,
    /// Which model each backend held.
    Turns,
}

/// What the info pane is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Chosen {
    /// A request.
    Request(Arc<str>),
    /// A backend.
    Backend(String),
}

/// What lies over the screen.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Overlay {
    /// The keys.
    Help,
    /// What a backend offers.
    Models(String),
    /// How a request was decided on.
    Explanation(Box<Explanation>),
    /// Whether an order is meant.
    Confirm(Order),
}

/// A sentence in the footer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Notice {
    /// What it says.
    pub(crate) text: String,
    /// Whether something went wrong.
    pub(crate) bad: bool,
    until_ms: u64,
}

/// What an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Subscribe,
    Refresh,
    Places,
    History,
    Explain,
    Order,
}

/// The screen's state.
#[derive(Debug)]
pub struct App {
    /// Where the instance is, for the first screen.
    pub(crate) target: String,
    pub(crate) link: Link,
    pub(crate) world: World,
    pub(crate) past: Past,
    pub(crate) table: Table,
    pub(crate) pane: Pane,
    pub(crate) tab: Tab,
    pub(crate) chosen: Option<Chosen>,
    /// The backend that keys act on, by name.
    pub(crate) backend: Option<String>,
    /// First backend on the screen.
    pub(crate) backend_scroll: usize,
    /// Lines scrolled in the lower pane: from the top, in the log from the end.
    pub(crate) scroll: usize,
    /// How far the lower pane or an overlay can be scrolled; the last drawing says so.
    pub(crate) scroll_limit: usize,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) overlay_scroll: usize,
    /// What is typed as a filter, while it is.
    pub(crate) typing: Option<String>,
    pub(crate) notice: Option<Notice>,
    pub(crate) log: VecDeque<LogLine>,
    pub(crate) log_level: LogLevel,
    /// Each backend's model, and when it was seen to change to it.
    flashes: BTreeMap<String, (String, Option<u64>)>,
    size: (u16, u16),
    now_ms: u64,
    /// The instance's clock and ours when it told us.
    clock: Option<(i64, u64)>,
    calls: BTreeMap<u32, Purpose>,
    next_call: u32,
    asked_places_ms: u64,
    is_dirty: bool,
}

impl App {
    /// A screen of `size` (columns, rows) for the instance at `target`, before anything is known.
    pub fn new(target: String, size: (u16, u16)) -> Self {
        Self {
            target,
            link: Link::Connecting,
            world: World::default(),
            past: Past::default(),
            table: Table::default(),
            pane: Pane::default(),
            tab: Tab::default(),
            chosen: None,
            backend: None,
            backend_scroll: 0,
            scroll: 0,
            scroll_limit: 0,
            overlay: None,
            overlay_scroll: 0,
            typing: None,
            notice: None,
            log: VecDeque::new(),
            log_level: LogLevel::Info,
            flashes: BTreeMap::new(),
            size,
            now_ms: 0,
            clock: None,
            calls: BTreeMap::new(),
            next_call: 1,
            asked_places_ms: 0,
            is_dirty: false,
        }
    }

    /// Takes in what has happened at `now_ms`, and says what is to be done.
    pub fn update(&mut self, message: Message, now_ms: u64) -> Vec<Action> {
        self.now_ms = self.now_ms.max(now_ms);
        match message {
            Message::Connected => return self.connected(),
            Message::Lost { reason } => self.lost(reason),
            Message::Event(event) => return self.told(event),
            Message::Answer { id, reply } => return self.answered(id, reply),
            Message::Key(key) => {
                self.settle();
                return self.key(key);
            }
            Message::Mouse(mouse) => {
                self.settle();
                self.mouse(mouse);
            }
            Message::Paste(text) => self.paste(&text),
            Message::Resize(width, height) => self.size = (width, height),
            Message::Tick => return self.tick(),
        }
        Vec::new()
    }

    fn tick(&mut self) -> Vec<Action> {
        if self.link != Link::Live {
            return Vec::new();
        }
        self.is_dirty = true;
        let has_queue = self.world.tally().queued > 0;
        if has_queue && self.now_ms >= self.asked_places_ms + PLACES_MS {
            return self.ask(Purpose::Places, Command::Snapshot);
        }
        Vec::new()
    }

    /// Brings everything that is derived up to date. To be called before drawing.
    pub fn settle(&mut self) {
        if self.notice.as_ref().is_some_and(|notice| notice.until_ms <= self.now_ms) {
            self.notice = None;
        }
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let now_us = self.clock_us();
        self.world.forget(now_us);
        if self.link == Link::Live {
            self.past.observe(&self.world, now_us);
        }
        self.table.arrange(&self.world, now_us);
        if let Some(layout) = self.layout() {
            self.table.bound(layout.request_lines());
        }
        if let Some(Chosen::Request(id)) = &self.chosen
            && !self.world.requests.contains_key(id)
        {
            self.chosen = None;
        }
    }

    /// Whether something moves by itself, so that the screen must be drawn several times a second.
    pub fn is_moving(&self) -> bool {
        self.link == Link::Live && self.world.backends.iter().any(is_busy)
            || self.flashes.keys().any(|name| self.is_flashing(name))
    }

    /// Sends `command`, and remembers what for.
    fn ask(&mut self, purpose: Purpose, command: Command) -> Vec<Action> {
        if self.calls.values().any(|known| *known == purpose && purpose != Purpose::Order) {
            return Vec::new();
        }
        let id = self.next_call;
        self.next_call = self.next_call.wrapping_add(1);
        self.calls.insert(id, purpose);
        if matches!(purpose, Purpose::Places | Purpose::Refresh) {
            self.asked_places_ms = self.now_ms;
        }
        vec![Action::Call { id, command }]
    }

    fn notify(&mut self, text: impl Into<String>, bad: bool) {
        self.notice = Some(Notice { text: text.into(), bad, until_ms: self.now_ms + NOTICE_MS });
    }

    /// The instance's time; while the link is down, the time it would be there.
    pub(crate) fn clock_us(&self) -> i64 {
        let Some((unix_us, at_ms)) = self.clock else { return 0 };
        unix_us + i64::try_from(self.now_ms.saturating_sub(at_ms)).unwrap_or(0) * 1000
    }

    /// Milliseconds of our own clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Where everything is; `None` on a screen too small.
    pub(crate) fn layout(&self) -> Option<Layout> {
        let (width, height) = self.size;
        Layout::new(width, height, self.world.backends.len(), self.typing.is_some())
    }

    /// The request that keys act on.
    pub(crate) fn selected_request(&self) -> Option<&RequestRecord> {
        self.world.requests.get(self.table.selected.as_ref()?)
    }

    /// The backend that keys act on: the selected one, else the first.
    pub(crate) fn selected_backend(&self) -> Option<(usize, &BackendView)> {
        let selected = self.backend.as_deref().and_then(|name| self.world.backend(name));
        selected.or_else(|| self.world.backends.first().map(|view| (0, view)))
    }

    /// Whether `backend` has changed its model a moment ago.
    pub(crate) fn is_flashing(&self, backend: &str) -> bool {
        let changed = self.flashes.get(backend).and_then(|(_, at)| *at);
        changed.is_some_and(|at| self.now_ms < at + FLASH_MS)
    }
}

/// Whether a backend works, so that its lamp pulses.
pub(crate) fn is_busy(view: &BackendView) -> bool {
    view.health != "down" && (view.slots_used > 0 || view.loading)
}
