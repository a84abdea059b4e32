//! Operators' calls: who asked, how an answer goes back, and which call is an order for the scheduler.

use ipc_proto::frame::FrameError;
use ipc_proto::link::{Outbox, SendError};
use ipc_proto::operator::{
    Command, HistoryQuery, InstanceView, Refusal, Reply, Response, Snapshot, Subscription, ToOperator,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::Time;
use crate::links::LinkId;
use crate::scheduler::{Order, Scheduler};
use crate::store::StoreError;

/// Somebody who waits for the answer to one call.
#[derive(Debug)]
pub(crate) struct Caller {
    id: u32,
    link: LinkId,
    outbox: Outbox<ToOperator>,
    /// Given back when the call is answered, so that the operator's next one is read.
    _place: OwnedSemaphorePermit,
}

impl Caller {
    /// Who asked under `id` over `link` and reads answers from `outbox`.
    pub(crate) fn new(
        id: u32,
        link: LinkId,
        outbox: Outbox<ToOperator>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { id, link, outbox, _place: place }
    }

    /// Over which link it asked.
    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    /// Where it is told of changes.
    pub(crate) fn outbox(&self) -> Outbox<ToOperator> {
        self.outbox.clone()
    }

    /// Answers. An answer too long for a frame loses of its longest list until it fits; an operator who does not read
    /// is left.
    pub(crate) fn answer(self, reply: Result<Reply, Refusal>) {
        let mut response = ToOperator::Answer(Response { id: self.id, reply });
        loop {
            let sent = self.outbox.send(&response);
            let is_too_long = is_too_long(&sent);
            let ToOperator::Answer(answer) = &mut response else { return };
            match sent {
                Err(_) if is_too_long && shorten(answer) => {}
                Err(error @ SendError::Frame(_)) => {
                    tracing::error!(%error, "an answer to an operator cannot be sent");
                    return self.outbox.close();
                }
                Err(SendError::Full) => {
                    tracing::warn!("an operator does not read its answers; its link is closed");
                    return self.outbox.close();
                }
                Ok(()) | Err(SendError::Closed) => return,
            }
        }
    }
}

/// Whether a message was not taken because it does not fit a frame.
pub(crate) fn is_too_long(sent: &Result<(), SendError>) -> bool {
    matches!(sent, Err(SendError::Frame(FrameError::TooLong { .. } | FrameError::Encode(_))))
}

/// Drops half of what there is most of in a snapshot. Returns whether there was anything.
pub(crate) fn shorten_snapshot(snapshot: &mut Snapshot) -> bool {
    if snapshot.requests.len() < snapshot.learned.len() {
        halve(&mut snapshot.learned)
    } else {
        halve(&mut snapshot.requests)
    }
}

/// Drops half of what there is most of in an answer: the last requests, what was learned from the fewest attempts, the
/// earliest decisions. Returns whether there was anything.
fn shorten(response: &mut Response) -> bool {
    match &mut response.reply {
        Ok(Reply::Snapshot(snapshot)) => shorten_snapshot(snapshot),
        Ok(Reply::History(requests)) => halve(requests),
        Ok(Reply::Explained(explanation)) => {
            explanation.decisions.reverse();
            let shorter = halve(&mut explanation.decisions);
            explanation.decisions.reverse();
            shorter
        }
        Ok(Reply::Done(_)) | Err(_) => false,
    }
}

/// Drops the second half. Returns whether there was one.
fn halve<T>(list: &mut Vec<T>) -> bool {
    let half = list.len() / 2;
    let shorter = half < list.len();
    list.truncate(half);
    shorter
}

/// What a command asks of us.
#[derive(PartialEq, Debug)]
pub(crate) enum Asked {
    /// The state.
    Snapshot,
    /// The past.
    History(HistoryQuery),
    /// Why a request was sent where it was.
    Explain {
        /// Its id, or the beginning of one.
        request: String,
    },
    /// To be told of changes.
    Subscribe(Subscription),
    /// Not to be told any more.
    Unsubscribe,
    /// The scheduler is to do something.
    Order(Order),
}

/// What `command` asks of us.
pub(crate) fn asked(command: Command) -> Asked {
    Asked::Order(match command {
        Command::Snapshot => return Asked::Snapshot,
        Command::History(query) => return Asked::History(query),
        Command::Explain { request } => return Asked::Explain { request },
        Command::Subscribe(wanted) => return Asked::Subscribe(wanted),
        Command::Unsubscribe => return Asked::Unsubscribe,
        Command::Pause => Order::Pause,
        Command::Resume => Order::Resume,
        Command::Drain { backend } => Order::Drain { backend },
        Command::Undrain { backend } => Order::Undrain { backend },
        Command::Cancel { request } => Order::Cancel { request },
        Command::Restart { backend } => Order::Restart { backend },
        Command::Stop => Order::Stop,
    })
}

/// The whole state, with at most `most` requests: what the scheduler knows, and what `instance` and `history_lost` say
/// of the rest.
pub(crate) fn snapshot(
    scheduler: &Scheduler,
    now: Time,
    instance: InstanceView,
    history_lost: u64,
    most: usize,
) -> Snapshot {
    let (requests, live) = scheduler.live_requests(now, most);
    let mut counters = scheduler.counters();
    counters.history_lost = history_lost;
    Snapshot {
        instance,
        frontends: scheduler.frontends(),
        backends: scheduler.backends(now),
        requests,
        live,
        learned: scheduler.learned(),
        counters,
    }
}

/// How a question about the past that cannot be answered is refused.
pub(crate) fn refusal(error: &StoreError) -> Refusal {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Refusal { message: format!("{error}{cause}"), hint: error.hint().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dialect::Endpoint;
    use ipc_proto::control::Class;
    use ipc_proto::link;
    use ipc_proto::operator::{Call, Decision, Explanation, RequestRecord, RequestState};
    use tokio::sync::Semaphore;

    use super::*;

    fn long_record() -> RequestRecord {
        RequestRecord {
            id: String::new(),
            exchange: String::new(),
            client: String::new(),
            model: String::new(),
            endpoint: Endpoint::Completions,
            stream: false,
            state: RequestState::Failed,
            backend: String::new(),
            attempts: 1,
            swap: false,
            last_failed_backend: String::new(),
            http_status: None,
            upstream_status: None,
            class: Class::default(),
            reason: String::new(),
            waiting: None,
            error_code: String::new(),
            error: "x".repeat(3000),
            warnings: String::new(),
            arrived_unix_us: 0,
            started_unix_us: None,
            ended_unix_us: None,
            queue_us: None,
            load_us: None,
            first_byte_us: None,
            total_us: None,
            input_tokens: None,
            output_tokens: None,
            cached_tokens: None,
            reasoning_tokens: None,
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    #[tokio::test]
    async fn an_answer_over_the_frame_limit_is_shortened_until_it_fits() {
        let (near, far) = tokio::io::duplex(4 << 20);
        let (outbox, _inbox, writer) = link::open::<ToOperator, Call, _>(near);
        let (_outbox, mut answers, _writer) = link::open::<Call, ToOperator, _>(far);
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let caller = Caller::new(9, LinkId::for_test(1), outbox.clone(), place);
        caller.answer(Ok(Reply::History(vec![long_record(); 1000])));
        assert_eq!(places.available_permits(), 1, "the next call may come");
        outbox.close();
        writer.run().await.unwrap();
        match answers.recv().await.unwrap() {
            Some(ToOperator::Answer(Response { id: 9, reply: Ok(Reply::History(rows)) })) => {
                assert_eq!(rows.len(), 250);
            }
            other => panic!("{other:?}"),
        }
    }

    fn decision(reason: &str) -> Decision {
        Decision {
            at_unix_us: 0,
            chosen: String::new(),
            reason: reason.to_owned(),
            position: None,
            estimated_wait_ms: None,
            candidates: Vec::new(),
        }
    }

    #[test]
    fn of_an_explanation_the_latest_decisions_stay() {
        let decisions = ["first", "second", "third", "fourth"].map(decision).to_vec();
        let explanation = Explanation { record: long_record(), decisions };
        let mut response = Response { id: 1, reply: Ok(Reply::Explained(Box::new(explanation))) };
        for left in [&["third", "fourth"][..], &["fourth"], &[]] {
            assert!(shorten(&mut response));
            let Ok(Reply::Explained(explanation)) = &response.reply else { panic!("{response:?}") };
            let reasons: Vec<_> = explanation.decisions.iter().map(|decision| &decision.reason[..]).collect();
            assert_eq!(reasons, left);
        }
        assert!(!shorten(&mut response), "there is nothing left to drop");
    }

    #[test]
    fn every_order_reaches_the_scheduler_under_its_own_name() {
        let backend = || "desk".to_owned();
        assert_eq!(asked(Command::Snapshot), Asked::Snapshot);
        assert_eq!(
            asked(Command::Drain { backend: backend() }),
            Asked::Order(Order::Drain { backend: backend() })
        );
        assert_eq!(
            asked(Command::Restart { backend: backend() }),
            Asked::Order(Order::Restart { backend: backend() })
        );
        assert_eq!(asked(Command::Stop), Asked::Order(Order::Stop));
        assert_eq!(asked(Command::Pause), Asked::Order(Order::Pause));
        assert_eq!(asked(Command::Resume), Asked::Order(Order::Resume));
    }
}
