//! What operators are told, tried with links whose other end reads or does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use dialect::Endpoint;
use ipc_proto::control::Class;
use ipc_proto::link::{self, Inbox};
use ipc_proto::operator::{Call, RequestState};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;

use super::*;
use crate::scheduler::catalog::Strategy;
use crate::simulation::{Flavour, Instance, Setting};

fn scheduler() -> Scheduler {
    let catalog = Setting::new(Strategy::ModelTurns).catalog(&Instance::random(1, Flavour::Rough));
    Scheduler::new(Arc::new(catalog), 7, 0)
}

fn now(scheduler: &Scheduler, millis: u64) -> Now<'_> {
    let instance = InstanceView {
        version: String::new(),
        pid: 1,
        address: String::new(),
        phase: scheduler.phase().to_owned(),
        strategy: String::new(),
        config: String::new(),
        database: String::new(),
        started_unix_us: 0,
        now_unix_us: 0,
        queued: 0,
        queue_limit: 1,
    };
    Now { time: Time::from_millis(millis), scheduler, instance, history_lost: 0 }
}

fn ended(id: &str, client: &str, error: usize) -> RequestRecord {
    RequestRecord {
        id: id.to_owned(),
        exchange: id.to_owned(),
        client: client.to_owned(),
        model: "m".to_owned(),
        endpoint: Endpoint::ChatCompletions,
        stream: false,
        state: RequestState::Failed,
        backend: String::new(),
        attempts: 0,
        swap: false,
        last_failed_backend: String::new(),
        http_status: None,
        upstream_status: None,
        error_code: String::new(),
        error: "x".repeat(error),
        warnings: String::new(),
        arrived_unix_us: 0,
        started_unix_us: None,
        ended_unix_us: None,
        queue_us: None,
        class: Class::default(),
        reason: String::new(),
        waiting: None,
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

fn line(level: LogLevel, message: &str) -> LogLine {
    LogLine { unix_us: 0, level, source: "supervisor".to_owned(), message: message.to_owned() }
}

/// The other end of an operator's link.
struct Operator {
    outbox: Outbox<ToOperator>,
    inbox: Inbox<ToOperator, DuplexStream>,
    _writing: JoinSet<()>,
}

impl Operator {
    /// One whose link holds `room` bytes.
    fn with_room(room: usize) -> Self {
        let (near, far) = tokio::io::duplex(room);
        let (outbox, _, writer) = link::open::<ToOperator, Call, _>(near);
        let (_, inbox, _) = link::open::<Call, ToOperator, _>(far);
        let mut writing = JoinSet::new();
        writing.spawn(async move { drop(writer.run().await) });
        Self { outbox, inbox, _writing: writing }
    }

    /// All that it has been told and not read yet.
    async fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        loop {
            tokio::select! {
                biased;
                next = self.inbox.recv() => match next.unwrap().unwrap() {
                    ToOperator::Event(event) => told.push(*event),
                    ToOperator::Answer(answer) => panic!("{answer:?}"),
                },
                () = quiet(&self.outbox) => return told,
            }
        }
    }
}

/// Returns when the link has nothing more to carry, and whoever reads it has had a chance to.
async fn quiet(outbox: &Outbox<ToOperator>) {
    for _ in 0..8 {
        while outbox.backlog() > 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }
}

fn state() -> Subscription {
    Subscription { state: true, ..Subscription::default() }
}

fn ids(events: &[Event]) -> Vec<&str> {
    let lists = events.iter().filter_map(|event| match event {
        Event::Requests(records) => Some(records),
        _ => None,
    });
    lists.flatten().map(|record| record.id.as_str()).collect()
}

#[tokio::test]
async fn nothing_is_remembered_while_nobody_has_subscribed() {
    let scheduler = scheduler();
    let mut watch = Watch::default();
    watch.touched(Time::default());
    watch.ended(None, &ended("before", "", 0));
    watch.logged(Time::default(), line(LogLevel::Debug, "before"));
    assert_eq!(watch.due(), None);
    assert_eq!(watch.log_wanted(), (LogLevel::Info, false));
    let mut operator = Operator::with_room(1 << 20);
    let link = LinkId::for_test(1);
    watch.subscribe(link, operator.outbox.clone(), state(), &now(&scheduler, 1000));
    watch.ended(None, &ended("after", "", 0));
    watch.touched(Time::from_millis(1001));
    assert_eq!(watch.due(), Some(Time::from_millis(1000 + EVERY_MS)), "changes are put together");
    watch.tell(&now(&scheduler, 1050));
    let told = operator.told().await;
    assert!(matches!(told[0], Event::Snapshot(_)), "{told:?}");
    assert_eq!(ids(&told), ["after"]);
    watch.leave(link);
    watch.touched(Time::from_millis(2000));
    assert_eq!(watch.due(), None, "nor after the last has left");
}

#[tokio::test]
async fn each_is_told_what_it_asked_for() {
    let scheduler = scheduler();
    let mut watch = Watch::default();
    watch.logged(Time::default(), line(LogLevel::Warning, "earlier"));
    let wants = [
        Subscription { client: Some("tester".to_owned()), ..state() },
        Subscription { log: Some(LogLevel::Warning), ..Subscription::default() },
        Subscription { log: Some(LogLevel::Debug), model: Some("none".to_owned()), ..state() },
    ];
    let mut operators = BTreeMap::new();
    for (number, wants) in (1..).zip(wants) {
        let operator = Operator::with_room(1 << 20);
        watch.subscribe(LinkId::for_test(number), operator.outbox.clone(), wants, &now(&scheduler, 0));
        operators.insert(number, operator);
    }
    assert_eq!(watch.log_wanted(), (LogLevel::Debug, true));
    watch.ended(None, &ended("his", "tester", 0));
    watch.ended(None, &ended("another's", "other", 0));
    watch.logged(Time::default(), line(LogLevel::Debug, "chatter"));
    watch.logged(Time::default(), line(LogLevel::Error, "trouble"));
    watch.tell(&now(&scheduler, 100));
    let mut heard = Vec::new();
    for operator in operators.values_mut() {
        let told = operator.told().await;
        let lines = told.iter().filter_map(|event| match event {
            Event::Log(line) => Some(line.message.clone()),
            _ => None,
        });
        heard.push((ids(&told).join(" "), lines.collect::<Vec<_>>().join(" ")));
    }
    let expected = [("his", ""), ("", "earlier trouble"), ("", "earlier chatter trouble")];
    assert_eq!(heard, expected.map(|(ids, lines)| (ids.to_owned(), lines.to_owned())));
}

#[tokio::test]
async fn who_does_not_read_is_told_that_it_missed_something_and_costs_the_others_nothing() {
    let scheduler = scheduler();
    let mut watch = Watch::default();
    let (mut quick, mut slow) = (Operator::with_room(4 << 20), Operator::with_room(64));
    let wants = Subscription { log: Some(LogLevel::Info), ..state() };
    for (number, operator) in [(1, &quick), (2, &slow)] {
        watch.subscribe(
            LinkId::for_test(number),
            operator.outbox.clone(),
            wants.clone(),
            &now(&scheduler, 0),
        );
    }
    quick.told().await;
    let mut seen = 0;
    for round in 1..=30 {
        for number in 0..20 {
            watch.ended(None, &ended(&format!("{round}-{number}"), "", 3000));
        }
        watch.logged(Time::default(), line(LogLevel::Info, "still here"));
        watch.tell(&now(&scheduler, 100 * round));
        seen += ids(&quick.told().await).len();
        assert!(slow.outbox.backlog() < 2 * MOST_WAITING, "what waits for it has a bound");
    }
    assert_eq!(seen, 600, "the other one misses nothing");
    assert_eq!(watch.due(), Some(Time::from_millis(3000 + LOOK_AGAIN_MS)), "it is looked at again");
    let before = slow.told().await;
    assert!(!before.iter().any(|event| matches!(event, Event::Lagged { .. })));
    watch.tell(&now(&scheduler, 4000));
    let after = slow.told().await;
    let [Event::Log(left_out), Event::Lagged { missed }, Event::Snapshot(_)] = &after[..] else {
        panic!("{after:?}")
    };
    assert_eq!(ids(&before).len() as u64 + missed, 600, "what was missed is counted");
    assert!(left_out.message.contains("log lines are left out"), "{left_out:?}");
    watch.ended(None, &ended("again", "", 0));
    watch.tell(&now(&scheduler, 5000));
    assert_eq!(ids(&slow.told().await), ["again"], "then it is told as before");
}

#[tokio::test]
async fn changes_that_do_not_fit_one_frame_come_in_several() {
    let scheduler = scheduler();
    let mut watch = Watch::default();
    let mut operator = Operator::with_room(8 << 20);
    watch.subscribe(LinkId::for_test(1), operator.outbox.clone(), state(), &now(&scheduler, 0));
    for number in 0..600 {
        watch.ended(None, &ended(&number.to_string(), "", 3000));
    }
    watch.tell(&now(&scheduler, 100));
    let told = operator.told().await;
    let frames = told.iter().filter(|event| matches!(event, Event::Requests(_))).count();
    assert_eq!((ids(&told).len(), frames), (600, 2));
}
