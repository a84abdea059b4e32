//! Signs of life inside a stream: what they look like in each dialect and framing, and where one fits.
//!
//! A sign of life carries nothing: a client that reads events passes over it, and one that counts bytes sees that
//! the connection lives. It fits only between two events.

use crate::elements::Elements;
use crate::{Dialect, Endpoint, Framing};

/// The sign of life in a stream of `endpoint` that is framed so and tells of `model`, whole: to be added between two
/// events.
///
/// Anthropic's own API sends `ping` events and its clients pass over them wherever they come. Elsewhere it is a
/// comment, which the standard of server-sent events has for this; the blank line after it is for readers that cut
/// streams at blank lines before they look inside. Google's own clients take a comment for broken JSON, and an
/// object without members for an answer that spoils the history of a chat; an empty line, which is no event to the
/// standard, those for Python and JavaScript pass over (the one for Go does not yet). In a list it is white space. A line must hold something: it is an answer
/// without text.
pub fn beat(endpoint: Endpoint, framing: Framing, model: &str) -> Vec<u8> {
    match (framing, endpoint.dialect()) {
        (Framing::List, _) => b" \n".to_vec(),
        (Framing::Lines, _) => empty_line(endpoint, model),
        (Framing::Events, Dialect::Anthropic) => b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec(),
        (Framing::Events, Dialect::Gemini) => b"\n".to_vec(),
        (Framing::Events, _) => b": proxylm is waiting\n\n".to_vec(),
    }
}

/// An answer of Ollama's without text, which is not the last one.
fn empty_line(endpoint: Endpoint, model: &str) -> Vec<u8> {
    let model = serde_json::Value::from(model);
    let content = match endpoint {
        Endpoint::OllamaGenerate => r#""response":"""#,
        _ => r#""message":{"role":"assistant","content":""}"#,
    };
    format!("{{\"model\":{model},\"created_at\":\"1970-01-01T00:00:00Z\",{content},\"done\":false}}\n")
        .into_bytes()
}

/// Finds out whether the bytes passed so far end between two events, however they were cut.
///
/// They do before the first byte and where an event has ended: after a blank line, after a line, or after an element of
/// a list. Lines of server-sent events end with LF, CR LF or CR, also mixed.
#[derive(Clone, Copy, Debug)]
pub struct Seam(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Events(Blank),
    Lines { is_inside: bool },
    List(Elements),
}

impl Default for Seam {
    /// The beginning of server-sent events.
    fn default() -> Self {
        Self::new(Framing::Events)
    }
}

impl Seam {
    /// The beginning of a stream framed so.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Events => State::Events(Blank::default()),
            Framing::Lines => State::Lines { is_inside: false },
            Framing::List => State::List(Elements::default()),
        })
    }

    /// Takes note that `bytes` have passed.
    pub fn pass(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Events(blank) => blank.pass(bytes),
            State::Lines { is_inside } => *is_inside = bytes.last().map_or(*is_inside, |&last| last != b'\n'),
            State::List(elements) => elements.pass(bytes),
        }
    }

    /// Whether something can be added here without falling into an event.
    pub fn is_open(&self) -> bool {
        match &self.0 {
            State::Events(blank) => !blank.is_inside,
            State::Lines { is_inside } => !is_inside,
            State::List(elements) => elements.is_between(),
        }
    }
}

/// Whether a blank line is the last thing that passed.
#[derive(Clone, Copy, Default, Debug)]
struct Blank {
    is_inside: bool,
    /// Whether the line that the next byte belongs to has begun.
    is_line_begun: bool,
    is_after_cr: bool,
}

impl Blank {
    fn pass(&mut self, bytes: &[u8]) {
        // The longest two line ends are four bytes; what came before them has no say in it.
        let start = bytes.len().saturating_sub(4);
        if start > 0 {
            *self = Self { is_inside: true, is_line_begun: true, is_after_cr: false };
        }
        for &byte in &bytes[start..] {
            self.pass_byte(byte);
        }
    }

