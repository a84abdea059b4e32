//! A request as the scheduler sees it: waiting, granted, answered, closed. Its life belongs to its frontend; it has
//! ended when the frontend has said its last word and no grant of it lives.

use dialect::Usage;
use ipc_proto::control::{Admission, Class, Outcome, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, ModelName, RequestId};
use ipc_proto::operator::{Decision, RequestRecord, RequestState};

use super::lane::{LaneKey, Place, Waiter};
use super::laws::Laws;
use super::policy::{News, Reason};
use super::timer::Timer;
use super::{Effect, Scheduler, Turn};
use crate::clock::Time;

/// Where a request stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Waits in its lane.
    Queued {
        /// Since when.
        since: Time,
    },
    /// Waits for the pause before its next attempt to end.
    Paused {
        /// Since when.
        since: Time,
    },
    /// Its latest grant has been sent; the frontend's word is awaited.
    Granted {
        /// The grant, which may be gone already.
        grant: GrantId,
        /// On this backend.
        backend: BackendId,
        /// Whether the frontend is known to have come to the worker.
        has_arrived: bool,
    },
    /// Refused or cancelled by us; the frontend's last word is awaited.
    Answered,
    /// The last word is said; a grant still lives.
    Closed,
}

/// What is remembered of the latest attempt.
#[derive(Default, Debug)]
pub(super) struct Attempt {
    pub(super) backend: Option<BackendId>,
    pub(super) granted: Option<Time>,
    pub(super) is_swap: bool,
    pub(super) reason: Option<Reason>,
    pub(super) load_us: Option<u64>,
    pub(super) upstream_status: Option<u16>,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct End {
    state: RequestState,
    at: Time,
    status: Option<u16>,
    first_byte_us: Option<u64>,
    total_us: u64,
    bytes_sent: u64,
}

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) admission: Admission,
    pub(super) frontend: FrontendId,
    /// The model it means, by its real name.
    pub(super) name: ModelName,
    pub(super) lane: LaneKey,
    pub(super) class: Class,
    /// When it came.
    pub(super) arrived: Time,
    /// Counts admissions. With the time of arrival it is the request's for life.
    pub(super) order: u64,
    /// The time its place in the queue goes by: the strategy's word.
    pub(super) place_at: Time,
    /// When it no longer yields to interactive requests, for a batch request.
    pub(super) ripens: Option<Time>,
    /// Whether it has waited in a lane before.
    pub(super) has_waited: bool,
    pub(super) stage: Stage,
    /// The backend to avoid while there is another.
    pub(super) avoided: Option<BackendId>,
    /// Attempts that reached their worker, and the one on its way.
    pub(super) attempts: u32,
    /// Attempts that did not.
    pub(super) lapses: u32,
    pub(super) waited_us: u64,
    /// Live grants: the one in use, and those being revoked.
    pub(super) live: u32,
    pub(super) attempt: Attempt,
    pub(super) usage: Usage,
    /// What could not be carried into the backend's dialect.
    pub(super) warnings: String,
    /// Why it was sent where it was, attempt by attempt.
    pub(super) decisions: Vec<Decision>,
    pub(super) last_failed: Option<BackendId>,
    pub(super) failure: Option<Failure>,
    pub(super) end: Option<End>,
}

impl Request {
    /// Since when it waits, if it does.
    pub(super) fn waiting_since(&self) -> Option<Time> {
        match self.stage {
            Stage::Queued { since } | Stage::Paused { since } => Some(since),
            _ => None,
        }
    }

    /// As it waits in its lane.
    pub(super) fn waiter(&self, id: RequestId) -> Waiter {
        Waiter {
            request: id,
            client: self.admission.key,
            class: self.class,
            arrived: self.arrived,
            place: Place { at: self.place_at, order: self.order },
            ripens: self.ripens,
            avoided: self.avoided,
        }
    }
}

impl<L: Laws> Scheduler<L> {
    /// Takes a request out of the queue, for whatever comes next.
    pub(super) fn leave_queue(&mut self, turn: &Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(since) = request.waiting_since() else { return };
        request.waited_us += turn.now.since(since);
        self.waiting -= 1;
        self.timers.disarm(&Timer::Patience(id));
        let was_paused = matches!(request.stage, Stage::Paused { .. });
        if request.avoided.is_some() {
            self.timers.disarm(&Timer::Exclusion(id));
        }
        if was_paused {
            self.timers.disarm(&Timer::Pause(id));
        } else {
            self.leave_lane(turn, id);
        }
    }

