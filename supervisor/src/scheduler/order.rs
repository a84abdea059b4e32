//! Operators' orders, each answered in one sentence.

use ipc_proto::control::ToFrontend;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, RequestId};
use ipc_proto::operator::Refusal;

use super::backend::Service;
use super::laws::Laws;
use super::request::Stage;
use super::view::PAUSED;
use super::{Effect, Note, Order, Scheduler, Turn};

/// The shortest beginning of an id that is taken for it: shorter ones are typing errors.
const SHORTEST_BEGINNING: usize = 4;

impl<L: Laws> Scheduler<L> {
    /// Does what an operator orders.
    pub(super) fn ordered(&mut self, turn: &mut Turn<'_>, ticket: u64, order: &Order) {
        let reply = match order {
            Order::Drain { backend } => self.named(backend).map(|id| self.drain_backend(id)),
            Order::Undrain { backend } => self.named(backend).map(|id| self.undrain_backend(id)),
            Order::Restart { backend } => self.named(backend).map(|id| {
                self.replace_worker(turn, id);
                format!("{backend}: the worker finishes what it runs and is replaced")
            }),
            Order::Cancel { request } => self.find(request).map(|id| {
                self.cancel(turn, id);
                format!("request {id} is being cancelled")
            }),
            Order::Pause => Ok(self.pause(turn)),
            Order::Resume => Ok(self.resume(turn)),
            Order::Stop => {
                self.stop(turn);
                Ok("the instance is stopping".to_owned())
            }
        };
        turn.effects.push(Effect::Reply { ticket, reply });
    }

    fn named(&self, name: &str) -> Result<BackendId, Refusal> {
        let found = self.in_use().find(|backend| backend.spec.name == name);
        found.map(|backend| backend.id).ok_or_else(|| {
            let names: Vec<&str> = self.in_use().map(|backend| backend.spec.name.as_str()).collect();
            let hint = if names.is_empty() {
                "no backend is configured".to_owned()
            } else {
                format!("the backends are: {}", names.join(", "))
            };
            Refusal { message: format!("there is no backend {name:?}"), hint }
        })
    }

    fn drain_backend(&mut self, id: BackendId) -> String {
        let Some(backend) = self.backends.get_mut(&id) else { return String::new() };
        backend.service = Service::Drained;
        self.changes.terrain = true;
        self.changes.directory = true;
        let running = match backend.attempts() {
            0 => "nothing runs there".to_owned(),
            1 => "1 attempt still runs there".to_owned(),
            more => format!("{more} attempts still run there"),
        };
        format!("{} takes nothing new; {running}", backend.spec.name)
    }

    fn undrain_backend(&mut self, id: BackendId) -> String {
        let Some(backend) = self.backends.get_mut(&id) else { return String::new() };
        backend.service = Service::Open;
        let said = format!("{} is used again", backend.spec.name);
        self.changes.terrain = true;
        self.changes.directory = true;
        // Whoever orders this knows better than the backend's last plea for rest.
        self.rested(id);
        said
    }

    fn pause(&mut self, turn: &mut Turn<'_>) -> String {
        if self.is_stopping() {
            return "the instance is stopping: it grants nothing new anyway".to_owned();
        }
        if !std::mem::replace(&mut self.is_paused, true) {
            self.recall_all(turn);
            turn.note(Note::Phase(PAUSED));
        }
        let waits = self.waiting;
        format!("nothing new is sent to any backend; what runs finishes, what comes waits ({waits} now)")
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> String {
        if !std::mem::take(&mut self.is_paused) {
            return "it was not paused".to_owned();
        }
        self.changes.work = true;
        turn.note(Note::Phase(self.phase()));
        "requests are sent to the backends again".to_owned()
    }

    /// The live request an operator means: by its label, its id, or the only one that begins so.
    pub(super) fn find(&self, wanted: &str) -> Result<RequestId, Refusal> {
        let live = || {
            let open = |stage| !matches!(stage, Stage::Answered | Stage::Closed);
            self.requests.iter().filter(move |(_, request)| open(request.stage))
        };
        let names =
            |id: RequestId, label: &str, fits: &dyn Fn(&str) -> bool| fits(label) || fits(&id.to_string());
        let matching = |fits: &dyn Fn(&str) -> bool| -> Vec<RequestId> {
            live()
                .filter(|(id, request)| names(**id, request.admission.label.as_str(), fits))
                .map(|(id, _)| *id)
                .collect()
        };
        let mut found = matching(&|name| name == wanted);
        if found.is_empty() && wanted.len() >= SHORTEST_BEGINNING {
            found = matching(&|name| name.starts_with(wanted));
        }
        match found[..] {
            [only] => Ok(only),
            [] => Err(Refusal {
                message: format!("no live request {wanted:?}"),
                hint: format!("give its id, or at least {SHORTEST_BEGINNING} characters of the beginning"),
            }),
            _ => Err(Refusal {
                message: format!("{} live requests match {wanted:?}", found.len()),
                hint: "give more of the id".to_owned(),
            }),
        }
    }

    fn cancel(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        self.leave_queue(turn, id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        let stage = request.stage;
        request.stage = Stage::Answered;
        request.failure = Some(Failure::new(FailureKind::Cancelled, "an operator cancelled it"));
        turn.effects.push(Effect::ToFrontend(request.frontend, ToFrontend::Cancel { request: id }));
        turn.effects.push(Effect::Changed(id));
        if let Stage::Granted { grant, backend, .. } = stage {
            self.revoke(turn, backend, grant);
        }
    }
}
