//! The three neighbours of a worker, as scripts.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dialect::{Endpoint, Framing};
use ipc_proto::Role;
use ipc_proto::control::{Ending, Finished, FromWorker, ProbeReport, ToWorker};
use ipc_proto::failure::Failure;
use ipc_proto::frame::{DATA_LIMIT, FrameReader};
use ipc_proto::ids::{BackendId, GrantId, Label, ModelName, RequestId, WorkerId};
use ipc_proto::link::{self, Inbox, Outbox};
use ipc_proto::local::{self, RunDir};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Compat, ProbeSpec, Timeouts, WorkerSpec};
use ipc_proto::stream::{Answer, Ask, Head, Header, Open};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use worker::{WorkerError, WorkerOptions};

/// Longer than anything here takes on the slowest machine: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// `what`, which must come.
pub(crate) async fn must<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("it never came: {what}"))
}

pub(crate) fn spec(kind: BackendKind, base_url: &str) -> WorkerSpec {
    WorkerSpec {
        name: "under-test".to_owned(),
        kind,
        base_url: base_url.to_owned(),
        credential: None,
        run_dir: std::path::PathBuf::new(),
        timeouts: Timeouts { connect_ms: 10_000, first_event_ms: 0, idle_ms: 0, total_ms: 0 },
        probe: ProbeSpec { interval_ms: 0, timeout_ms: 20_000 },
        ask_for_usage: false,
        takes_callers_key: false,
        dialects: kind.dialects().to_vec(),
        compat: Compat::default(),
        fake: None,
    }
}

/// The supervisor's side of a worker.
pub(crate) struct Supervisor {
    dir: tempfile::TempDir,
    out: Outbox<ToWorker>,
    inbox: Inbox<FromWorker, DuplexStream>,
    writers: JoinSet<()>,
    pub(crate) worker: JoinSet<Result<(), WorkerError>>,
    pub(crate) lifeline: Option<oneshot::Sender<()>>,
}

const WORKER: WorkerId = WorkerId { backend: BackendId(3), generation: 2 };

impl Supervisor {
    /// Starts a worker with `spec`, up to its `Ready`.
    pub(crate) async fn start(spec: WorkerSpec) -> Self {
        let mut supervisor = Self::greet().await;
        supervisor.say(&ToWorker::Spec(Box::new(spec)));
        assert_eq!(supervisor.next().await, FromWorker::Ready);
        supervisor
    }

    /// Starts a worker, up to its `Hello`.
    pub(crate) async fn greet() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let options = WorkerOptions { worker: WORKER, run_dir: RunDir::at(dir.path()) };
        let (lifeline, cut) = oneshot::channel();
        let mut worker = JoinSet::new();
        worker.spawn(worker::serve(options, Secret::new("boot"), near, async move {
            let _ = cut.await;
        }));
        assert_eq!(must("the greeting", link::welcome(&mut far)).await.unwrap(), Role::Worker);
        let (out, inbox, writer) = link::open(far);
        let mut writers = JoinSet::new();
        writers.spawn(async move {
            let _ = writer.run().await;
        });
        let mut supervisor = Self { dir, out, inbox, writers, worker, lifeline: Some(lifeline) };
        let FromWorker::Hello(hello) = supervisor.next().await else { panic!("no hello") };
        assert_eq!((hello.worker, hello.secret), (WORKER, Secret::new("boot")));
        supervisor
    }

    pub(crate) fn say(&self, message: &ToWorker) {
        self.out.send(message).unwrap();
    }

    /// Closes the link, as a supervisor does that dies.
    pub(crate) async fn hang_up(mut self) -> JoinSet<Result<(), WorkerError>> {
        self.writers.shutdown().await;
        self.worker
    }

    pub(crate) async fn next(&mut self) -> FromWorker {
        must("a report", self.inbox.recv()).await.unwrap().expect("the worker closed the link")
    }

    pub(crate) async fn probed(&mut self) -> ProbeReport {
        loop {
            if let FromWorker::Probed(report) = self.next().await {
                return *report;
            }
        }
    }

    /// The next end of an attempt, passing over what comes before.
    pub(crate) async fn finished(&mut self) -> Finished {
        loop {
            if let FromWorker::Finished(finished) = self.next().await {
                return *finished;
            }
        }
    }

    pub(crate) async fn ending(&mut self) -> Ending {
        self.finished().await.ending
    }

    /// A frontend's connection to the worker.
    pub(crate) async fn frontend(&self) -> Frontend {
        let path = RunDir::at(self.dir.path()).worker_socket(WORKER);
        let mut stream = local::connect(&path).await.unwrap();
        must("the data greeting", link::greet(&mut stream, Role::Data)).await.unwrap();
        let mut frontend = Frontend { frames: FrameReader::new(stream, DATA_LIMIT) };
        frontend.ask(&[Ask::Hello(Secret::new("boot"))]).await;
        frontend
    }
}

/// A frontend's connection.
pub(crate) struct Frontend {
    frames: FrameReader<local::Stream>,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Option<Head>,
    pub(crate) body: Vec<u8>,
    pub(crate) failure: Option<Failure>,
}

impl Answered {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = &self.head.as_ref().expect("there is a head").headers;
        let header = headers.iter().find(|header| &*header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    }
}

/// One of a client's headers.
pub(crate) fn header(name: &str, value: &'static str) -> Header {
    Header { name: name.into(), value: Bytes::from_static(value.as_bytes()) }
}

