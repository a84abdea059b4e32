//! What a whole supervisor tells operators by itself, and what a pause does.

use ipc_proto::operator::{Event, LogLevel, LogLine, Subscription};

use super::*;

fn event<T>(told: &ToOperator, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
    match told {
        ToOperator::Event(event) => pick(event),
        ToOperator::Answer(_) => None,
    }
}

/// Returns when the operator is told of `request` in this state.
async fn told_of(operator: &mut Operator, request: RequestId, state: RequestState) -> RequestRecord {
    let wanted = request.to_string();
    let found = operator.hear(|told| {
        event(told, |event| match event {
            Event::Requests(records) => {
                records.iter().find(|record| record.exchange == wanted && record.state == state).cloned()
            }
            _ => None,
        })
    });
    found.await
}

async fn subscribe(operator: &mut Operator, wants: Subscription) {
    let reply = ask(operator, 10, Command::Subscribe(wants)).await;
    assert!(matches!(reply, Ok(Reply::Done(_))), "{reply:?}");
}

fn state() -> Subscription {
    Subscription { state: true, ..Subscription::default() }
}

#[tokio::test]
async fn a_subscriber_sees_a_request_wait_run_and_end() {
    with_instance(async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        subscribe(&mut operator, Subscription { backend: Some("desk".to_owned()), ..state() }).await;
        let snapshot = operator
            .hear(|told| {
                event(told, |event| match event {
                    Event::Snapshot(snapshot) => Some(snapshot.clone()),
                    _ => None,
                })
            })
            .await;
        assert_eq!((snapshot.live, snapshot.backends.len()), (0, 1));
        let [first, second] = std::array::from_fn(|_| RequestId::mint());
        frontend.say(admission(first));
        let grant = granted(&mut frontend, first).await;
        told_of(&mut operator, first, RequestState::Running).await;
        frontend.say(admission(second));
        told_of(&mut operator, second, RequestState::Queued).await;
        let busy = operator.hear(|told| {
            event(told, |event| match event {
                Event::Backends(views) => views.iter().find(|view| view.queued == 1).cloned(),
                _ => None,
            })
        });
        assert_eq!(busy.await.slots_used, 1);
        worker.say(finished(grant));
        frontend.say(closed(first));
        let ended = told_of(&mut operator, first, RequestState::Completed).await;
        assert_eq!((ended.backend.as_str(), ended.output_tokens), ("desk", Some(4)));
        // That it runs may be told in one breath with that.
        let grant = granted(&mut frontend, second).await;
        worker.say(finished(grant));
        frontend.say(closed(second));
        told_of(&mut operator, second, RequestState::Completed).await;
        let counted = operator.hear(|told| {
            event(told, |event| match event {
                Event::Counters(counters) if counters.completed == 2 => Some(counters.admitted),
                _ => None,
            })
        });
        assert_eq!(counted.await, 2);
        assert!(ask(&mut operator, 11, Command::Unsubscribe).await.is_ok());
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_instance_grants_nothing_and_goes_on_when_resumed() {
    with_instance(async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        let [running, waiting] = std::array::from_fn(|_| RequestId::mint());
        frontend.say(admission(running));
        let grant = granted(&mut frontend, running).await;
        assert!(matches!(ask(&mut operator, 4, Command::Pause).await, Ok(Reply::Done(_))));
        frontend.say(admission(waiting));
        worker.say(finished(grant));
        frontend.say(closed(running));
        // What runs finishes; what came waits although the slot is free.
        let paused = loop {
            let snapshot = snapshot(&mut operator).await;
            if snapshot.counters.completed == 1 && snapshot.instance.queued == 1 {
                break snapshot;
            }
        };
        assert_eq!((paused.instance.phase.as_str(), paused.backends[0].slots_used), ("paused", 0));
        assert_eq!(paused.requests[0].state, RequestState::Queued);
        let explained = ask(&mut operator, 6, Command::Explain { request: waiting.to_string() }).await;
        let Ok(Reply::Explained(explanation)) = explained else { panic!("{explained:?}") };
        let now = explanation.decisions.last().unwrap();
        assert_eq!((now.reason.as_str(), now.candidates[0].eligible), ("paused", false));
        assert!(matches!(ask(&mut operator, 5, Command::Resume).await, Ok(Reply::Done(_))));
        let grant = granted(&mut frontend, waiting).await;
        assert_eq!(snapshot(&mut operator).await.instance.phase, "running");
        worker.say(finished(grant));
        frontend.say(closed(waiting));
        while snapshot(&mut operator).await.live > 0 {}
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn children_send_the_lines_that_are_wanted_and_operators_hear_whose_they_are() {
    with_instance(async |run_dir, _| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        let asked = |message: &ToWorker| match message {
            ToWorker::LogFrom(least) => Some(*least),
            _ => None,
        };
        assert_eq!(worker.hear(asked).await, LogLevel::Info, "these are kept for operators to come");
        let said = |level, message: &str| LogLine {
            unix_us: 5,
            level,
            source: String::new(),
            message: message.to_owned(),
        };
        worker.say(FromWorker::Log(said(LogLevel::Info, "earlier")));
        // What is told of the past and what comes go the same way; a question makes sure that the line has come.
        while snapshot(&mut operator).await.backends[0].health != "up" {}
        frontend.say(FromFrontend::Log(said(LogLevel::Warning, "trouble")));
        let wants = Subscription { log: Some(LogLevel::Debug), ..Subscription::default() };
        subscribe(&mut operator, wants).await;
        assert_eq!(worker.hear(asked).await, LogLevel::Debug);
        worker.say(FromWorker::Log(said(LogLevel::Debug, "chatter")));
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let line = operator.hear(|told| {
                event(told, |event| match event {
                    Event::Log(line) => Some((line.source.clone(), line.message.clone())),
                    _ => None,
                })
            });
            let line = line.await;
            // Other tests of this process may log too.
            if ["earlier", "trouble", "chatter"].contains(&line.1.as_str()) {
                heard.push(line);
            }
        }
        heard.sort();
        let owned = |(source, message): (&str, &str)| (source.to_owned(), message.to_owned());
        let expected =
            [("frontend 0", "trouble"), ("worker desk", "chatter"), ("worker desk", "earlier")].map(owned);
        assert_eq!(heard, expected);
        assert!(ask(&mut operator, 11, Command::Unsubscribe).await.is_ok());
        assert_eq!(worker.hear(asked).await, LogLevel::Info);
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}
