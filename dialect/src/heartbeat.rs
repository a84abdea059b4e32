//! Signs of life inside a stream of server-sent events: what they look like in each dialect, and where one fits.
//!
//! A sign of life carries nothing: a client that reads events passes over it, and one that counts bytes sees that
//! the connection lives. It fits only between two events.

use crate::{Dialect, Endpoint, Framing};

/// The sign of life of `dialect`, whole: to be added between two events.
///
/// Anthropic's own API sends `ping` events and its clients pass over them wherever they come. Elsewhere it is a
/// comment, which the standard of server-sent events has for this; the blank line after it is for readers that cut
/// streams at blank lines before they look inside.
pub fn beat(endpoint: Endpoint, framing: Framing, model: &str) -> Vec<u8> {
    let _ = (framing, model);
    match endpoint.dialect() {
        Dialect::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec(),
        _ => b": proxylm is waiting\n\n".to_vec(),
    }
}

/// Finds out whether the bytes passed so far end between two events, however they were cut.
///
/// They do before the first byte and after a blank line. Lines end with LF, CR LF or CR, also mixed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seam {
    is_inside: bool,
    /// Whether the line that the next byte belongs to has begun.
    is_line_begun: bool,
    is_after_cr: bool,
}

impl Seam {
    /// The beginning of a stream framed so.
    pub fn new(framing: Framing) -> Self {
        let _ = framing;
        Self::default()
    }

    /// Takes note that `bytes` have passed.
    pub fn pass(&mut self, bytes: &[u8]) {
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

    /// Whether something can be added here without falling into an event.
    pub fn is_open(&self) -> bool {
        !self.is_inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::{Cutter, Event};
    use crate::watch::StreamWatch;

    #[test]
    fn beats_are_whole_and_no_content() {
        for (dialect, endpoint) in
            [(Dialect::OpenAi, Endpoint::ChatCompletions), (Dialect::Anthropic, Endpoint::Messages)]
        {
            let mut seam = Seam::default();
            seam.pass(&beat(endpoint, Framing::Events, "m"));
            assert!(seam.is_open(), "{dialect:?}");
            let mut watch = StreamWatch::new(endpoint, Framing::Events, false);
            let mut out = Vec::new();
            watch.feed(&beat(endpoint, Framing::Events, "m"), &mut out);
            assert_eq!((out, watch.has_begun()), (beat(endpoint, Framing::Events, "m"), false), "{dialect:?}");
        }
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
