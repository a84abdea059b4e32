//! The link: before the first snapshot, lost, back again; the log; what is asked for by itself.

use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use ipc_proto::operator::{
    Candidate, Command, Decision, Event, Explanation, LogLevel, LogLine, Reply, RequestState, Subscription,
};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::Desk;
use crate::app::{Action, Message};
use crate::{sample, view};

fn commands(actions: Vec<Action>) -> Vec<Command> {
    let command = |action| match action {
        Action::Call { command, .. } => command,
        Action::Quit => panic!("it quits"),
    };
    actions.into_iter().map(command).collect()
}

#[test]
fn a_new_link_subscribes_and_reads_the_history() {
    let mut desk = Desk::empty(80, 24);
    let asked = commands(desk.say(Message::Connected));
    let all = Subscription { state: true, log: Some(LogLevel::Info), ..Subscription::default() };
    assert_eq!(asked[0], Command::Subscribe(all));
    assert!(matches!(&asked[1], Command::History(query) if query.limit > 0), "{asked:?}");
}

#[test]
fn tui_11_before_the_first_snapshot_the_screen_says_what_it_waits_for() {
    let mut desk = Desk::empty(80, 24);
    let text = desk.text();
    assert!(text.starts_with("ProxyLM connecting…"), "{text}");
    assert!(text.contains("Waiting for the instance…") && text.contains("(/run/proxylm)"), "{text}");
}

#[test]
fn tui_09_the_title_says_reconnecting_and_the_state_stays_until_it_is_back() {
    let mut desk = Desk::new(80, 24);
    desk.say(Message::Lost { reason: "it hung up".to_owned() });
    assert!(desk.lines()[0].starts_with("ProxyLM reconnecting… it hung up"));
    assert!(desk.text().contains("local-a") && !desk.app.is_moving(), "nothing pulses on old news");
    desk.letter('d');
    assert!(desk.app.overlay.is_none() && desk.text().contains("there is no connection"));
    desk.say(Message::Connected);
    assert!(desk.lines()[0].contains("reconnecting"), "connected is not yet known");
    desk.event(Event::Snapshot(Box::new(sample::snapshot())));
    assert!(desk.lines()[0].starts_with("ProxyLM 0.1.0 running"));
}

#[test]
fn an_order_that_was_not_answered_when_the_link_broke_is_not_taken_for_done() {
    let mut desk = Desk::new(80, 24);
    desk.letter('d');
    desk.letter('y');
    desk.say(Message::Lost { reason: String::new() });
    assert!(desk.text().contains("broke before the order was answered"));
}

#[test]
fn requests_that_vanished_are_looked_up_in_the_history() {
    let mut desk = Desk::new(80, 24);
    let asked = commands(desk.say(Message::Event(Event::Lagged { missed: 3 })));
    assert!(asked.is_empty(), "the first one is not answered yet: {asked:?}");
    let mut done = sample::snapshot();
    done.requests.clear();
    done.live = 0;
    desk.say(Message::Answer { id: 2, reply: Ok(Reply::History(Vec::new())) });
    let asked = commands(desk.say(Message::Event(Event::Snapshot(Box::new(done)))));
    assert!(matches!(asked[..], [Command::History(_)]), "{asked:?}");
    desk.say(Message::Answer {
        id: 3,
        reply: Ok(Reply::History(vec![sample::request("1", RequestState::Completed)])),
    });
    assert!(desk.line("completed").contains("qwen2.5:14b"));
}

#[test]
fn places_in_the_queue_are_asked_for_while_there_is_one() {
    let mut desk = Desk::new(80, 24);
    desk.now_ms += 3_000;
    assert_eq!(commands(desk.say(Message::Tick)), [Command::Snapshot]);
    assert_eq!(desk.say(Message::Tick), []);
    let mut desk = Desk::new(80, 24);
    desk.event(Event::Requests(vec![sample::request("2", RequestState::Completed)]));
    desk.now_ms += 3_000;
    assert_eq!(desk.say(Message::Tick), []);
}

