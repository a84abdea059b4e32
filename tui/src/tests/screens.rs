//! What is drawn, at the sizes that matter.

use ipc_proto::operator::{Confidence, Event, RequestState};
use ratatui::style::{Color, Style};

use super::Desk;
use crate::look::Tone;
use crate::sample;

#[test]
fn tui_01_every_size_has_all_parts_and_no_line_overflows() {
    for (width, height) in [(60, 24), (80, 24), (100, 30), (103, 30), (114, 40), (140, 40), (200, 60)] {
        let mut desk = Desk::new(width, height);
        let lines = desk.lines();
        let text = lines.join("\n");
        for part in ["ProxyLM 0.1.0 running", "local-a", "rack", "Queued: 1", "Requests 2", "Info", "F1 Help"]
        {
            assert!(text.contains(part), "{width}x{height}: {part}\n{text}");
        }
        let borders = ['│', '╮', '╯'];
        for line in lines.iter().filter(|line| line.starts_with(['│', '╭', '╰'])) {
            assert!(line.ends_with(borders) && line.chars().count() == usize::from(width), "{width}: {line}");
        }
        assert_eq!(text.contains("Client"), width >= 100, "{width}: the columns' names");
        assert_eq!(text.contains("Endpoint"), width >= 200, "{width}");
    }
}

#[test]
fn tui_01_a_screen_too_small_says_so_and_nothing_else() {
    assert_eq!(Desk::new(59, 24).text().trim(), "terminal too narrow (min 60)");
    assert_eq!(Desk::new(80, 9).text().trim(), "terminal too low (min 10 lines)");
}

#[test]
fn tui_02_a_wide_row_as_the_table_says() {
    let mut desk = Desk::new(114, 30);
    let row = desk.line("▶ running");
    let expected = "│ ▶ 1    tester    qwen2.5:14b                 local-a    ▶ running    —  07:59:40 07:59:44   15.2s 812→…        │";
    assert_eq!(row, expected);
    let row = desk.line("… queued");
    let expected = "│   2    tester    qwen2.5:14b                 —          … queued     —  07:59:40 —              — —→—          │";
    assert_eq!(row, expected);
}

#[test]
fn tui_02_a_narrow_row_is_compact() {
    let row = Desk::new(60, 24).line("running  ");
    assert_eq!(row, "│ ▶ 1    tester   qwen2.5:14b    local… running    15.2s   │");
}

#[test]
fn tui_02_wide_characters_keep_the_columns() {
    let mut desk = Desk::new(114, 30);
    let mut record = sample::request("1", RequestState::Running);
    record.client = "日本語の客".to_owned();
    desk.event(Event::Requests(vec![record]));
    let terminal = desk.after(0);
    let buffer = terminal.backend().buffer();
    let row = (0..30).find(|y| buffer[(9, *y)].symbol() == "日").unwrap();
    assert_eq!(buffer[(19, row)].symbol(), "q", "the model begins where it always does");
}

#[test]
fn tui_05_in_ascii_there_is_nothing_but_ascii() {
    for (width, height) in [(60, 24), (80, 24), (140, 40), (200, 60)] {
        let mut desk = Desk::new(width, height).in_ascii();
        let mut failed = sample::request("3", RequestState::Failed);
        failed.error = "it broke".to_owned();
        desk.event(Event::Requests(vec![failed, sample::request("4", RequestState::Cancelled)]));
        for key in ['i', 'v', 'l', 'm'] {
            desk.letter(key);
            let text = desk.text();
            assert!(text.is_ascii(), "{key}:\n{text}");
        }
    }
    let text = Desk::new(114, 30).in_ascii().text();
    for sign in ["> running", ". queued", "812->..."] {
        assert!(text.contains(sign), "{sign}\n{text}");
    }
}

#[test]
fn tui_06_the_margins_of_error_have_their_own_colour_and_a_degraded_row_does_not() {
    let mut snapshot = sample::snapshot();
    let margins = Confidence { load_ms: 90.0, input_per_second: 20.0, output_per_second: 5.1 };
    snapshot.learned[0].confidence = Some(margins);
    let mut desk = Desk::with(114, 60, snapshot.clone());
    let margin = desk.look.style(Tone::Margin);
    desk.press(crossterm::event::KeyCode::BackTab);
    assert!(desk.text().contains("38.5±5.1"), "{}", desk.text());
    assert_eq!(style_of(&mut desk, "±5.1").fg, margin.fg);
    snapshot.learned[0].quality = "degraded".to_owned();
    desk.event(Event::Snapshot(Box::new(snapshot)));
    assert_eq!(style_of(&mut desk, "±5.1").fg, Some(Color::Indexed(11)));
}

/// The style of the first sign of `text` on the screen.
fn style_of(desk: &mut Desk, text: &str) -> Style {
    let terminal = desk.after(0);
    let buffer = terminal.backend().buffer();
    for y in 0..buffer.area.height {
        let signs: Vec<&str> = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        let wanted: Vec<String> = text.chars().map(String::from).collect();
        if let Some(x) = signs.windows(wanted.len()).position(|part| part == wanted) {
            return buffer[(u16::try_from(x).unwrap(), y)].style();
        }
    }
    panic!("{text} is not on the screen");
}

