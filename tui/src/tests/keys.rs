//! Keys, mouse and orders.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ipc_proto::operator::{Command, Event, Refusal, Reply, RequestState};

use super::Desk;
use crate::app::{Action, Chosen, Message, Pane};
use crate::sample;

/// The only command of `actions`.
#[track_caller]
fn command(actions: &[Action]) -> Command {
    match actions {
        [Action::Call { command, .. }] => command.clone(),
        other => panic!("{other:?}"),
    }
}

fn mouse(desk: &mut Desk, kind: MouseEventKind, column: u16, row: u16) {
    desk.say(Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn with_many() -> Desk {
    let mut desk = Desk::new(114, 30);
    let records = (10..60).map(|number| {
        let mut record = sample::request(&format!("{number}"), RequestState::Queued);
        record.arrived_unix_us += number;
        record
    });
    desk.event(Event::Requests(records.collect()));
    desk.after(0);
    desk
}

#[test]
fn tui_04_and_09_q_f10_and_ctrl_c_quit() {
    let mut desk = Desk::new(80, 24);
    assert_eq!(desk.letter('q'), [Action::Quit]);
    assert_eq!(desk.press(KeyCode::F(10)), [Action::Quit]);
    let stop = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(desk.say(Message::Key(stop)), [Action::Quit]);
    desk.press(KeyCode::F(1));
    assert_eq!(desk.say(Message::Key(stop)), [Action::Quit], "also over an overlay");
}

#[test]
fn tui_04_help_opens_closes_and_swallows_other_keys() {
    let mut desk = Desk::new(80, 24);
    for close in [KeyCode::F(1), KeyCode::Esc, KeyCode::Char('q')] {
        desk.press(KeyCode::F(1));
        assert!(desk.text().contains("drain the selected backend"), "{}", desk.text());
        assert_eq!(desk.letter('d'), []);
        assert!(desk.app.typing.is_none() && desk.letter('/').is_empty() && desk.app.typing.is_none());
        assert_eq!(desk.press(close), []);
        assert!(desk.app.overlay.is_none());
    }
}

#[test]
fn escape_and_a_key_that_come_together_are_both_heard() {
    let mut desk = Desk::new(80, 24);
    desk.press(KeyCode::F(1));
    desk.say(Message::Key(KeyEvent::new(KeyCode::Char('v'), KeyModifiers::ALT)));
    assert!(desk.app.overlay.is_none() && desk.text().contains(" Turns "), "{}", desk.text());
}

#[test]
fn tui_04_models_are_listed_with_the_current_one_marked() {
    let mut snapshot = sample::snapshot();
    snapshot.backends[0].models = (0..30).map(|number| format!("m{number:02}")).collect();
    "m03".clone_into(&mut snapshot.backends[0].current_model);
    let mut desk = Desk::with(80, 40, snapshot);
    desk.letter('m');
    let text = desk.text();
    assert!(text.contains("▶ m03") && text.contains("m23") && !text.contains("m24"), "{text}");
    assert!(text.contains("… (+6 more)"), "{text}");
    desk.letter('m');
    assert!(desk.app.overlay.is_none());
}

#[test]
fn tui_04_arrows_pages_and_ends_select_requests_and_info_follows() {
    let mut desk = with_many();
    desk.press(KeyCode::Down);
    assert_eq!(desk.app.table.selected.as_deref(), Some("1"));
    desk.letter('j');
    desk.letter('k');
    desk.press(KeyCode::End);
    assert_eq!(desk.app.table.selected.as_deref(), Some("59"));
    assert_eq!(desk.app.chosen, Some(Chosen::Request("59".into())));
    assert!(desk.text().contains("59 "), "it is on the screen");
    desk.press(KeyCode::Home);
    desk.press(KeyCode::PageDown);
    let page = desk.app.layout().unwrap().request_lines();
    assert_eq!(
        desk.app.table.rows.iter().position(|id| Some(id) == desk.app.table.selected.as_ref()),
        Some(page)
    );
    desk.press(KeyCode::PageUp);
    assert_eq!(desk.app.table.selected.as_deref(), Some("1"));
}

#[test]
fn tui_04_tab_goes_round_and_the_header_selects_backends() {
    let mut desk = Desk::new(80, 24);
    assert_eq!(desk.app.pane, Pane::Requests);
    for pane in [Pane::Lower, Pane::Header, Pane::Requests] {
        desk.press(KeyCode::Tab);
        assert_eq!(desk.app.pane, pane);
    }
    desk.press(KeyCode::BackTab);
    assert_eq!(desk.app.chosen, Some(Chosen::Backend("local-a".to_owned())));
    desk.press(KeyCode::Down);
    assert_eq!(desk.app.chosen, Some(Chosen::Backend("rack".to_owned())));
    desk.press(KeyCode::Tab);
    desk.press(KeyCode::Tab);
    assert!(
        desk.text().contains("http://rack.lan"),
        "the choice stays while the focus moves: {}",
        desk.text()
    );
}

#[test]
fn tui_04_the_filter_is_applied_on_enter_and_cleared_by_escape() {
    let mut desk = Desk::new(80, 24);
    desk.letter('/');
    assert!(desk.text().contains("model / client / server / status"));
    desk.say(Message::Paste("RUNq".to_owned()));
    desk.press(KeyCode::Backspace);
    assert_eq!(desk.app.table.rows.len(), 2, "not yet");
    let lines = desk.lines();
    assert!(lines[23].contains("Enter Confirm"), "the footer is where it was: {lines:?}");
    desk.press(KeyCode::Enter);
    assert_eq!(desk.app.table.rows.len(), 1);
    assert!(desk.text().contains("filter: RUN"));
    desk.press(KeyCode::Esc);
    assert_eq!(desk.app.table.rows.len(), 2);
    desk.letter('/');
    for _ in 0..100 {
        desk.letter('x');
    }
    assert_eq!(desk.app.typing.as_ref().map(String::len), Some(80));
    desk.press(KeyCode::Esc);
    assert_eq!((desk.app.typing.as_deref(), desk.app.table.rows.len()), (None, 2));
}

#[test]
fn sorting_is_shown_and_can_be_turned_over() {
    let mut desk = Desk::new(80, 24);
    desk.letter('s');
    desk.letter('S');
    assert!(desk.text().contains("by arrival, reversed"), "{}", desk.text());
}

#[test]
fn tui_04_f5_asks_for_a_snapshot_once_until_it_is_answered() {
    let mut desk = Desk::new(80, 24);
    let actions = desk.press(KeyCode::F(5));
    assert_eq!(command(&actions), Command::Snapshot);
    assert_eq!(desk.press(KeyCode::F(5)), []);
    let [Action::Call { id, .. }] = actions[..] else { panic!() };
    desk.say(Message::Answer { id, reply: Ok(Reply::Snapshot(Box::new(sample::snapshot()))) });
    assert!(desk.text().contains("refreshed"));
    assert_eq!(command(&desk.press(KeyCode::F(5))), Command::Snapshot);
}

#[test]
fn orders_are_given_only_after_a_yes() {
    let mut desk = Desk::new(80, 24);
    for no in [KeyCode::Char('n'), KeyCode::Esc, KeyCode::Char('q')] {
        assert_eq!(desk.letter('d'), []);
        assert!(desk.text().contains("Drain local-a?"), "{}", desk.text());
        assert_eq!(desk.press(no), []);
        assert!(desk.app.overlay.is_none());
    }
    let backend = "local-a".to_owned();
    desk.letter('d');
    assert_eq!(command(&desk.letter('y')), Command::Drain { backend: backend.clone() });
    desk.letter('r');
    assert_eq!(command(&desk.press(KeyCode::Enter)), Command::Restart { backend: backend.clone() });
    desk.letter('p');
    assert_eq!(command(&desk.letter('y')), Command::Pause);
    let mut snapshot = sample::snapshot();
    snapshot.backends[0].draining = true;
    "paused".clone_into(&mut snapshot.instance.phase);
    desk.event(Event::Snapshot(Box::new(snapshot)));
    desk.letter('d');
    assert_eq!(command(&desk.letter('y')), Command::Undrain { backend });
    desk.letter('p');
    assert_eq!(command(&desk.letter('y')), Command::Resume);
}

#[test]
fn cancelling_needs_a_live_request_and_names_it() {
    let mut desk = Desk::new(80, 24);
    desk.letter('c');
    assert!(desk.text().contains("select a request first"));
    desk.press(KeyCode::Down);
    desk.letter('c');
    assert!(desk.text().contains("Cancel the running request of tester for qwen2.5:14b?"), "{}", desk.text());
    assert_eq!(command(&desk.letter('y')), Command::Cancel { request: "1".to_owned() });
    desk.event(Event::Requests(vec![sample::request("1", RequestState::Completed)]));
    desk.after(0);
    desk.letter('c');
    assert!(desk.app.overlay.is_none() && desk.text().contains("has ended"));
}

#[test]
fn a_refusal_is_shown_with_its_hint_and_goes_after_a_while() {
    let mut desk = Desk::new(80, 24);
    desk.letter('d');
    let [Action::Call { id, .. }] = desk.letter('y')[..] else { panic!() };
    let refusal = Refusal { message: "no such backend".to_owned(), hint: "see ctl backends".to_owned() };
    desk.say(Message::Answer { id, reply: Err(refusal) });
    assert!(desk.lines()[23].starts_with("no such backend (see ctl backends)"));
    desk.now_ms += 7_000;
    assert!(desk.lines()[23].starts_with("F1 Help"));
}

#[test]
fn tui_04_the_mouse_selects_and_scrolls() {
    let mut desk = with_many();
    let layout = desk.app.layout().unwrap();
    mouse(&mut desk, MouseEventKind::Up(MouseButton::Left), 5, 3);
    assert_eq!(desk.app.chosen, Some(Chosen::Backend("rack".to_owned())));
    let first = layout.requests.y + 2;
    mouse(&mut desk, MouseEventKind::Down(MouseButton::Left), 5, first);
    assert_eq!(desk.app.pane, Pane::Header, "only when the button is released");
    mouse(&mut desk, MouseEventKind::ScrollDown, 5, first);
    assert_eq!((desk.app.pane, desk.app.table.scroll), (Pane::Requests, 3));
    assert_eq!(desk.app.table.selected, None, "the wheel does not select");
    mouse(&mut desk, MouseEventKind::Up(MouseButton::Left), 5, first + 1);
    assert_eq!(desk.app.table.selected, Some(desk.app.table.rows[4].clone()));
    mouse(&mut desk, MouseEventKind::ScrollDown, 5, 2);
    assert_eq!(desk.app.pane, Pane::Header);
    mouse(&mut desk, MouseEventKind::ScrollUp, 5, 2);
    assert_eq!(desk.app.chosen, Some(Chosen::Backend("local-a".to_owned())));
    desk.letter('/');
    mouse(&mut desk, MouseEventKind::ScrollDown, 5, first);
    assert_eq!(desk.app.pane, Pane::Header, "not while a filter is typed");
}
