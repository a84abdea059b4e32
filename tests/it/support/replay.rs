//! Streams of backends replayed through the running program: whole, in pieces and byte by byte.
//!
//! What the client should get of a translated stream is what the translator makes of it without sockets and processes
//! between; each row says besides what it is about.

use dialect::translate::{self, Engine, FormatMode, Terms, Translator};
use dialect::{Dialect, Framing};
use ipc_proto::operator::RequestRecord;
use serde_json::Value;

use super::client::Answer;
use super::instance::Instance;
use super::script::Script;
use super::speaker;
use super::upstream::Upstream;

/// The model that every backend here has.
pub(crate) const MODEL: &str = "m";
/// Lengths of the pieces in which a stream comes: whole, cut in the middle of events, byte by byte.
const CUTS: [usize; 3] = [usize::MAX, 17, 1];

/// How a stream ends for its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    /// Well.
    Well,
    /// With an error after its beginning, or in its place.
    Badly,
}

/// A stream, who sends it, who gets it, and what matters of it.
pub(crate) struct Row {
    /// The rows that it shows.
    pub(crate) id: &'static str,
    /// What the client speaks.
    pub(crate) client: Dialect,
    /// What the backend speaks.
    pub(crate) backend: Dialect,
    /// What the client asks beside the usual.
    pub(crate) more: Value,
    /// What the backend sends.
    pub(crate) stream: String,
    /// What the client must find, in this order.
    pub(crate) shows: Vec<String>,
    /// What it must not find.
    pub(crate) hides: Vec<String>,
    /// How it ends.
    pub(crate) ends: Ends,
}

impl Row {
    /// A stream of `backend` for `client` of which nothing is said yet, and which ends well.
    pub(crate) fn new(
        id: &'static str,
        client: Dialect,
        backend: Dialect,
        stream: impl Into<String>,
    ) -> Self {
        Self {
            id,
            client,
            backend,
            more: Value::Object(serde_json::Map::new()),
            stream: stream.into(),
            shows: Vec::new(),
            hides: Vec::new(),
            ends: Ends::Well,
        }
    }

    /// The same, asking this beside the usual.
    pub(crate) fn asking(mut self, more: Value) -> Self {
        self.more = more;
        self
    }

    /// The same, after this the client must find that.
    pub(crate) fn shows(mut self, text: &str) -> Self {
        self.shows.push(text.to_owned());
        self
    }

    /// The same, and the client must not find this.
    pub(crate) fn hides(mut self, text: &str) -> Self {
        self.hides.push(text.to_owned());
        self
    }

    /// The same, ending in an error.
    pub(crate) fn ends_badly(mut self) -> Self {
        self.ends = Ends::Badly;
        self
    }
}

/// Replays each row in every cut on an instance of its own, and hands the answer and its record to `judge`.
pub(crate) fn replay_and(rows: &[Row], judge: impl Fn(&Row, &Answer, &RequestRecord)) {
    for row in rows {
        let upstream = speaker::upstream(MODEL);
        let instance = speaker::once().backend("b1", &upstream, speaker::settings(row.backend)).start();
        for cut in CUTS {
            let (answer, record) = play(row, cut, &upstream, &instance);
            judge(row, &answer, &record);
        }
    }
}

/// Replays each row in every cut.
pub(crate) fn replay(rows: &[Row]) {
    replay_and(rows, |_, _, _| {});
}

fn play(row: &Row, cut: usize, upstream: &Upstream, instance: &Instance) -> (Answer, RequestRecord) {
    let Row { id, client, backend, .. } = row;
    let place = format!("{id}, {backend:?} to {client:?}, in pieces of {cut}");
    let label = format!("row-{}", cut.min(99));
    let pieces = row.stream.as_bytes().chunks(cut);
    let head = Script::head_of(speaker::content_type(*backend));
    upstream.next(pieces.fold(head, Script::chunk).end());
    let asker = instance.client().with("x-request-id", &label);
    let answer = speaker::ask(&asker, *client, MODEL, true, row.more.clone());
    let record = instance.ended(&label);
    let text = answer.text();
    let mut from = 0;
    for shown in &row.shows {
        let found = text[from..].find(shown.as_str());
        from += found.unwrap_or_else(|| panic!("{place}: no {shown} in its place in\n{text}"));
    }
    for hidden in &row.hides {
        assert!(!text.contains(hidden.as_str()), "{place}: there is {hidden} in\n{text}");
    }
    judge_whole(row, &place, &label, upstream, &answer);
    let state = if row.ends == Ends::Well { "completed" } else { "failed" };
    assert_eq!(record.state.as_str(), state, "{place}: {record:?}\n{text}");
    (answer, record)
}