    /// Takes a request out of its lane.
    pub(super) fn leave_lane(&mut self, turn: &Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        let lane = request.lane;
        if self.queue.remove(&lane, &request.waiter(id)) {
            self.timers.disarm(&Timer::Stranded(lane));
        }
        // A backend may have no more work for a model it holds.
        self.changes.work = true;
        self.tell(turn, News::Left { model: lane.model });
    }

    /// Has the frontend tell the client `failure`.
    pub(super) fn refuse(&mut self, turn: &mut Turn<'_>, id: RequestId, failure: Failure) {
        let wants_room = matches!(failure.kind, FailureKind::QueueFull | FailureKind::QueueTimeout);
        let request = self.requests.get(&id).filter(|_| wants_room);
        let waiting = request.and_then(|request| self.waiting_of(turn.now, id, request));
        self.note_refusal(turn.now, id, waiting);
        self.leave_queue(turn, id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.stage = Stage::Answered;
        request.failure = Some(failure.clone());
        turn.effects.push(Effect::ToFrontend(
            request.frontend,
            ToFrontend::Rejected { request: id, failure, waiting },
        ));
        turn.effects.push(Effect::Changed(id));
    }

    /// The client has been answered.
    pub(super) fn closed(
        &mut self,
        turn: &mut Turn<'_>,
        frontend: FrontendId,
        id: RequestId,
        outcome: Outcome,
    ) {
        let Some(request) = self.held_by(frontend, id) else { return };
        let failure = match outcome.failure {
            None if outcome.status < 400 => None,
            None => request.failure.take().or_else(|| {
                let detail = format!("the backend answered {}", outcome.status);
                Some(Failure::new(FailureKind::Declined, detail))
            }),
            failure => failure,
        };
        let state = match failure.as_ref().map(|failure| failure.kind) {
            None => RequestState::Completed,
            Some(FailureKind::ClientGone | FailureKind::Cancelled) => RequestState::Cancelled,
            Some(_) => RequestState::Failed,
        };
        let end = End {
            state,
            at: turn.now,
            status: Some(outcome.status),
            first_byte_us: outcome.first_byte_us,
            total_us: outcome.total_us,
            bytes_sent: outcome.bytes_sent,
        };
        let before = request.stage;
        self.close(turn, id, end, failure);
        if let Stage::Granted { grant, backend, .. } = before {
            // One that was offered and not used: the answer came under a loan that we had given up for lost.
            self.give_up(turn, backend, grant);
        }
    }

    /// The client left before the answer began.
    pub(super) fn withdraw(&mut self, turn: &mut Turn<'_>, frontend: FrontendId, id: RequestId) {
        let Some(request) = self.held_by(frontend, id) else { return };
        let stage = request.stage;
        let failure = match (stage, request.failure.take()) {
            (Stage::Answered, Some(failure)) if failure.kind == FailureKind::Cancelled => failure,
            _ => Failure::new(FailureKind::ClientGone, "the client left before the answer began"),
        };
        self.leave(turn, id, failure);
        if let Stage::Granted { grant, backend, .. } = stage {
            if L::WITHDRAWAL_REVOKES {
                self.revoke(turn, backend, grant);
            } else {
                self.timers.disarm(&Timer::Grant(backend, grant));
            }
        }
    }

    /// The frontend that held a request has ended.
    pub(super) fn orphaned(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        if request.stage == Stage::Closed {
            return;
        }
        let stage = request.stage;
        self.leave(turn, id, Failure::new(FailureKind::Cancelled, "the frontend that held it ended"));
        if let Stage::Granted { grant, backend, .. } = stage {
            self.give_up(turn, backend, grant);
        }
    }

    /// The instance ends under a request.
    pub(super) fn abandoned(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        if self.requests.get(&id).is_some_and(|request| request.stage != Stage::Closed) {
            self.leave(turn, id, Failure::new(FailureKind::Cancelled, "the instance ended"));
        }
        self.finish(turn, id);
    }

    /// Ends a request of which no client will hear.
    fn leave(&mut self, turn: &mut Turn<'_>, id: RequestId, failure: Failure) {
        let Some(request) = self.requests.get(&id) else { return };
        let end = End {
            state: RequestState::Cancelled,
            at: turn.now,
            status: None,
            first_byte_us: None,
            total_us: turn.now.since(request.arrived),
            bytes_sent: 0,
        };
        self.close(turn, id, end, Some(failure));
    }

    fn close(&mut self, turn: &mut Turn<'_>, id: RequestId, end: End, failure: Option<Failure>) {
        self.leave_queue(turn, id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.stage = Stage::Closed;
        request.end = Some(end);
        request.failure = failure;
        if request.live == 0 {
            self.finish(turn, id);
        }
    }

    /// The live request `id`, if `frontend` holds it and has not said its last word on it.
    pub(super) fn held_by(&mut self, frontend: FrontendId, id: RequestId) -> Option<&mut Request> {
        let request = self.requests.get_mut(&id)?;
        (request.frontend == frontend && request.stage != Stage::Closed).then_some(&mut **request)
    }

    /// Forgets a request that has ended, and tells its last record.
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else { return };
        if let Some(seat) = self.seats.get_mut(&request.frontend.seat) {
            seat.requests.remove(&id);
        }
        let record = self.describe(turn.now, id, &request);
        match record.state {
            RequestState::Completed => self.counters.completed += 1,
            RequestState::Cancelled => self.counters.cancelled += 1,
            _ => self.counters.failed += 1,
        }
        turn.effects.push(Effect::Decided { request: id, decisions: request.decisions });
        turn.effects.push(Effect::Ended(Box::new(record)));
    }

    /// The record of `request` as it stands at `now`.
    pub(super) fn describe(&self, now: Time, id: RequestId, request: &Request) -> RequestRecord {
        let name = |backend: Option<BackendId>| {
            let backend = backend.and_then(|backend| self.backends.get(&backend));
            backend.map(|backend| backend.spec.name.clone()).unwrap_or_default()
        };
        let waits = request.waiting_since();
        let has_ended = request.stage == Stage::Closed && !self.requests.contains_key(&id);
        let end = request.end.as_ref().filter(|_| has_ended);
        let state = end
            .map_or(if waits.is_some() { RequestState::Queued } else { RequestState::Running }, |end| {
                end.state
            });
        RequestRecord {
            id: request.admission.label.to_string(),
            exchange: id.to_string(),
            client: self
                .catalog
                .clients
                .get(&request.admission.key)
                .map(|client| client.name.clone())
                .unwrap_or_default(),
            model: request.admission.model.to_string(),
            endpoint: request.admission.endpoint,
            stream: request.admission.stream,
            state,
            backend: name(request.attempt.backend),
            attempts: request.attempts,
            swap: request.attempt.is_swap,
            last_failed_backend: name(request.last_failed),
            http_status: end.and_then(|end| end.status),
            upstream_status: request.attempt.upstream_status,
            class: request.class,
            reason: request.attempt.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            waiting: None,
            error_code: request
                .failure
                .as_ref()
                .map(|failure| failure.kind.code().to_owned())
                .unwrap_or_default(),
            error: request.failure.as_ref().map(|failure| failure.detail.clone()).unwrap_or_default(),
            arrived_unix_us: self.unix_us(request.arrived),
            started_unix_us: request.attempt.granted.map(|granted| self.unix_us(granted)),
            ended_unix_us: end.map(|end| self.unix_us(end.at)),
            queue_us: Some(request.waited_us + waits.map_or(0, |since| now.since(since))),
            load_us: request.attempt.load_us,
            first_byte_us: end.and_then(|end| end.first_byte_us),
            total_us: end.map(|end| end.total_us),
            warnings: request.warnings.clone(),
            input_tokens: request.usage.input_tokens,
            output_tokens: request.usage.output_tokens,
            cached_tokens: request.usage.cached_tokens,
            reasoning_tokens: request.usage.reasoning_tokens,
            request_bytes: request.admission.body_bytes,
            response_bytes: end.map_or(0, |end| end.bytes_sent),
        }
    }

    /// `time` in microseconds since 1970.
    pub(super) fn unix_us(&self, time: Time) -> i64 {
        self.started_unix_us.saturating_add(i64::try_from(time.0).unwrap_or(i64::MAX))
    }
}
