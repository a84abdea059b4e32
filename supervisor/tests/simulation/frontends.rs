//! How frontends and their clients behave: they come, wait, are served, leave; what was lent is used, late now and then.

use std::collections::BTreeMap;

use dialect::Endpoint;
use ipc_proto::control::{Admission, Grant, Outcome, StandingGrant, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{FrontendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use supervisor::clock::Time;
use supervisor::scheduler::Event;
use supervisor::scheduler::laws::Laws;

use crate::world::{Heard, Link, Step, World};

/// Where an exchange stands at its frontend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Waits for the scheduler's word.
    Waits,
    /// Goes, or has gone, to a worker; nothing has been sent to the client.
    Going(GrantId, WorkerId),
    /// The client is being answered.
    Streams(GrantId, WorkerId),
}

/// A frontend that is alive.
#[derive(Default)]
pub(crate) struct Frontend {
    pub(crate) held: BTreeMap<RequestId, (Hold, ModelName)>,
    /// What was lent to it, and until when.
    loans: Vec<(Time, StandingGrant)>,
    /// The scheduler's words to those who are under way and do not listen yet.
    words: BTreeMap<RequestId, ToFrontend>,
    is_draining: bool,
}

impl Frontend {
    /// Whether an exchange has an attempt under way, and listens to nobody else.
    fn is_under_way(&self, request: RequestId) -> bool {
        self.held.get(&request).is_some_and(|(hold, _)| *hold != Hold::Waits)
    }
}

fn outcome(status: u16, failure: Option<Failure>) -> Outcome {
    Outcome { status, failure, first_byte_us: None, total_us: 1, bytes_sent: 0 }
}

impl<L: Laws> World<L> {
    fn frontend_says(&mut self, frontend: FrontendId, event: Event) {
        self.send(Link::FromFrontend(frontend), Step::Tell(event));
    }

    pub(crate) fn frontend_starts(&mut self, frontend: FrontendId) {
        self.frontends.insert(frontend, Frontend::default());
        self.frontend_says(frontend, Event::FrontendUp { frontend, pid: 1 });
        let address = ([127, 0, 0, 1], 1).into();
        self.frontend_says(frontend, Event::FrontendListening { frontend, address });
    }

    pub(crate) fn frontend_dies(&mut self, frontend: FrontendId) {
        let Some(dead) = self.frontends.remove(&frontend) else { return };
        for (hold, _) in dead.held.into_values() {
            self.drop_connection(hold);
        }
        let after = self.delay();
        self.later(after, Step::Tell(Event::FrontendGone { frontend }));
    }

    pub(crate) fn client_arrives(&mut self) {
        let open: Vec<FrontendId> =
            self.frontends.iter().filter(|(_, it)| !it.is_draining).map(|(id, _)| *id).collect();
        if open.is_empty() {
            return;
        }
        let frontend = self.dice.pick(&open);
        let model = self.dice.pick(&self.scenario.names);
        self.minted += 1;
        let request = RequestId(self.minted << 64 | 0x5eed);
        let endpoint = if self.dice.per_mille(30) { Endpoint::Embeddings } else { Endpoint::ChatCompletions };
        let loan = self.loan_for(frontend, &model, endpoint);
        let hold = loan.as_ref().map_or(Hold::Waits, |loan| Hold::Going(loan.grant, loan.worker));
        let it = self.frontends.get_mut(&frontend).expect("it is open");
        it.held.insert(request, (hold, model.clone()));
        let admission = Admission {
            request,
            label: Label::of(request),
            endpoint,
            model: model.clone(),
            key: KeyId::ANONYMOUS,
            stream: true,
            body_bytes: 1,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: self.dice.per_mille(50).then_some(3000),
            waited_ms: 0,
            class: None,
            load: dialect::load::LoadOptions::default(),
            under: loan.as_ref().map(|loan| loan.grant),
            only: None,
        };
        self.frontend_says(frontend, Event::Admit { frontend, admission: Box::new(admission) });
        if let Some(loan) = loan {
            let grant = Grant {
                grant: loan.grant,
                request,
                worker: loan.worker,
                model: loan.upstream_model,
                load: dialect::load::LoadEdit::Keep,
                ttl_ms: loan.come_within_ms,
                attempt: 1,
            };
            let after = self.delay();
            self.later(after, Step::Comes(frontend, Box::new(grant), model));
        }
        if self.dice.per_mille(self.scenario.impatience) {
            let after = self.dice.between(0, 4_000_000);
            self.later(after, Step::Leaves(request));
        }
    }

    /// A loan that a request may begin under; now and then one that is too old.
    fn loan_for(
        &mut self,
        frontend: FrontendId,
        model: &ModelName,
        endpoint: Endpoint,
    ) -> Option<StandingGrant> {
        let (now, is_careless) = (self.now, self.dice.per_mille(50));
        let it = self.frontends.get_mut(&frontend)?;
        let mut old = Vec::new();
        it.loans.retain(|(end, loan)| {
            let is_good = now < *end || is_careless;
            if !is_good {
                old.push(loan.grant);
            }
            is_good
        });
        let fits = |loan: &StandingGrant| loan.model == *model && loan.task == endpoint.task();
        let place = it.loans.iter().position(|(_, loan)| fits(loan));
        let loan = place.map(|place| it.loans.remove(place).1);
        for grant in old {
            self.frontend_says(frontend, Event::Returned { frontend, grant });
        }
        loan
    }

    fn holder(&self, request: RequestId) -> Option<(FrontendId, Hold)> {
        let holds = |(id, it): (&FrontendId, &Frontend)| Some((*id, it.held.get(&request)?.0));
        self.frontends.iter().find_map(holds)
    }

    pub(crate) fn client_leaves(&mut self, request: RequestId) {
        let Some((frontend, hold)) = self.holder(request) else { return };
        if let Hold::Streams(..) = hold {
            let failure = Failure::new(FailureKind::ClientGone, "the client left");
            self.close(frontend, request, outcome(499, Some(failure)));
        } else {
            self.frontend_says(frontend, Event::Withdraw { frontend, request });
            self.forget(frontend, request);
        }
    }

    /// The frontend's last word on a request.
    fn close(&mut self, frontend: FrontendId, request: RequestId, outcome: Outcome) {
        self.frontend_says(frontend, Event::Closed { frontend, request, outcome });
        self.forget(frontend, request);
    }

    fn forget(&mut self, frontend: FrontendId, request: RequestId) {
        let Some(it) = self.frontends.get_mut(&frontend) else { return };
        it.words.remove(&request);
        if let Some((hold, _)) = it.held.remove(&request) {
            self.drop_connection(hold);
        }
        self.exit_if_drained(frontend);
    }

    fn drop_connection(&mut self, hold: Hold) {
        if let Hold::Going(grant, worker) | Hold::Streams(grant, worker) = hold {
            let after = self.delay();
            self.later(after, Step::Dropped(worker, grant));
        }
    }

    fn exit_if_drained(&mut self, frontend: FrontendId) {
        let is_done = |it: &Frontend| it.is_draining && it.held.is_empty();
        if self.frontends.get(&frontend).is_some_and(is_done) {
            self.frontend_says(frontend, Event::FrontendDrained { frontend });
            let after = 200_000 + self.delay();
            self.later(after, Step::FrontendDies(frontend));
        }
    }

    pub(crate) fn frontend_hears(&mut self, frontend: FrontendId, message: ToFrontend) {
        let Some(it) = self.frontends.get_mut(&frontend) else { return };
        if let Some(request) = decided(&message).filter(|request| it.is_under_way(*request)) {
            it.words.insert(request, message);
            return;
        }
        match message {
            ToFrontend::Lent(loan) if it.is_draining || self.dice.per_mille(30) => {
                self.frontend_says(frontend, Event::Returned { frontend, grant: loan.grant });
            }
            ToFrontend::Lent(loan) => it.loans.push((self.now.plus_millis(loan.ttl_ms), *loan)),
            // Now and then one is taken just when it is being taken back.
            ToFrontend::Recalled { .. } if self.dice.per_mille(200) => {}
            ToFrontend::Recalled { grant } => it.loans.retain(|(_, loan)| loan.grant != grant),
            ToFrontend::Granted(grant) => {
                let Some((hold, model)) = it.held.get_mut(&grant.request) else { return };
                *hold = Hold::Going(grant.grant, grant.worker);
                let model = model.clone();
                if self.dice.per_mille(self.scenario.impatience / 5) {
                    // Just when the grant has come, and before it is used.
                    let (request, after) = (grant.request, self.dice.between(0, 1000));
                    self.later(after, Step::Leaves(request));
                }
                let is_late = self.dice.per_mille(self.scenario.lapses);
                let after = if is_late { self.dice.between(4_500_000, 7_000_000) } else { self.delay() };
                self.later(after, Step::Comes(frontend, grant, model));
            }
            ToFrontend::Rejected { request, failure, .. } if it.held.contains_key(&request) => {
                self.close(frontend, request, outcome(failure.kind.status(), Some(failure)));
            }
            ToFrontend::Cancel { request } if it.held.contains_key(&request) => {
                let failure = Failure::new(FailureKind::Cancelled, "an operator");
                self.close(frontend, request, outcome(499, Some(failure)));
            }
            ToFrontend::Drain { .. } => {
                it.is_draining = true;
                it.loans.clear();
                self.exit_if_drained(frontend);
            }
            _ => {}
        }
    }

    pub(crate) fn hears(&mut self, frontend: FrontendId, request: RequestId, grant: GrantId, heard: Heard) {
        let Some((hold, _)) = self.frontends.get_mut(&frontend).and_then(|it| it.held.get_mut(&request))
        else {
            return;
        };
        match (*hold, heard) {
            (Hold::Going(used, worker), Heard::Head) if used == grant => *hold = Hold::Streams(grant, worker),
            (Hold::Going(used, _) | Hold::Streams(used, _), Heard::End) if used == grant => {
                self.close(frontend, request, outcome(200, None));
            }
            (Hold::Going(used, _), Heard::Fail(failure)) if used == grant => {
                *hold = Hold::Waits;
                self.frontend_says(frontend, Event::AttemptFailed { frontend, request, grant, failure });
                let it = self.frontends.get_mut(&frontend).expect("it heard it");
                if let Some(word) = it.words.remove(&request) {
                    self.frontend_hears(frontend, word);
                }
            }
            (Hold::Streams(used, _), Heard::Fail(failure)) if used == grant => {
                let failure = Failure::new(FailureKind::Broken, failure.detail);
                self.close(frontend, request, outcome(200, Some(failure)));
            }
            _ => {}
        }
    }
}

/// The request that `message` decides about.
fn decided(message: &ToFrontend) -> Option<RequestId> {
    match message {
        ToFrontend::Granted(grant) => Some(grant.request),
        ToFrontend::Rejected { request, .. } => Some(*request),
        _ => None,
    }
}