#[test]
fn the_log_follows_its_end_unless_it_is_scrolled_back() {
    let mut desk = Desk::new(100, 30);
    let log = |desk: &mut Desk, number: usize| {
        let message = format!("line {number} ends");
        let line = LogLine {
            unix_us: sample::NOW_US,
            level: LogLevel::Warning,
            source: "worker desk".to_owned(),
            message,
        };
        desk.event(Event::Log(line));
    };
    (0..50).for_each(|number| log(&mut desk, number));
    desk.letter('l');
    assert!(desk.text().contains("line 49 ends") && desk.text().contains("worker desk"), "{}", desk.text());
    desk.press(KeyCode::Tab);
    desk.press(KeyCode::Home);
    assert!(desk.text().contains("line 0 ends"), "{}", desk.text());
    log(&mut desk, 50);
    assert!(desk.text().contains("line 0 ends"));
    desk.press(KeyCode::End);
    assert!(desk.text().contains("line 50 ends"));
    let asked = commands(desk.letter('L'));
    assert!(
        asked.is_empty()
            || matches!(&asked[..], [Command::Subscribe(what)] if what.log == Some(LogLevel::Warning))
    );
    assert!(desk.text().contains("Log: warning and above"));
}

#[test]
fn a_decision_is_explained_with_its_candidates() {
    let mut desk = Desk::new(100, 30);
    desk.press(KeyCode::Down);
    let actions = desk.letter('e');
    let [Action::Call { id, command: Command::Explain { request } }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(request, "1");
    let candidate = Candidate {
        backend: "rack".to_owned(),
        verdict: "holds the model, 1 of 4 slots free".to_owned(),
        eligible: true,
        holds_model: true,
        load_ms: 0,
        service_ms: 900,
        score: None,
    };
    let decision = Decision {
        at_unix_us: sample::NOW_US,
        chosen: "rack".to_owned(),
        reason: "loaded".to_owned(),
        position: Some(1),
        estimated_wait_ms: None,
        candidates: vec![candidate],
    };
    let record = sample::request("1", RequestState::Running);
    let explanation = Explanation { record, decisions: vec![decision] };
    desk.say(Message::Answer { id: *id, reply: Ok(Reply::Explained(Box::new(explanation))) });
    let text = desk.text();
    assert!(text.contains("sent to rack: loaded, place 1") && text.contains("1 of 4 slots free"), "{text}");
    desk.letter('e');
    assert!(!desk.text().contains("sent to rack"));
}

#[test]
fn a_long_table_is_drawn_by_what_is_on_the_screen() {
    let mut desk = with_two_thousand();
    desk.press(KeyCode::End);
    let text = desk.text();
    assert!(text.contains("1999") && !text.contains("1900"), "{text}");
    assert!(text.contains("Requests 2000") && text.contains("Queued: 2000"), "{text}");
}

fn with_two_thousand() -> Desk {
    let mut snapshot = sample::snapshot();
    let record = |number| sample::request(&format!("{number:04}"), RequestState::Queued);
    snapshot.requests = (0..2000).map(record).collect();
    snapshot.live = 2000;
    Desk::with(200, 60, snapshot)
}

/// Ten seconds with two thousand requests, two hundred changes a second and ten frames a second; prints what they
/// cost. Run it with `--release`: an unoptimised build says little.
#[test]
#[ignore = "prints a measurement"]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn what_ten_busy_seconds_cost() {
    let mut desk = with_two_thousand();
    let look = desk.look.clone();
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for frame in 0..100 {
        for change in 0..20 {
            let state = if change % 2 == 0 { RequestState::Running } else { RequestState::Completed };
            let mut record = sample::request(&format!("{:04}", (frame * 20 + change) % 2000), state);
            record.started_unix_us = Some(sample::NOW_US + frame);
            desk.event(Event::Requests(vec![record]));
        }
        let key = Instant::now();
        desk.press(KeyCode::Down);
        desk.now_ms += 100;
        desk.app.settle();
        terminal.draw(|frame| view::draw(frame, &mut desk.app, &look)).unwrap();
        slowest = slowest.max(key.elapsed());
    }
    println!("ten seconds took {:?}; the slowest key {slowest:?}", began.elapsed());
}
