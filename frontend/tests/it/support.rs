//! The stage: a frontend in this process, a supervisor and a worker that say what a test tells them, and a client that
//! sends bytes.

use std::fmt::Debug;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use frontend::FrontendError;
use ipc_proto::Role;
use ipc_proto::control::{Admission, Directory, FromFrontend, Grant, ModelEntry, Outcome, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::frame::{DATA_LIMIT, FrameReader};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, KeyId, ModelName, RequestId, WorkerId};
use ipc_proto::link::{self, Inbox, Outbox};
use ipc_proto::local::{self, Listener, RunDir, Stream};
use ipc_proto::secret::{Pepper, Secret};
use ipc_proto::spec::{Access, BackendKind, ClientKey, ClientLimits, FrontendSpec, KnownBackend, Listen};
use ipc_proto::stream::{Answer, Ask, End, Head, Header, Open};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Only reached when something is broken: then it is better to say so than to hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key that opens.
pub(crate) const KEY: &str = "client-key";
/// The key of the operator.
pub(crate) const ADMIN: &str = "admin-key";
/// The worker that grants name unless a test says otherwise.
pub(crate) const WORKER: WorkerId = WorkerId { backend: BackendId(4), generation: 2 };

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Waits for `future`, and fails with a sentence if it does not come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The whole stage.
pub(crate) struct Scene {
    pub(crate) address: SocketAddr,
    pub(crate) supervisor: Outbox<ToFrontend>,
    inbox: Inbox<FromFrontend, DuplexStream>,
    frontend: JoinSet<Result<(), FrontendError>>,
    writer: JoinSet<std::io::Result<()>>,
    run_dir: RunDir,
    _dir: tempfile::TempDir,
}

pub(crate) fn limits() -> ClientLimits {
    ClientLimits {
        max_body_bytes: 8 << 20,
        max_held_bytes: 64 << 20,
        max_connections: 1000,
        header_read_ms: 10_000,
        body_read_ms: 10_000,
        idle_ms: 10_000,
    }
}

fn directory() -> Directory {
    let model = |id: &str| ModelEntry {
        id: ModelName::new(id),
        created: 1_700_000_000,
        owned_by: "proxylm".to_owned(),
        served_by: vec!["big".to_owned()],
        counted_in: Vec::new(),
    };
    Directory {
        models: vec![model("m"), model("org/n")],
        ready: true,
        reason: String::new(),
        backends_up: 1,
        backends: 2,
    }
}

/// A backend that the frontend knows.
pub(crate) fn backend(id: BackendId, name: &str, kind: BackendKind) -> KnownBackend {
    let dialects = kind.dialects().to_vec();
    KnownBackend { id, name: name.to_owned(), kind, dialects, takes_callers_key: false }
}

impl Scene {
    /// A frontend that is listening.
    pub(crate) async fn open() -> Self {
        Self::with(limits(), true).await
    }

    /// The same, within `limits`, and open to everybody unless `keys`.
    pub(crate) async fn with(limits: ClientLimits, keys: bool) -> Self {
        Self::begun(|scene| scene.spec(limits, keys)).await
    }

    /// The same, with signs of life for streaming clients that wait, so many milliseconds apart.
    pub(crate) async fn beating(heartbeat_ms: u64) -> Self {
        Self::begun(|scene| FrontendSpec { heartbeat_ms, ..scene.spec(limits(), true) }).await
    }

    pub(crate) async fn begun(spec: impl FnOnce(&Self) -> FrontendSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let seat = FrontendId { seat: 0, generation: 1 };
        let mut frontend = JoinSet::new();
        frontend.spawn(frontend::attach(seat, Secret::new(SECRET), near, pending()));
        assert_eq!(link::welcome(&mut far).await.unwrap(), Role::Frontend);
        let (supervisor, inbox, carrier) = link::open(far);
        let mut writer = JoinSet::new();
        writer.spawn(carrier.run());
        let address = "127.0.0.1:0".parse().unwrap();
        let run_dir = RunDir::at(dir.path());
        let mut scene = Self { address, supervisor, inbox, frontend, writer, run_dir, _dir: dir };
        let FromFrontend::Hello(hello) = scene.hears().await else { panic!("the first message is a hello") };
        assert_eq!(hello.secret.expose(), SECRET);
        let spec = Box::new(spec(&scene));
        scene.say(&ToFrontend::Spec(spec));
        scene.say(&ToFrontend::Directory(Box::new(directory())));
        let FromFrontend::Listening(address) = scene.hears().await else { panic!("then it listens") };
        scene.address = address;
        scene
    }

