//! Why a request is where it is: its place, what it may expect, how each backend looked when it was decided on.

use ipc_proto::control::Waiting;
use ipc_proto::ids::RequestId;
use ipc_proto::operator::{Candidate, Decision, Explanation, Refusal};

use super::Scheduler;
use super::backend::Backend;
use super::laws::Laws;
use super::model::ModelIx;
use super::policy::{Board, Opinion, Reason, Room};
use super::request::Request;
use crate::clock::Time;

/// Decisions kept per request: an attempt each, and few requests have more.
const KEPT_DECISIONS: usize = 8;
/// Backends told of per decision.
const MOST_CANDIDATES: usize = 32;
/// The longest wait that is told, in seconds: beyond it an estimate means nothing.
const LONGEST_ESTIMATE_S: f64 = 86_400.0;

impl<L: Laws> Scheduler<L> {
    /// Why the live request `wanted` is where it is; the last decision is what is true at `now` if it waits.
    /// `wanted` is its label, its id, or the only one that begins so.
    pub fn explain(&self, now: Time, wanted: &str) -> Result<Explanation, Refusal> {
        let id = self.find(wanted)?;
        let request = &self.requests[&id];
        let mut record = self.describe(now, id, request);
        let mut decisions = request.decisions.clone();
        if request.waiting_since().is_some() {
            let waiting = self.waiting_of(now, id, request);
            record.waiting = waiting;
            let why = if self.is_paused { "paused" } else { "waits" };
            let mut stands = self.decision(now, request, (String::new(), why), waiting);
            for candidate in stands.candidates.iter_mut().filter(|_| self.is_paused) {
                candidate.eligible = false;
            }
            decisions.push(stands);
        }
        Ok(Explanation { record, decisions })
    }

    /// The place of a waiting request among those for the same model, and what it may expect.
    pub(super) fn waiting_of(&self, now: Time, id: RequestId, request: &Request) -> Option<Waiting> {
        request.waiting_since()?;
        let waiter = request.waiter(id);
        let queue = self.queue.of(request.lane.model);
        let ahead = queue.ahead_of(&request.lane, &waiter);
        Some(self.waiting_at(now, request.lane.model, ahead))
    }

    /// What a request for `model` may expect with `ahead` others before it.
    pub(super) fn waiting_at(&self, now: Time, model: ModelIx, ahead: usize) -> Waiting {
        let seconds = self.board().wait_s(model, ahead, now).unwrap_or(LONGEST_ESTIMATE_S);
        let until = Time(0).plus_seconds(seconds.min(LONGEST_ESTIMATE_S));
        Waiting { position: ahead as u64 + 1, estimated_wait_ms: until.0 / 1000 }
    }

    /// Remembers why a request is sent to `backend`, before it is.
    pub(super) fn note_decision(&mut self, now: Time, id: RequestId, backend: &str, reason: Reason) {
        let Some(request) = self.requests.get(&id) else { return };
        let decision = self.decision(now, request, (backend.to_owned(), reason.as_str()), None);
        if let Some(request) = self.requests.get_mut(&id) {
            if request.decisions.len() >= KEPT_DECISIONS {
                request.decisions.remove(0);
            }
            request.decisions.push(decision);
        }
    }

    /// Remembers how things stood for a request that is refused without ever having been sent.
    pub(super) fn note_refusal(&mut self, now: Time, id: RequestId, waiting: Option<Waiting>) {
        let Some(request) = self.requests.get(&id).filter(|request| request.decisions.is_empty()) else {
            return;
        };
        let decision = self.decision(now, request, (String::new(), "refused"), waiting);
        if let Some(request) = self.requests.get_mut(&id) {
            request.decisions.push(decision);
        }
    }

    fn decision(
        &self,
        now: Time,
        request: &Request,
        (chosen, reason): (String, &str),
        waiting: Option<Waiting>,
    ) -> Decision {
        let (board, model) = (self.board(), request.lane.model);
        let opinions = self.policy.opinions(&board, model, now);
        let lists = |backend: &&&Backend| backend.lists(&request.name);
        let candidates = board.backends().iter().filter(lists).take(MOST_CANDIDATES);
        Decision {
            at_unix_us: self.unix_us(now),
            chosen,
            reason: reason.to_owned(),
            position: waiting.map(|waiting| waiting.position),
            estimated_wait_ms: waiting.map(|waiting| waiting.estimated_wait_ms),
            candidates: candidates
                .map(|backend| {
                    let opinion = opinions.iter().find(|(id, _)| *id == backend.id);
                    candidate(&board, backend, request, opinion.map(|(_, opinion)| opinion))
                })
                .collect(),
        }
    }
}

/// `backend` as it looks for `request`.
fn candidate(
    board: &Board<'_>,
    backend: &Backend,
    request: &Request,
    opinion: Option<&Opinion>,
) -> Candidate {
    let model = request.lane.model;
    let obstacle = obstacle(board, backend, request);
    let (holds, free) = (board.holds(backend, model), slots(backend));
    let objection = opinion.map(|opinion| opinion.objection.as_str()).filter(|text| !text.is_empty());
    let verdict = match (&obstacle, objection) {
        (Some(obstacle), _) => obstacle.clone(),
        (None, Some(objection)) => format!("{objection}, {free}"),
        (None, None) if !backend.swaps() => format!("need not load, {free}"),
        (None, None) if holds => format!("holds the model, {free}"),
        (None, None) => format!("would have to load, {free}"),
    };
    let load_s = if holds { 0.0 } else { board.load(backend, model) };
    let milliseconds = |seconds: f64| Time(0).plus_seconds(seconds).0 / 1000;
    Candidate {
        backend: backend.spec.name.clone(),
        verdict,
        eligible: obstacle.is_none() && objection.is_none() && backend.has_free_slot(),
        holds_model: holds,
        load_ms: milliseconds(load_s),
        service_ms: milliseconds(board.service(backend, model)),
        score: opinion.and_then(|opinion| opinion.score),
    }
}

/// What keeps `request` from `backend`, whatever the strategy says.
fn obstacle(board: &Board<'_>, backend: &Backend, request: &Request) -> Option<String> {
    let lane = &request.lane;
    if lane.only.is_some_and(|only| only != backend.id) {
        return Some("its alias names another backend".to_owned());
    }
    if !super::admission::is_candidate(backend, lane, &request.name) {
        return Some("does not answer this operation".to_owned());
    }
    if lane.bound.is_some_and(|bound| bound != backend.id) {
        return Some("the request is bound to another backend".to_owned());
    }
    if !backend.is_up() {
        return Some("is down".to_owned());
    }
    if !backend.is_open() {
        return Some("takes nothing now: drained, resting or restarting".to_owned());
    }
    if request.avoided == Some(backend.id) && board.backends().len() > 1 {
        return Some("failed the last attempt: others first".to_owned());
    }
    let room = board.room_by_age(backend, lane.model, |_| true);
    (room == Room::Full).then(|| format!("is busy with other models, {}", slots(backend)))
}

fn slots(backend: &Backend) -> String {
    let free = (backend.slots() as usize).saturating_sub(backend.taken());
    format!("{free} of {} slots free", backend.slots())
}
