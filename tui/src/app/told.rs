//! What the instance says: changes, answers, and that it is there or gone.

use ipc_proto::operator::{Command, Event, HistoryQuery, Refusal, Reply, Subscription};

use super::{Action, App, Link, MOST_LOG_LINES, Overlay, Purpose};

/// Past requests asked for when the link comes up, and after a gap.
const HISTORY: u32 = 500;

impl App {
    pub(super) fn connected(&mut self) -> Vec<Action> {
        self.calls.clear();
        let mut actions = self.subscribe();
        actions.extend(self.ask_history());
        actions
    }

    /// Asks to be told of everything from now on.
    pub(super) fn subscribe(&mut self) -> Vec<Action> {
        let subscription = Subscription { state: true, log: Some(self.log_level), ..Subscription::default() };
        self.ask(Purpose::Subscribe, Command::Subscribe(subscription))
    }

    fn ask_history(&mut self) -> Vec<Action> {
        self.ask(
            Purpose::History,
            Command::History(HistoryQuery { limit: HISTORY, ..HistoryQuery::default() }),
        )
    }

    pub(super) fn lost(&mut self, reason: String) {
        if !self.calls.values().all(|purpose| *purpose != Purpose::Order) {
            self.notify("the connection broke before the order was answered", true);
        }
        self.calls.clear();
        if matches!(self.overlay, Some(Overlay::Confirm(_))) {
            self.overlay = None;
        }
        self.past.interrupt(self.clock_us());
        self.link = Link::Reconnecting { reason };
    }

    pub(super) fn told(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Log(line) => {
                if self.log.len() == MOST_LOG_LINES {
                    self.log.pop_front();
                }
                self.log.push_back(line);
                // Who has scrolled back keeps the lines before the eyes.
                if self.tab == super::Tab::Log && self.scroll > 0 {
                    self.scroll += 1;
                }
                Vec::new()
            }
            Event::Lagged { missed } => {
                self.notify(format!("{missed} changes were missed; the state is read again"), false);
                self.ask_history()
            }
            event => self.change(event),
        }
    }

    fn change(&mut self, event: Event) -> Vec<Action> {
        let told_us = match &event {
            Event::Snapshot(snapshot) => Some(snapshot.instance.now_unix_us),
            Event::Instance(instance) => Some(instance.now_unix_us),
            _ => None,
        };
        if let Some(unix_us) = told_us {
            self.clock = Some((unix_us, self.now_ms));
        }
        let is_snapshot = matches!(event, Event::Snapshot(_));
        let was_live = self.link == Link::Live;
        let has_gaps = self.world.learn(event);
        if is_snapshot {
            self.link = Link::Live;
        }
        self.note_flashes(was_live);
        self.is_dirty = true;
        if has_gaps { self.ask_history() } else { Vec::new() }
    }

    /// Marks backends that have changed their model; not those seen for the first time.
    fn note_flashes(&mut self, was_live: bool) {
        for view in &self.world.backends {
            let known = self.flashes.get(&view.name).map(|(model, _)| model.as_str());
            if known == Some(view.current_model.as_str()) {
                continue;
            }
            // What is not a change lies so far back that it is not marked.
            let at = (known.is_some() && was_live).then_some(self.now_ms);
            self.flashes.insert(view.name.clone(), (view.current_model.clone(), at));
        }
        let world = &self.world;
        self.flashes.retain(|name, _| world.backend(name).is_some());
    }

    pub(super) fn answered(&mut self, id: u32, reply: Result<Reply, Refusal>) -> Vec<Action> {
        let Some(purpose) = self.calls.remove(&id) else { return Vec::new() };
        match reply {
            Err(refusal) => {
                let hint =
                    if refusal.hint.is_empty() { String::new() } else { format!(" ({})", refusal.hint) };
                self.notify(format!("{}{hint}", refusal.message), true);
            }
            Ok(Reply::Snapshot(snapshot)) => {
                if purpose == Purpose::Refresh {
                    self.notify("refreshed", false);
                }
                return self.change(Event::Snapshot(snapshot));
            }
            Ok(Reply::History(records)) => {
                self.world.remember(records);
                self.is_dirty = true;
            }
            Ok(Reply::Explained(explanation)) => {
                self.overlay_scroll = 0;
                self.overlay = Some(Overlay::Explanation(explanation));
            }
            Ok(Reply::Done(sentence)) if purpose == Purpose::Order => self.notify(sentence, false),
            Ok(_) => {}
        }
        Vec::new()
    }
}
