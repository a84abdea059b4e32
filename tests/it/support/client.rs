//! A small client: one connection per request, closed by dropping, so that leaving is as easy as asking.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Body, Head, read_head};

/// Nothing in a passing test is silent for so long.
const SILENCE: Duration = Duration::from_secs(30);

/// Who asks, and with which headers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client with a bearer key.
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self::anonymous(address).with("authorization", &format!("Bearer {key}"))
    }

    /// A client without a key.
    pub(crate) fn anonymous(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// The same with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Asks and reads the whole answer.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").answer()
    }

    /// Posts `body` and reads the whole answer.
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, body.as_ref()).answer()
    }

    /// Asks `model` for a chat completion and reads the whole answer.
    pub(crate) fn chat(&self, model: &str) -> Answer {
        self.post("/v1/chat/completions", chat_body(model, false))
    }

    /// Asks `model` for a chat completion without waiting for anything.
    pub(crate) fn start_chat(&self, model: &str) -> Call {
        self.send("POST", "/v1/chat/completions", chat_body(model, false).as_bytes())
    }

    /// Asks `model` for a streamed chat completion, and waits for nothing.
    pub(crate) fn start_stream(&self, model: &str) -> Call {
        self.send("POST", "/v1/chat/completions", chat_body(model, true).as_bytes())
    }

    /// Sends a request and waits for nothing. Dropping the call closes its connection.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Call {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if method != "GET" {
            let _ = write!(head, "content-length: {}\r\n", body.len());
            if !self.headers.iter().any(|(name, _)| name == "content-type") {
                head.push_str("content-type: application/json\r\n");
            }
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let mut call = self.raw(format!("{head}\r\n").as_bytes());
        // The answer may come, and the connection close, before a long body is written.
        let _ = call.connection.get_mut().write_all(body);
        call
    }

    /// Opens a connection and writes `bytes` as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Call {
        let mut connection = TcpStream::connect(self.address).expect("the instance listens");
        connection.set_read_timeout(Some(SILENCE)).unwrap();
        connection.set_nodelay(true).unwrap();
        connection.write_all(bytes).unwrap();
        Call { connection: BufReader::new(connection) }
    }
}

/// The body of a short chat request.
pub(crate) fn chat_body(model: &str, stream: bool) -> String {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }], "stream": stream })
        .to_string()
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Call {
    connection: BufReader<TcpStream>,
}

impl Call {
    /// Reads the whole answer.
    #[track_caller]
    pub(crate) fn answer(self) -> Answer {
        self.stream().rest()
    }

    /// Reads the head and leaves the body to be read in pieces.
    #[track_caller]
    pub(crate) fn stream(self) -> Stream {
        self.try_stream().expect("an answer comes")
    }

    /// The same, or `None` if the connection is closed without an answer.
    pub(crate) fn try_stream(mut self) -> Option<Stream> {
        let head = read_head(&mut self.connection).ok().flatten()?;
        let body = Body::of_response(&head);
        Some(Stream { head, body, connection: self.connection, read: Vec::new(), used: 0 })
    }

    /// Sends more of the request.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.connection.get_mut().write_all(bytes).unwrap();
    }
}

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The head.
    pub(crate) head: Head,
    body: Body,
    connection: BufReader<TcpStream>,
    read: Vec<u8>,
    used: usize,
}

impl Stream {
    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap()
    }

    /// The next server-sent event, as it is on the wire without its blank line; `None` at the end, honest or not.
    pub(crate) fn next_event(&mut self) -> Option<String> {
        loop {
            let unread = &self.read[self.used..];
            if let Some(length) = unread.windows(2).position(|pair| pair == b"\n\n") {
                let event = String::from_utf8_lossy(&unread[..length]).into_owned();
                self.used += length + 2;
                return Some(event);
            }
            match self.body.next(&mut self.connection) {
                Ok(Some(piece)) => self.read.extend(piece),
                _ => return None,
            }
        }
    }

    /// The next bytes as they come; `None` at the end, honest or not. They stay part of the whole answer.
    pub(crate) fn next_piece(&mut self) -> Option<Vec<u8>> {
        let piece = self.body.next(&mut self.connection).ok().flatten()?;
        self.read.extend_from_slice(&piece);
        Some(piece)
    }

    /// Reads to the end: the whole answer, also what was read before.
    pub(crate) fn rest(mut self) -> Answer {
        let (more, complete) = self.body.read_all(&mut self.connection);
        self.read.extend(more);
        Answer { status: self.status(), head: self.head, body: self.read, complete }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The head.
    pub(crate) head: Head,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its honest end.
    pub(crate) complete: bool,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The one `X-Request-Id`.
    #[track_caller]
    pub(crate) fn request_id(&self) -> String {
        let ids = self.head.all("x-request-id");
        assert_eq!(ids.len(), 1, "exactly one x-request-id: {:?}", self.head);
        ids[0].to_owned()
    }

    /// Fails the test unless this is an error in OpenAI's form with this status and code.
    #[track_caller]
    pub(crate) fn assert_openai_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let error = &self.json()["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        assert!(error["type"].is_string(), "{error}");
        assert!(error.get("param").is_some(), "{error}");
    }

    /// Fails the test unless this is an error in Anthropic's form with this status and type.
    #[track_caller]
    pub(crate) fn assert_anthropic_error(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
}