    fn pass_byte(&mut self, byte: u8) {
        let is_tail = byte == b'\n' && self.is_after_cr;
        self.is_after_cr = byte == b'\r';
        match byte {
            // The line ended with the carriage return before it.
            b'\n' if is_tail => {}
            b'\n' | b'\r' => {
                self.is_inside = self.is_inside && self.is_line_begun;
                self.is_line_begun = false;
            }
            _ => {
                self.is_inside = true;
                self.is_line_begun = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::{Cutter, Event};
    use crate::watch::StreamWatch;

    #[test]
    fn beats_are_whole_and_no_content() {
        for (endpoint, framing, event) in [
            (Endpoint::ChatCompletions, Framing::Events, "data: {}\n\n"),
            (Endpoint::Messages, Framing::Events, "data: {}\r\n\r\n"),
            (Endpoint::Responses, Framing::Events, "data: {}\n\n"),
            (Endpoint::GenerateContent, Framing::Events, "data: {}\r\n\r\n"),
            (Endpoint::GenerateContent, Framing::List, "[{}"),
        ] {
            let mut seam = Seam::new(framing);
            let mut watch = StreamWatch::new(endpoint, framing, false);
            let beat = beat(endpoint, framing, "m");
            let mut out = Vec::new();
            watch.feed(&beat, &mut out);
            assert!(!watch.has_begun(), "{endpoint:?}");
            for bytes in [&beat, event.as_bytes(), &beat, &beat] {
                seam.pass(bytes);
                assert!(seam.is_open(), "{endpoint:?}");
            }
            watch.feed(event.as_bytes(), &mut out);
            assert!(watch.has_begun() && watch.error().is_none(), "{endpoint:?}");
        }
    }

    #[test]
    fn a_line_of_life_is_an_answer_without_text() {
        assert_eq!(
            String::from_utf8(beat(Endpoint::OllamaChat, Framing::Lines, "a\"b")).unwrap(),
            "{\"model\":\"a\\\"b\",\"created_at\":\"1970-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":false}\n"
        );
        let generate = String::from_utf8(beat(Endpoint::OllamaGenerate, Framing::Lines, "m")).unwrap();
        assert!(generate.contains(r#""response":"","done":false}"#) && generate.ends_with("}\n"));
        let mut seam = Seam::new(Framing::Lines);
        for (part, is_open) in
            [("{\"a\"", false), ("", false), (":1}\n", true), ("", true), ("x", false), ("\n{", false)]
        {
            seam.pass(part.as_bytes());
            assert_eq!(seam.is_open(), is_open, "{part}");
        }
    }

    #[test]
    fn an_empty_line_is_no_event_to_the_standard() {
        let stream = [&beat(Endpoint::GenerateContent, Framing::Events, "m")[..], b"data: 1\n\n"].concat();
        let mut cutter = Cutter::default();
        let mut rest = stream.as_slice();
        let mut data = Vec::new();
        while let Some(piece) = cutter.next(&mut rest) {
            let crate::sse::Piece::Event(bytes) = piece else { continue };
            data.extend(Event::read(bytes).data.map(std::borrow::Cow::into_owned));
        }
        assert_eq!(data, [b"1"]);
    }

    #[test]
    fn a_comment_has_no_data_and_a_ping_says_so_twice() {
        let one = beat(Endpoint::ChatCompletions, Framing::Events, "m");
        let other = beat(Endpoint::Messages, Framing::Events, "m");
        let event = Event::read(&one);
        assert!(event.data.is_none() && event.name.is_empty());
        let event = Event::read(&other);
        assert_eq!((event.name, event.data.as_deref()), (&b"ping"[..], Some(&b"{\"type\": \"ping\"}"[..])));
    }

    #[test]
    fn the_seam_is_where_events_end_however_they_are_cut() {
        for (stream, is_open) in [
            ("", true),
            ("data: 1", false),
            ("data: 1\n", false),
            ("data: 1\n\n", true),
            ("data: 1\r\n", false),
            ("data: 1\r\n\r\n", true),
            ("data: 1\r\n\r", true),
            ("data: 1\r\r", true),
            ("data: 1\r", false),
            ("data: 1\n\r", true),
            ("data: 1\n\r\n", true),
            ("data: 1\r\n\n", true),
            ("data: 1\n\n\n", true),
            ("data: 1\n\nd", false),
            ("data: 1\n\ndata: 2\r\n", false),
            ("\n", true),
            (": x\n\n", true),
            ("x\r\n\r\nab\r\n", false),
        ] {
            for cut in 1..=stream.len().max(1) {
                let mut seam = Seam::default();
                for part in stream.as_bytes().chunks(cut) {
                    seam.pass(part);
                }
                assert_eq!(seam.is_open(), is_open, "{stream:?} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn the_seam_agrees_with_the_cutter() {
        let alphabet = [b'a', b'\n', b'\r'];
        for number in 0..3_usize.pow(7) {
            let stream: Vec<u8> = (0..7).map(|place| alphabet[number / 3_usize.pow(place) % 3]).collect();
            let (mut cutter, mut seam) = (Cutter::default(), Seam::default());
            let mut rest = stream.as_slice();
            while cutter.next(&mut rest).is_some() {}
            seam.pass(&stream);
            assert_eq!(seam.is_open(), cutter.held().is_empty(), "{stream:?}");
        }
    }
}