    pub(crate) fn spec(&self, limits: ClientLimits, keys: bool) -> FrontendSpec {
        let pepper = Pepper::new([9; 32]);
        let key = ClientKey { id: KeyId(7), name: "ann".to_owned(), digest: pepper.digest(KEY) };
        FrontendSpec {
            listen: Listen::Bind { address: self.address, shared: true },
            run_dir: self.run_dir.path().to_owned(),
            access: Access {
                pepper,
                keys: if keys { vec![key] } else { Vec::new() },
                admin: Some(pepper.digest(ADMIN)),
            },
            limits,
            backends: vec![backend(WORKER.backend, "big", BackendKind::OpenAi)],
            native_prefixes: false,
            heartbeat_ms: 0,
        }
    }

    /// The supervisor says something.
    pub(crate) fn say(&self, message: &ToFrontend) {
        self.supervisor.send(message).unwrap();
    }

    /// The next thing the supervisor hears.
    pub(crate) async fn hears(&mut self) -> FromFrontend {
        let heard = soon("a message to the supervisor", self.inbox.recv()).await;
        heard.unwrap().expect("the frontend is there")
    }

    pub(crate) async fn admitted(&mut self) -> Admission {
        match self.hears().await {
            FromFrontend::Admit(admission) => *admission,
            other => panic!("an admission was due, not {other:?}"),
        }
    }

    pub(crate) async fn closed(&mut self, request: RequestId) -> Outcome {
        match self.hears().await {
            FromFrontend::Closed { request: closed, outcome } if closed == request => outcome,
            other => panic!("the end of {request} was due, not {other:?}"),
        }
    }

    /// The client leaves, which the supervisor hears.
    pub(crate) async fn left(&mut self, client: Client) {
        drop(client);
        self.hears().await;
    }

    /// Grants the `attempt`-th attempt of `request`.
    pub(crate) fn grant(&self, request: RequestId, attempt: u32) {
        self.grant_at(WORKER, request, attempt);
    }

    /// The same, with this worker.
    pub(crate) fn grant_at(&self, worker: WorkerId, request: RequestId, attempt: u32) {
        let grant = Grant {
            grant: GrantId(100 + u64::from(attempt)),
            request,
            worker,
            model: None,
            load: dialect::load::LoadEdit::Keep,
            ttl_ms: 5000,
            attempt,
        };
        self.say(&ToFrontend::Granted(Box::new(grant)));
    }

    pub(crate) fn reject(&self, request: RequestId, failure: Failure) {
        self.say(&ToFrontend::Rejected { request, failure, waiting: None });
    }

    /// A worker that listens.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_at(WORKER)
    }

    /// The same, in this seat.
    pub(crate) fn worker_at(&self, worker: WorkerId) -> Worker {
        Worker(local::bind(&self.run_dir.worker_socket(worker)).unwrap())
    }

    /// A client's new connection.
    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client that has sent this request to the chat endpoint, which has been admitted.
    pub(crate) async fn chatting(&mut self, body: &str) -> (Client, RequestId) {
        self.asking("/v1/chat/completions", body).await
    }

    /// A client that has sent this request, which has been admitted.
    pub(crate) async fn asking(&mut self, path: &str, body: &str) -> (Client, RequestId) {
        let mut client = self.client().await;
        client.post(path, body).await;
        let admission = self.admitted().await;
        (client, admission.request)
    }

    /// The supervisor goes away: its end of the link closes.
    pub(crate) fn leave(self) -> JoinSet<Result<(), FrontendError>> {
        self.supervisor.close();
        drop(self.writer);
        drop(self.inbox);
        self.frontend
    }

    /// The frontend's own end.
    pub(crate) async fn ends(mut frontend: JoinSet<Result<(), FrontendError>>) {
        let ended = soon("the frontend's end", frontend.join_next()).await;
        ended.expect("one task").expect("no panic").expect("a clean end");
    }
}

/// A scripted worker.
pub(crate) struct Worker(Listener);

impl Worker {
    /// The next connection of the frontend, up to and with its hello.
    pub(crate) async fn visited(&self) -> Visit {
        let mut stream = soon("a connection to the worker", local::accept(&self.0)).await.unwrap();
        assert_eq!(link::welcome(&mut stream).await.unwrap(), Role::Data);
        let mut visit = Visit(FrameReader::new(stream, DATA_LIMIT));
        let Some(Ask::Hello(secret)) = visit.asked().await else { panic!("a hello comes first") };
        assert_eq!(secret.expose(), SECRET);
        visit
    }
}

/// A connection of the frontend to the worker.
pub(crate) struct Visit(FrameReader<Stream>);