pub(crate) fn open(grant: u64, endpoint: Endpoint, stream: bool, body: &[u8]) -> Open {
    Open {
        grant: GrantId(grant),
        request: RequestId(u128::from(grant)),
        label: Label::from_client("label-1").unwrap(),
        endpoint,
        stream,
        model: ModelName::new("m"),
        renamed: false,
        framing: Framing::of(endpoint, None),
        native: None,
        lent: false,
        load: dialect::load::LoadEdit::Keep,
        query: None,
        headers: Vec::new(),
        body_bytes: body.len() as u64,
    }
}

impl Frontend {
    pub(crate) async fn ask(&mut self, asks: &[Ask]) {
        let mut buffer = BytesMut::new();
        for ask in asks {
            ask.put(&mut buffer).unwrap();
        }
        must("the frames to be taken", self.frames.get_mut().write_all(&buffer)).await.unwrap();
    }

    /// Sends an attempt.
    pub(crate) async fn send(&mut self, open: Open, body: &[u8]) {
        let body = Ask::Body(Bytes::copy_from_slice(body));
        self.ask(&[Ask::Open(Box::new(open)), body, Ask::BodyEnd]).await;
    }

    /// Sends a chat request that wants a stream, under `grant`.
    pub(crate) async fn chat_stream(&mut self, grant: u64) {
        let body = br#"{"model":"m","stream":true}"#;
        self.send(open(grant, Endpoint::ChatCompletions, true, body), body).await;
    }

    /// Sends a chat request that wants no stream, under `grant`.
    pub(crate) async fn chat(&mut self, grant: u64) {
        let body = br#"{"model":"m"}"#;
        self.send(open(grant, Endpoint::ChatCompletions, false, body), body).await;
    }

    /// The next frame, or `None` when the worker closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        let frame = must("a frame", self.frames.next()).await.ok().flatten()?;
        Some(Answer::take(frame).unwrap())
    }

    /// The answer, up to its end.
    pub(crate) async fn answer(&mut self) -> Answered {
        let mut answered = Answered { head: None, body: Vec::new(), failure: None };
        loop {
            match self.next().await.expect("the end of an answer is said") {
                Answer::Head(head) => assert!(answered.head.replace(*head).is_none(), "two heads"),
                Answer::Chunk(bytes) => answered.body.extend_from_slice(&bytes),
                Answer::End(_) => return answered,
                Answer::Fail(failure) => {
                    answered.failure = Some(*failure);
                    return answered;
                }
            }
        }
    }

    /// The answer, which must be a failure before anything was shown.
    pub(crate) async fn failure(&mut self) -> Failure {
        let answered = self.answer().await;
        assert!(answered.head.is_none(), "a head came before {:?}", answered.failure);
        answered.failure.expect("it failed")
    }
}

/// A backend.
pub(crate) struct Backend {
    listener: TcpListener,
    pub(crate) url: String,
}

/// One request to the backend.
pub(crate) struct Exchange {
    stream: TcpStream,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next connection and the request on it.
    pub(crate) async fn exchange(&self) -> Exchange {
        let (stream, _) = must("a connection to the backend", self.listener.accept()).await.unwrap();
        let mut exchange = Exchange { stream, head: String::new(), body: Vec::new() };
        exchange.next_request().await;
        exchange
    }

    /// Answers one probe with `json`; returns its request line.
    pub(crate) async fn list(&self, json: &str) -> String {
        let mut exchange = self.exchange().await;
        exchange.json(200, json).await;
        exchange.head.lines().next().unwrap().to_owned()
    }

    /// A worker for this backend whose first probe is over.
    pub(crate) async fn worker(&self, edit: impl FnOnce(&mut WorkerSpec)) -> Supervisor {
        let mut spec = spec(BackendKind::OpenAi, &self.url);
        edit(&mut spec);
        let mut supervisor = Supervisor::start(spec).await;
        self.list(r#"{"data":[]}"#).await;
        supervisor.probed().await;
        supervisor
    }
}

impl Exchange {
    /// Reads the next request on this connection.
    pub(crate) async fn next_request(&mut self) {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let read = must("a request", self.stream.read_buf(&mut bytes)).await.unwrap();
            assert!(read > 0, "the connection closed before a request");
        };
        self.head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        self.body = bytes.split_off(head_end);
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.body.len() < length {
            must("the request's body", self.stream.read_buf(&mut self.body)).await.unwrap();
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (this, value) = line.split_once(':')?;
            this.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        must("the bytes to be taken", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The method and the path.
    pub(crate) fn asked_for(&self) -> &str {
        self.head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap()
    }

    /// A whole answer, after which the connection closes.
    pub(crate) async fn answer(&mut self, status: u16, headers: &str, body: &[u8]) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await;
        self.write(body).await;
    }

    pub(crate) async fn json(&mut self, status: u16, body: &str) {
        self.answer(status, "content-type: application/json\r\n", body.as_bytes()).await;
    }

    /// The head of a stream whose end is the connection's.
    pub(crate) async fn begin_stream(&mut self) {
        self.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await;
    }

    /// Closes the connection in good order.
    pub(crate) async fn close(mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Returns when the worker has closed the connection.
    pub(crate) async fn closed_by_worker(mut self) {
        let mut rest = Vec::new();
        // Closing with bytes unread is a reset: that is closing, too.
        let _ = must("the worker to close the connection", self.stream.read_to_end(&mut rest)).await;
    }
}

/// One chat chunk.
pub(crate) fn chunk(text: &str) -> String {
    format!(
        "data: {{\"object\":\"chat.completion.chunk\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";
