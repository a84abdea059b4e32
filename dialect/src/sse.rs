//! Incremental reading of streams of events, however the bytes are cut.
//!
//! A [`Cutter`] cuts a byte stream into events and loses no byte: server-sent events, lines, or the elements of one
//! list. An [`Event`] is one of them with its fields told apart. Lines of server-sent events end with LF, CR LF or CR,
//! also mixed. What is held back has a bound: an event over
//! [`HOLD_LIMIT`] is passed on as it comes, and the cutter finds its end all the same.

use std::borrow::Cow;
use std::fmt;

use crate::Framing;
use crate::elements::Elements;

/// The longest event that is held back until it is whole, in bytes.
pub const HOLD_LIMIT: usize = 64 * 1024;

/// How much memory an idle cutter keeps: ordinary events fit, and thousands of slow streams stay small.
const KEPT_CAPACITY: usize = 4 * 1024;

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// A stretch of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A whole event with the blank line that ends it; or a comment outside of events. Of a list: an element with
    /// whatever separates it from the one before, or the end of the list.
    Event(&'a [u8]),
    /// The line feed after a carriage return that had already ended the piece before: it shares that one's fate.
    Tail(&'a [u8]),
    /// A stretch of an event over [`HOLD_LIMIT`].
    Long {
        /// The stretch; the first one has at least [`HOLD_LIMIT`] bytes.
        bytes: &'a [u8],
        /// Whether the event begins here.
        is_first: bool,
        /// Whether the event ends here.
        is_last: bool,
    },
}

/// Cuts a stream into events.
///
/// Which pieces are events and which are long depends on the bytes alone, not on how they come.
#[derive(Default)]
pub struct Cutter {
    held: Vec<u8>,
    bounds: Bounds,
    is_long: bool,
    /// Whether `held` has been handed out.
    is_spent: bool,
}

impl Cutter {
    /// One for a stream framed so.
    pub fn new(framing: Framing) -> Self {
        let bounds = match framing {
            Framing::Events => Bounds::Events(Lines::default()),
            Framing::Lines => Bounds::Lines,
            Framing::List => Bounds::List(Elements::default()),
        };
        Self { bounds, ..Self::default() }
    }

    /// Takes the next piece off the front of `bytes`; what is no whole piece yet is held back.
    ///
    /// Call it until it returns `None`: then all of `bytes` has been taken.
    pub fn next<'a, 'b: 'a>(&'a mut self, bytes: &mut &'b [u8]) -> Option<Piece<'a>> {
        self.forget_spent();
        let input = *bytes;
        if input.is_empty() {
            return None;
        }
        if let Bounds::Events(lines) = &mut self.bounds
            && lines.is_tail(input[0])
        {
            lines.is_after_cr = false;
            let (tail, rest) = input.split_at(1);
            *bytes = rest;
            return Some(Piece::Tail(tail));
        }
        let mut ahead = self.bounds;
        let end = ahead.next_end(input);
        let length = end.unwrap_or(input.len());
        let is_over = self.held.len() + length > HOLD_LIMIT;
        if is_over && !self.held.is_empty() {
            return Some(self.start_long(bytes));
        }
        self.bounds = ahead;
        let (stretch, rest) = input.split_at(length);
        *bytes = rest;
        if is_over || self.is_long {
            let is_first = !std::mem::replace(&mut self.is_long, end.is_none());
            return Some(Piece::Long { bytes: stretch, is_first, is_last: end.is_some() });
        }
        if end.is_some() && self.held.is_empty() {
            return Some(Piece::Event(stretch));
        }
        self.held.extend_from_slice(stretch);
        self.is_spent = end.is_some();
        end.is_some().then_some(Piece::Event(&self.held))
    }

    /// Fills what is held up to the limit, so that the first stretch of a long event always has the same bytes to
    /// judge it by.
    fn start_long<'a>(&'a mut self, bytes: &mut &[u8]) -> Piece<'a> {
        let (stretch, rest) = bytes.split_at(HOLD_LIMIT - self.held.len());
        let end = self.bounds.next_end(stretch);
        debug_assert!(end.is_none(), "the event is longer than this");
        self.held.extend_from_slice(stretch);
        *bytes = rest;
        self.is_long = true;
        self.is_spent = true;
        Piece::Long { bytes: &self.held, is_first: true, is_last: false }
    }

    fn forget_spent(&mut self) {
        if std::mem::take(&mut self.is_spent) {
            if self.held.capacity() > KEPT_CAPACITY {
                self.held = Vec::new();
            } else {
                self.held.clear();
            }
        }
    }

    /// Whether all pieces returned so far end between two events.
    pub fn is_between_events(&self) -> bool {
        !self.is_long
    }

    /// What is held back: the beginning of an event whose end has not come.
    pub fn held(&self) -> &[u8] {
        if self.is_spent { &[] } else { &self.held }
    }

    /// Gives up what is held back: its end will not come.
    pub fn forget_held(&mut self) {
        self.is_spent = true;
        self.forget_spent();
    }

    /// What would end the event that is held back.
    pub fn missing_end(&self) -> &'static [u8] {
        match self.bounds {
            Bounds::Events(Lines { line: Line::Empty, is_after_cr: false, .. }) | Bounds::Lines => b"\n",
            // The first line feed belongs to the carriage return.
            Bounds::Events(_) => b"\n\n",
            Bounds::List(_) => b"",
        }
    }

    /// The memory it keeps, in bytes.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

