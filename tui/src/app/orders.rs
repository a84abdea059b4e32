//! Orders to the instance: which there are, how one is asked for, and what it means, so that nobody gives one by mistake.

use ipc_proto::operator::{Command, RequestState};

use super::{Action, App, Link, Overlay, Purpose};

/// An order that waits to be confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Grant nothing more on this backend.
    Drain(String),
    /// Use it again.
    Undrain(String),
    /// Replace its worker.
    Restart(String),
    /// End a request.
    Cancel {
        /// Its unique id.
        exchange: String,
        /// What people call it.
        title: String,
    },
    /// Grant nothing anywhere.
    Pause,
    /// Grant again.
    Resume,
}

impl Order {
    /// The question.
    pub(crate) fn question(&self) -> String {
        match self {
            Self::Drain(backend) => format!("Drain {backend}?"),
            Self::Undrain(backend) => format!("Use {backend} again?"),
            Self::Restart(backend) => format!("Restart the worker of {backend}?"),
            Self::Cancel { title, .. } => format!("Cancel {title}?"),
            Self::Pause => "Pause all backends?".to_owned(),
            Self::Resume => "Resume?".to_owned(),
        }
    }

    /// What follows.
    pub(crate) fn consequence(&self) -> &'static str {
        match self {
            Self::Drain(_) => "Nothing new is sent to it; what runs there finishes.",
            Self::Undrain(_) => "Waiting requests may be sent to it at once.",
            Self::Restart(_) => "What runs there finishes first; then a new process takes over.",
            Self::Cancel { .. } => "Its client gets an error. This cannot be undone.",
            Self::Pause => "What runs finishes; what comes waits until you resume.",
            Self::Resume => "Waiting requests are sent again.",
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Drain(backend) => Command::Drain { backend },
            Self::Undrain(backend) => Command::Undrain { backend },
            Self::Restart(backend) => Command::Restart { backend },
            Self::Cancel { exchange, .. } => Command::Cancel { request: exchange },
            Self::Pause => Command::Pause,
            Self::Resume => Command::Resume,
        }
    }
}

impl App {
    /// Asks whether the selected backend is to be drained, or used again if it is drained.
    pub(super) fn propose_drain(&mut self) {
        let order = self.selected_backend().map(|(_, view)| {
            let order = if view.draining { Order::Undrain } else { Order::Drain };
            order(view.name.clone())
        });
        self.propose(order, "there is no backend");
    }

    /// Asks whether the selected backend's worker is to be replaced.
    pub(super) fn propose_restart(&mut self) {
        let order = self.selected_backend().map(|(_, view)| Order::Restart(view.name.clone()));
        self.propose(order, "there is no backend");
    }

    /// Asks whether the selected request is to be ended.
    pub(super) fn propose_cancel(&mut self) {
        let record = self.selected_request();
        if record.is_some_and(|record| record.state.is_final()) {
            return self.notify("that request has ended", true);
        }
        let order = record.map(|record| {
            let state = if record.state == RequestState::Queued { "waiting" } else { "running" };
            let client =
                if record.client.is_empty() { String::new() } else { format!(" of {}", record.client) };
            let title = format!("the {state} request{client} for {}", record.model);
            Order::Cancel { exchange: record.exchange.clone(), title }
        });
        self.propose(order, "select a request first");
    }

    /// Asks whether everything is to pause, or to go on if it is paused.
    pub(super) fn propose_pause(&mut self) {
        let order = self.world.instance.as_ref().map(|instance| match instance.phase.as_str() {
            "paused" => Order::Resume,
            _ => Order::Pause,
        });
        self.propose(order, "nothing is known yet");
    }

    fn propose(&mut self, order: Option<Order>, missing: &str) {
        match order {
            _ if self.link != Link::Live => self.notify("there is no connection", true),
            Some(order) => self.overlay = Some(Overlay::Confirm(order)),
            None => self.notify(missing, true),
        }
    }

    /// Gives the order that was asked for.
    pub(super) fn confirm(&mut self, order: Order) -> Vec<Action> {
        self.overlay = None;
        self.ask(Purpose::Order, order.command())
    }
}