#[test]
fn the_lamp_pulses_only_while_something_runs_and_is_red_when_down() {
    let mut desk = Desk::new(80, 24);
    assert!(desk.app.is_moving());
    let mut seen = Vec::new();
    for _ in 0..4 {
        desk.now_ms += 160;
        seen.push(style_of(&mut desk, "●").fg);
    }
    seen.dedup();
    assert!(seen.len() >= 3, "{seen:?}");
    let mut snapshot = sample::snapshot();
    for view in &mut snapshot.backends {
        view.slots_used = 0;
    }
    "down".clone_into(&mut snapshot.backends[1].health);
    "connection refused".clone_into(&mut snapshot.backends[1].reason);
    desk.event(Event::Snapshot(Box::new(snapshot)));
    assert!(!desk.app.is_moving());
    assert_eq!(style_of(&mut desk, "✗").fg, desk.look.style(Tone::Bad).fg);
    assert!(desk.line("rack").contains("down: connection"), "{}", desk.text());
    assert!(desk.text().contains("1/2"), "{}", desk.text());
}

#[test]
fn a_changed_model_flashes_for_two_seconds_but_not_at_first_sight() {
    let mut desk = Desk::new(80, 24);
    assert!(!desk.app.is_flashing("rack"));
    let mut view = sample::backend("rack", 200);
    "llama3.1:8b".clone_into(&mut view.current_model);
    desk.event(Event::Backends(vec![view]));
    assert!(desk.app.is_flashing("rack"));
    assert_eq!(style_of(&mut desk, "llama3.1:8b"), style_of(&mut desk, "llama3.1:8b"));
    desk.now_ms += 2_000;
    desk.after(0);
    assert!(!desk.app.is_flashing("rack"));
}

#[test]
fn a_backend_shows_turn_metric_next_and_trouble() {
    let mut snapshot = sample::snapshot();
    "leaving qwen2.5:14b for llama3.1:8b, waited 4:02".clone_into(&mut snapshot.backends[0].next);
    snapshot.backends[1].draining = true;
    snapshot.learned[1].slow = true;
    let mut desk = Desk::with(200, 40, snapshot);
    let line = desk.line("local-a");
    for part in [
        "qwen2.5:14b",
        "1/4",
        "[Q:2]",
        "turn 1:23, 2 wait",
        "1.4s* · ↓812.5 tok/s · ↑38.5 tok/s",
        "leaving qwen2.5:14b for",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    for (width, metric) in [(80, "turn 1:23  ↓812 ↑38"), (100, "turn 1:23, 2 wait  1.4s* · ↓812 ↑38")]
    {
        let line = Desk::new(width, 30).line("local-a");
        assert!(line.contains(metric), "{width}: {line}");
    }
    let line = desk.line("rack");
    assert!(line.contains("draining") && line.contains("!!! SLOW !!!"), "{line}");
}

#[test]
fn a_model_that_left_memory_is_marked_unless_it_has_just_come_or_works() {
    let mut snapshot = sample::snapshot();
    snapshot.backends[0].loaded_models = Some(Vec::new());
    let mut desk = Desk::with(100, 30, snapshot.clone());
    assert!(!desk.text().contains('⏏'), "it works");
    snapshot.backends[0].turns[0].running = 0;
    desk.event(Event::Snapshot(Box::new(snapshot.clone())));
    assert!(desk.line("local-a").contains('⏏'));
    snapshot.backends[0].turns[0].since_unix_us = Some(sample::NOW_US - 1_000_000);
    desk.event(Event::Snapshot(Box::new(snapshot)));
    assert!(!desk.text().contains('⏏'), "it has just come");
}

#[test]
fn failed_backends_are_marked_in_the_row() {
    let mut desk = Desk::new(140, 30);
    let mut retried = sample::request("5", RequestState::Running);
    retried.backend = "rack".to_owned();
    retried.last_failed_backend = "local-a".to_owned();
    retried.attempts = 2;
    let mut failed = sample::request("6", RequestState::Failed);
    failed.error = "no route".to_owned();
    desk.event(Event::Requests(vec![retried, failed]));
    assert!(desk.line("attempt 2").contains("rack"));
    assert!(desk.line("✗ failed").contains("✗ local-a"), "{}", desk.text());
    assert!(desk.line("✗ failed").contains("no route"));
}

#[test]
fn the_turns_pane_shows_bars_with_names() {
    let mut desk = Desk::new(140, 40);
    desk.letter('v');
    let text = desk.text();
    assert!(text.contains("now") && text.contains(" Turns "), "{text}");
    let bar = text.lines().filter(|line| line.contains("local-a")).nth(2).unwrap().to_owned();
    assert!(bar.contains("qwen2.5:14b"), "{text}");
}