impl fmt::Debug for Cutter {
    /// Shows nothing of what is held: it is content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter")
            .field("held", &self.held().len())
            .field("is_long", &self.is_long)
            .finish_non_exhaustive()
    }
}

/// Where events end, by the framing.
#[derive(Clone, Copy)]
enum Bounds {
    Events(Lines),
    Lines,
    List(Elements),
}

impl Default for Bounds {
    fn default() -> Self {
        Self::Events(Lines::default())
    }
}

impl Bounds {
    /// Where in `bytes` the next event ends; all bytes before are taken note of.
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Events(lines) => lines.next_end(bytes),
            Self::Lines => bytes.iter().position(|&byte| byte == LF).map(|place| place + 1),
            Self::List(elements) => elements.next_end(bytes),
        }
    }
}

/// Where in an event the bytes seen so far end.
#[derive(Clone, Copy, Default)]
struct Lines {
    line: Line,
    is_after_cr: bool,
    /// Whether a line that is no comment has ended since the last event.
    has_fields: bool,
}

#[derive(Clone, Copy, Default)]
enum Line {
    #[default]
    Empty,
    Comment,
    Field,
}

impl Lines {
    fn is_tail(self, next: u8) -> bool {
        self.is_after_cr && next == LF && !self.has_fields && matches!(self.line, Line::Empty)
    }

    /// Where in `bytes` the next event, or comment outside of events, ends; all bytes before are taken note of.
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            if std::mem::take(&mut self.is_after_cr) && first == LF {
                at += 1;
                continue;
            }
            match (self.line, first) {
                (Line::Empty, LF | CR) | (Line::Comment | Line::Field, _) => {}
                (Line::Empty, b':') => self.line = Line::Comment,
                (Line::Empty, _) => self.line = Line::Field,
            }
            at += line_length(&bytes[at..])? + 1;
            self.is_after_cr = bytes[at - 1] == CR;
            match std::mem::take(&mut self.line) {
                Line::Field => self.has_fields = true,
                Line::Comment if self.has_fields => {}
                Line::Empty | Line::Comment => {
                    self.has_fields = false;
                    return Some(at);
                }
            }
        }
        None
    }
}

/// How many bytes come before the first line end, if there is one.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let is_end = |byte: u8| byte == LF || byte == CR;
    // Without a way out of the inner loop the compiler looks at a whole block at once.
    let (blocks, _) = bytes.as_chunks::<32>();
    let full =
        blocks.iter().take_while(|block| !block.iter().fold(false, |found, &byte| found | is_end(byte)));
    let skipped = full.count() * 32;
    bytes[skipped..].iter().position(|&byte| is_end(byte)).map(|length| skipped + length)
}