impl Visit {
    /// The next frame; `None` when the frontend closed.
    pub(crate) async fn asked(&mut self) -> Option<Ask> {
        let frame = soon("a frame to the worker", self.0.next()).await;
        frame.ok().flatten().map(|payload| Ask::take(payload).unwrap())
    }

    /// A whole request.
    pub(crate) async fn request(&mut self) -> (Open, Bytes) {
        let Some(Ask::Open(open)) = self.asked().await else { panic!("an attempt was due") };
        let mut body = BytesMut::new();
        loop {
            match self.asked().await {
                Some(Ask::Body(piece)) => body.extend_from_slice(&piece),
                Some(Ask::BodyEnd) => return (*open, body.freeze()),
                other => panic!("the body was due, not {other:?}"),
            }
        }
    }

    /// Answers, in one write.
    pub(crate) async fn answer(&mut self, answers: &[Answer]) {
        let mut buffer = BytesMut::new();
        for answer in answers {
            answer.put(&mut buffer).unwrap();
        }
        self.0.get_mut().write_all(&buffer).await.unwrap();
    }

    /// Sends chunks until the frontend is gone.
    pub(crate) async fn flood(&mut self) {
        let mut buffer = BytesMut::new();
        Answer::Chunk(Bytes::from(vec![b'x'; 60_000])).put(&mut buffer).unwrap();
        while self.0.get_mut().write_all(&buffer).await.is_ok() {}
    }
}

pub(crate) fn head(status: u16) -> Answer {
    let header = |name: &str, value: &str| Header { name: name.into(), value: Bytes::from(value.to_owned()) };
    Answer::Head(Box::new(Head {
        status,
        headers: vec![
            header("content-type", "application/json"),
            header("x-backend", "yes"),
            header("x-request-id", "the-backends-own"),
        ],
        body_bytes: None,
        events: false,
    }))
}

pub(crate) fn sized_head(status: u16, length: u64) -> Answer {
    let Answer::Head(mut head) = head(status) else { unreachable!("a head") };
    head.body_bytes = Some(length);
    Answer::Head(head)
}

pub(crate) fn event_head() -> Answer {
    let headers = vec![Header { name: "content-type".into(), value: "text/event-stream".into() }];
    Answer::Head(Box::new(Head { status: 200, headers, body_bytes: None, events: true }))
}

pub(crate) fn chunk(text: &str) -> Answer {
    Answer::Chunk(Bytes::from(text.to_owned()))
}

pub(crate) fn end() -> Answer {
    Answer::End(End::default())
}

pub(crate) fn fail(kind: FailureKind) -> Answer {
    Answer::Fail(Box::new(Failure::new(kind, "the detail is http://10.1.2.3")))
}

/// A client's connection.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a whole request with the right key, the last one of this connection.
    pub(crate) async fn post(&mut self, path: &str, body: &str) {
        self.post_with(path, &format!("authorization: Bearer {KEY}\r\nconnection: close\r\n"), body).await;
    }

    /// Sends a whole request with these header lines.
    pub(crate) async fn post_with(&mut self, path: &str, lines: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// Sends a request without a body, with the right key, the last one of this connection.
    pub(crate) async fn get(&mut self, line: &str) {
        let lines = format!("authorization: Bearer {KEY}\r\nconnection: close\r\n");
        self.send(format!("{line} HTTP/1.1\r\nhost: x\r\n{lines}\r\n")).await;
    }

    /// Everything up to and with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&seen);
            if text.contains(end) {
                return text.into_owned();
            }
            let read = soon(end, self.0.read_buf(&mut seen)).await.unwrap_or(0);
            assert_ne!(read, 0, "{end} was due after {}", String::from_utf8_lossy(&seen));
        }
    }

    /// The response, which is the last one of this connection.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut all = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = soon("the end of the response", self.0.read_to_end(&mut all)).await;
        Reply::of(&String::from_utf8(all).unwrap())
    }

    /// Returns when the frontend closed the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = soon("the end of the connection", self.0.read_to_end(&mut rest)).await;
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(header).collect();
        let reply = Self { status: status.unwrap(), headers, body: body.to_owned() };
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        if chunked { Self { body: dechunked(body), ..reply } } else { reply }
    }

    /// The header, which is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

fn dechunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    body.push_str("<cut>");
    body
}

/// A body that asks for `m`.
pub(crate) const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
/// The same, streamed.
pub(crate) const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// `value`, which has to be there.
pub(crate) fn some<T: Debug>(value: Option<T>) -> T {
    value.expect("it is there")
}