/// Compares the whole answer with what the translator makes of the stream.
fn judge_whole(row: &Row, place: &str, label: &str, upstream: &Upstream, answer: &Answer) {
    let text = answer.text();
    let (expected, has_begun) = match translator(row, label) {
        Some((sent, translator)) => {
            let asked = upstream.seen().pop().expect("the backend is asked");
            assert_eq!(String::from_utf8_lossy(&asked.body), String::from_utf8_lossy(&sent), "{place}");
            told(translator, row.stream.as_bytes())
        }
        None => (row.stream.clone(), true),
    };
    assert!(answer.complete, "{place}: the HTTP message ends well");
    if row.ends == Ends::Well {
        assert_eq!(answer.status, 200, "{place}: {text}");
        assert_eq!(timeless(&text), timeless(&expected), "{place}");
        return;
    }
    if answer.status == 200 {
        assert!(has_begun, "{place}: a stream that has said nothing is no success: {text}");
        assert!(text.contains("\"error\""), "{place}: {text}");
        let (begun, expected) = (timeless(&text), timeless(&expected));
        let common = begun.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other).count();
        assert_eq!(common, expected.len(), "{place}: {begun}\nbegins with what was told before: {expected}");
    } else {
        assert!(answer.status >= 400 && !has_begun, "{place}: {} {text}", answer.status);
        assert!(answer.json()["error"].is_object() || answer.json()["error"].is_string(), "{place}: {text}");
    }
    for end in ["[DONE]", "message_stop", "\"type\":\"response.completed\"", "\"done\":true"] {
        assert!(!text.contains(end), "{place}: a broken stream never ends as a whole one: {text}");
    }
}

/// The request as the backend gets it, and the translator for its answer; `None` where both speak alike.
fn translator(row: &Row, label: &str) -> Option<(Vec<u8>, Translator)> {
    if row.client == row.backend {
        return None;
    }
    let engine = match row.backend {
        Dialect::OpenAi => Engine::Other,
        Dialect::Ollama => Engine::Ollama,
        _ => Engine::Provider,
    };
    let terms = Terms {
        model: MODEL.to_owned(),
        engine,
        is_strict: false,
        pass_unknown: true,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: label.to_owned(),
        now: 0,
        framing: Framing::of(row.client.chat(), Some("alt=sse")),
    };
    let body = speaker::body(row.client, MODEL, true, row.more.clone());
    let sent = translate::request(row.client.chat(), row.backend, body.as_bytes(), true, &terms);
    let sent = sent.unwrap_or_else(|unfit| panic!("{}: {unfit}", row.id));
    Some((sent.body, sent.translator))
}

/// What the translator makes of `stream`, and whether it is the beginning of an answer.
fn told(mut translator: Translator, stream: &[u8]) -> (String, bool) {
    let mut out = Vec::new();
    translator.feed(stream, &mut out);
    translator.finish(&mut out);
    (String::from_utf8(out).unwrap(), translator.has_begun())
}

/// `text` without the times in it, and without the ids that are made up anew for each request: 24 hexadecimal digits behind
/// a prefix.
pub(crate) fn timeless(text: &str) -> String {
    let mut text = idless(text);
    for name in ["created", "created_at", "completed_at", "createTime"] {
        let member = format!("\"{name}\":");
        let mut pieces = text.split(member.as_str());
        let mut rest = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let end = piece.find([',', '}']).unwrap_or(piece.len());
            rest.push_str(&member);
            rest.push_str(&piece[end..]);
        }
        text = rest;
    }
    text
}

fn idless(text: &str) -> String {
    const DIGITS: usize = 24;
    let mut pieces = text.split_inclusive(['_', '-', '"']);
    let mut rest = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_id = piece.len() >= DIGITS && piece.bytes().take(DIGITS).all(|byte| byte.is_ascii_hexdigit());
        rest.push_str(if is_id { &piece[DIGITS..] } else { piece });
    }
    rest
}
