//! What operators ask of the actor, and their answers.
//!
//! What is true now is told at once; the past is looked up in tasks of their own, so that a slow disk holds up nobody
//! but who asked.

use ipc_proto::operator::{
    Command, Decision, Explanation, HistoryQuery, InstanceView, Refusal, Reply, RequestRecord, Snapshot,
};

use super::Actor;
use crate::operators::{self, Asked, Caller};
use crate::scheduler::Event;
use crate::scheduler::explain::lent_ahead;
use crate::store::{Reader, StoreError};

/// The shortest beginning of an id that is looked for, as in orders.
const SHORTEST_BEGINNING: usize = 4;

impl Actor {
    /// Answers a call, or returns the event that has it carried out.
    pub(super) fn called(&mut self, caller: Caller, command: Command) -> Option<Event> {
        match operators::asked(command) {
            Asked::Snapshot => {
                let (now, instance, lost) = (self.clock.now(), self.instance_view(), self.store.lost());
                let snapshot =
                    operators::snapshot(&self.scheduler, now, instance, lost, Snapshot::MAX_REQUESTS);
                caller.answer(Ok(Reply::Snapshot(Box::new(snapshot))));
                None
            }
            Asked::History(query) => {
                self.look_up(caller, query);
                None
            }
            Asked::Explain { request } => {
                self.explain(caller, request);
                None
            }
            Asked::Subscribe(wants) => {
                self.subscribe(caller, wants);
                None
            }
            Asked::Unsubscribe => {
                self.unsubscribe(caller);
                None
            }
            Asked::Order(order) => {
                self.state.last_ticket += 1;
                let ticket = self.state.last_ticket;
                self.state.tickets.insert(ticket, caller);
                Some(Event::Ordered { ticket, order })
            }
        }
    }

    /// Answers an order that was carried out, or could not be.
    pub(super) fn reply(&mut self, ticket: u64, reply: Result<String, Refusal>) {
        if let Some(caller) = self.state.tickets.remove(&ticket) {
            caller.answer(reply.map(Reply::Done));
        }
    }

    /// The instance as it is now.
    pub(super) fn instance_view(&self) -> InstanceView {
        InstanceView {
            now_unix_us: self.clock.started_unix_us().saturating_add_unsigned(self.clock.now().0),
            phase: self.scheduler.phase().to_owned(),
            queued: self.scheduler.queued(),
            ..self.instance.clone()
        }
    }

    fn look_up(&mut self, caller: Caller, query: HistoryQuery) {
        self.save_now();
        let reader = self.store.reader();
        self.answer_later(async move {
            let found = reader.find(query).await;
            caller.answer(found.map(Reply::History).map_err(|error| operators::refusal(&error)));
        });
    }

    fn explain(&mut self, caller: Caller, wanted: String) {
        let live = self.scheduler.explain(self.clock.now(), &wanted);
        match live {
            Ok(explanation) if is_called(&explanation.record, &wanted) => {
                caller.answer(Ok(Reply::Explained(Box::new(explanation))));
            }
            live => {
                let reader = self.store.reader();
                self.answer_later(async move {
                    let explained = explained(&reader, wanted, live).await;
                    caller.answer(explained.map(|explanation| Reply::Explained(Box::new(explanation))));
                });
            }
        }
    }

    fn answer_later(&mut self, answer: impl Future<Output = ()> + Send + 'static) {
        while self.state.answers.try_join_next().is_some() {}
        self.state.answers.spawn(answer);
    }
}

/// Whether `wanted` is the whole of a name of this request, not only the beginning.
fn is_called(record: &RequestRecord, wanted: &str) -> bool {
    record.id == wanted || record.exchange == wanted
}

/// Why the request was sent where it was that `wanted` means: one of the past if that is its name, else the live one
/// whose name begins so, else the only one of the past whose name does.
async fn explained(
    reader: &Reader,
    wanted: String,
    live: Result<Explanation, Refusal>,
) -> Result<Explanation, Refusal> {
    let of_the_past = |error: StoreError| operators::refusal(&error);
    match (reader.decisions(wanted.clone()).await, live) {
        (Ok(Some((record, decisions))), _) => return Ok(of_record(record, decisions)),
        (_, Ok(explanation)) => return Ok(explanation),
        (Err(error), Err(_)) => return Err(of_the_past(error)),
        (Ok(None), Err(_)) => {}
    }
    if wanted.len() < SHORTEST_BEGINNING {
        return Err(unknown(&wanted));
    }
    let mut names = reader.begun_so(wanted.clone()).await.map_err(of_the_past)?;
    let Some(name) = names.pop() else { return Err(unknown(&wanted)) };
    if !names.is_empty() {
        let message = format!("several requests begin with {wanted:?}");
        return Err(Refusal { message, hint: "give more of the id".to_owned() });
    }
    // It may have been forgotten since.
    let found = reader.decisions(name).await.map_err(of_the_past)?;
    let (record, decisions) = found.ok_or_else(|| unknown(&wanted))?;
    Ok(of_record(record, decisions))
}

/// The explanation of a request of the past. That a slot was lent ahead for it is not kept, but can be told from its record.
fn of_record(record: RequestRecord, mut decisions: Vec<Decision>) -> Explanation {
    decisions.extend(lent_ahead(&record, &decisions));
    Explanation { record, decisions }
}

fn unknown(wanted: &str) -> Refusal {
    Refusal {
        message: format!("no request {wanted:?}, neither live nor in the history"),
        hint: format!("give its id, or at least {SHORTEST_BEGINNING} characters of the beginning"),
    }
}