/// One event with its fields told apart.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Event<'a> {
    /// What the `event` field says; empty when there is none.
    pub name: &'a [u8],
    /// The `data` fields, joined by line feeds; `None` when there is none.
    pub data: Option<Cow<'a, [u8]>>,
    /// The `error` field, in which some builds of llama.cpp's server tell of a failure.
    pub error: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// Reads an event of a stream framed so from its bytes. A line and an element of a list have data and nothing else;
    /// the end of a list has none.
    pub fn read_framed(framing: Framing, bytes: &'a [u8]) -> Self {
        if framing == Framing::Events {
            return Self::read(bytes);
        }
        let mut data = bytes.trim_ascii();
        if framing == Framing::List {
            data = data.strip_prefix(b"[").or(data.strip_prefix(b",")).unwrap_or(data).trim_ascii_start();
        }
        let is_empty = data.is_empty() || data == b"]";
        Self { data: (!is_empty).then_some(Cow::Borrowed(data)), ..Self::default() }
    }

    /// Reads an event from its bytes, with or without the blank line at its end. A byte order mark in front is
    /// passed over.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut event = Self::default();
        let mut rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        while !rest.is_empty() {
            let length = line_length(rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(length);
            rest = after.strip_prefix(b"\r\n").unwrap_or(after.get(1..).unwrap_or_default());
            event.take_line(line);
        }
        event
    }

    fn take_line(&mut self, line: &'a [u8]) {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if let Some(data) = &mut self.data {
                    let joined = data.to_mut();
                    joined.push(LF);
                    joined.extend_from_slice(value);
                } else {
                    self.data = Some(Cow::Borrowed(value));
                }
            }
            b"event" => self.name = value,
            b"error" => self.error = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[&str]) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut found = Vec::new();
        for part in parts {
            let mut rest = part.as_bytes();
            while let Some(piece) = cutter.next(&mut rest) {
                let (kind, bytes) = match piece {
                    Piece::Event(bytes) => ("event", bytes),
                    Piece::Tail(bytes) => ("tail", bytes),
                    Piece::Long { bytes, .. } => ("long", bytes),
                };
                found.push(format!("{kind} {}", String::from_utf8_lossy(bytes)));
            }
        }
        found
    }

    #[test]
    fn every_line_end_ends_lines() {
        for (stream, expected) in [
            ("data: a\n\ndata: b\n\n", vec!["event data: a\n\n", "event data: b\n\n"]),
            ("data: a\r\rid\r\r", vec!["event data: a\r\r", "event id\r\r"]),
            ("data: a\r\n\r\nid\n\r\n", vec!["event data: a\r\n\r", "tail \n", "event id\n\r", "tail \n"]),
            (": hi\n\ndata: a\n: in\n\n", vec!["event : hi\n", "event \n", "event data: a\n: in\n\n"]),
        ] {
            assert_eq!(pieces(&[stream]), expected);
            let bytes: Vec<_> = stream.split("").collect();
            assert_eq!(pieces(&bytes), expected, "byte by byte");
        }
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let read = |text: &'static str| {
            let event = Event::read(text.as_bytes());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(event.name), event.data.map(|data| text(&data)))
        };
        let some = |name: &str, data: &str| (name.to_owned(), Some(data.to_owned()));
        assert_eq!(read("\u{feff}data: x\n\n"), some("", "x"));
        assert_eq!(read("event:e\rdata:x\r\r"), some("e", "x"));
        assert_eq!(read("data:  a\r\ndata\r\n: no\r\ndata:b\r\n\r\n"), some("", " a\n\nb"));
        assert_eq!(read("event: a\nevent: b\nid: 7\nretry: 9\ndatum: x\n\n"), ("b".to_owned(), None));
        assert_eq!(read("data: open"), some("", "open"));
    }

    #[test]
    fn a_long_event_passes_and_the_next_one_is_found() {
        let long = format!("data: {}\n\n", "x".repeat(10 << 20));
        let stream = format!("{long}data: b\n\n");
        let mut cutter = Cutter::default();
        let (mut passed, mut firsts, mut last) = (Vec::new(), 0, Vec::new());
        for mut part in stream.as_bytes().chunks(9_999) {
            while let Some(piece) = cutter.next(&mut part) {
                match piece {
                    Piece::Long { bytes, is_first, .. } => {
                        assert!(!is_first || bytes.len() >= HOLD_LIMIT);
                        firsts += usize::from(is_first);
                        passed.extend_from_slice(bytes);
                    }
                    Piece::Event(bytes) | Piece::Tail(bytes) => last = bytes.to_vec(),
                }
            }
            assert!(cutter.capacity() <= 2 * HOLD_LIMIT);
        }
        assert!(passed == long.as_bytes(), "the long event is unchanged");
        assert_eq!((firsts, last.as_slice()), (1, b"data: b\n\n".as_slice()));
        assert!(cutter.is_between_events() && cutter.held().is_empty());
        assert!(cutter.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn debug_does_not_show_content() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.next(&mut b"data: private".as_slice()), None);
        assert_eq!(format!("{cutter:?}"), "Cutter { held: 13, is_long: false, .. }");
    }
}
