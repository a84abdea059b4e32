//! The whole screen from the state: panes, their borders, and what lies over them. Draws, and decides nothing.

mod backend_info;
mod header;
mod log;
mod margins;
mod overlay;
mod request_info;
mod requests;
mod strip;
mod turns;

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::app::{App, Chosen, Link, Pane, Tab};
use crate::layout::{LOWEST, NARROWEST};
use crate::look::{Look, Tone};

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, look: &Look) {
    let area = frame.area();
    let Some(layout) = app.layout().filter(|layout| layout.footer.bottom() <= area.height) else {
        return draw_too_small(frame, look);
    };
    frame.render_widget(margins::title(app, look, layout.title.width), layout.title);
    draw_header(frame, app, look, layout.header);
    if app.world.instance.is_some() {
        draw_requests(frame, app, look, layout.requests);
        draw_lower(frame, app, look, layout.lower);
    } else {
        draw_waiting(frame, app, look, layout.requests.union(layout.lower));
    }
    if let Some(text) = &app.typing {
        let block = pane(look, true).title(" Filter ");
        frame.render_widget(Paragraph::new(margins::filter(text, look)).block(block), layout.filter);
    }
    frame.render_widget(margins::footer(app, look, layout.footer.width), layout.footer);
    overlay::draw(frame, app, look);
}

fn draw_too_small(frame: &mut Frame<'_>, look: &Look) {
    let area = frame.area();
    let text = if area.width < NARROWEST {
        format!("terminal too narrow (min {NARROWEST})")
    } else {
        format!("terminal too low (min {LOWEST} lines)")
    };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(Line::styled(text, look.style(Tone::Bad))), area);
}

/// A box around a pane.
fn pane(look: &Look, is_active: bool) -> Block<'static> {
    let tone = if is_active { Tone::Title } else { Tone::Dim };
    Block::bordered().border_set(look.border()).border_style(look.style(tone))
}

/// The part of a box in which text stands: a cell of air at each side.
fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    }
}

fn draw_waiting(frame: &mut Frame<'_>, app: &App, look: &Look, area: Rect) {
    frame.render_widget(pane(look, false), area);
    let first = match &app.link {
        Link::Reconnecting { reason } => format!("Waiting for the instance{} {reason}", look.glyphs.going_on),
        _ => format!("Waiting for the instance{}", look.glyphs.going_on),
    };
    let lines = vec![Line::from(first), Line::styled(format!("({})", app.target), look.style(Tone::Dim))];
    frame.render_widget(Paragraph::new(lines), inside(area));
}

fn draw_header(frame: &mut Frame<'_>, app: &App, look: &Look, area: Rect) {
    let room = inside(area);
    let lines = usize::from(room.height.saturating_sub(1));
    let mut block = pane(look, app.pane == Pane::Header);
    let hidden = app.world.backends.len().saturating_sub(lines);
    if hidden > 0 {
        let (from, all) = (app.backend_scroll + 1, app.world.backends.len());
        block = block.title(format!(" Backends {from}-{} of {all} ", (app.backend_scroll + lines).min(all)));
    }
    frame.render_widget(block, area);
    let mut text = header::lines(app, look, usize::from(room.width), lines);
    text.resize(lines, Line::default());
    text.push(header::counters(app, look, usize::from(room.width)));
    frame.render_widget(Paragraph::new(text), room);
}

fn draw_requests(frame: &mut Frame<'_>, app: &App, look: &Look, area: Rect) {
    let table = &app.table;
    let mut title = format!(" Requests {} ", table.rows.len());
    if !table.filter.is_empty() {
        let _ = write!(title, " filter: {} ", table.filter);
    }
    if table.sort != crate::table::SortBy::default() || table.reverse {
        let way = if table.reverse { ", reversed" } else { "" };
        let _ = write!(title, " by {}{way} ", table.sort.as_str());
    }
    let unlisted = app.world.unlisted;
    if unlisted > 0 {
        let _ = write!(title, " and {unlisted} more waiting ");
    }
    frame.render_widget(pane(look, app.pane == Pane::Requests).title(title), area);
    frame.render_widget(Paragraph::new(requests::lines(app, look, area)), inside(area));
}

fn draw_lower(frame: &mut Frame<'_>, app: &mut App, look: &Look, area: Rect) {
    let room = inside(area);
    let width = usize::from(room.width);
    let mut title = match app.tab {
        Tab::Info => " Info ".to_owned(),
        Tab::Log => format!(" Log: {} and above ", app.log_level.as_str()),
        Tab::Turns => " Turns ".to_owned(),
    };
    let mut lines = match (app.tab, &app.chosen) {
        (Tab::Log, _) => log::lines(app, look, width),
        (Tab::Turns, _) => turns::lines(app, look, width),
        (Tab::Info, Some(Chosen::Request(id))) => match app.world.requests.get(id) {
            Some(record) => request_info::lines(app, record, look, width),
            None => Vec::new(),
        },
        (Tab::Info, Some(Chosen::Backend(name))) => match app.world.backend(name) {
            Some((_, view)) => backend_info::lines(app, view, look, width),
            None => Vec::new(),
        },
        (Tab::Info, None) => vec![Line::styled(
            "Choose a request or a backend with the arrow keys, Tab or the mouse.",
            look.style(Tone::Dim),
        )],
    };
    let hidden = lines.len().saturating_sub(usize::from(room.height));
    app.scroll_limit = hidden;
    app.scroll = app.scroll.min(hidden);
    let first = if app.tab == Tab::Log { hidden - app.scroll } else { app.scroll };
    if hidden > 0 {
        let _ = write!(title, " {}-{} of {} ", first + 1, first + usize::from(room.height), lines.len());
    }
    frame.render_widget(pane(look, app.pane == Pane::Lower).title(title), area);
    lines.drain(..first);
    lines.truncate(usize::from(room.height));
    frame.render_widget(Paragraph::new(lines), room);
}
