//! A whole supervisor, with its socket, its database and real processes as children; the test plays the children's
//! and the operator's side of the links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;

use dialect::{Endpoint, Usage};
use ipc_proto::Role;
use ipc_proto::control::{
    Admission, Ending, Finished, FromFrontend, FromWorker, FrontendHello, OfferedModel, Outcome, ProbeReport,
    ToFrontend, ToWorker, WorkerHello,
};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use ipc_proto::link::{self, Inbox, Outbox};
use ipc_proto::local::Stream;
use ipc_proto::operator::{
    Call, Command, HistoryQuery, Refusal, Reply, RequestRecord, RequestState, Response, Snapshot, ToOperator,
};
use ipc_proto::spec::{FrontendSpec, Listen};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::config::Overrides;

mod answers;
mod watching;

const CONFIG: &str = "
proxy: { host: 127.0.0.1, port: 0, frontends: 1, shutdown_grace_seconds: 20 }
storage: { database_path: DATABASE }
backends:
  - { name: desk, type: fake, fake: { models: [small], load_seconds: 0 } }
";
const SECRET: &str = "00112233445566778899aabbccddeeff";
const FRONTEND: FrontendId = FrontendId { seat: 0, generation: 1 };

/// One end of a link, as a child or an operator has it.
struct End<Tx, Rx> {
    outbox: Outbox<Tx>,
    inbox: Inbox<Rx, Stream>,
    /// Carries what is said for as long as this end lives.
    _writing: JoinSet<()>,
    seen: VecDeque<Rx>,
}

impl<Tx: Serialize, Rx: DeserializeOwned + std::fmt::Debug> End<Tx, Rx> {
    /// Connects, as soon as somebody listens.
    async fn connect(run_dir: &RunDir, role: Role) -> Self {
        let mut stream = loop {
            match local::connect(&run_dir.supervisor_socket()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        link::greet(&mut stream, role).await.unwrap();
        let (outbox, inbox, writer) = link::open(stream);
        let mut writing = JoinSet::new();
        writing.spawn(async move { drop(writer.run().await) });
        Self { outbox, inbox, _writing: writing, seen: VecDeque::new() }
    }

    fn say(&self, message: Tx) {
        self.outbox.send(&message).unwrap();
    }

    /// Reads until `pick` finds what it looks for; what it does not take is passed over.
    async fn hear<T>(&mut self, pick: impl Fn(&Rx) -> Option<T>) -> T {
        loop {
            let message = match self.seen.pop_front() {
                Some(message) => message,
                None => self.inbox.recv().await.unwrap().expect("the link is open"),
            };
            if let Some(found) = pick(&message) {
                return found;
            }
        }
    }
}

type Frontend = End<FromFrontend, ToFrontend>;
type Worker = End<FromWorker, ToWorker>;
type Operator = End<Call, ToOperator>;

async fn frontend(run_dir: &RunDir, secret: &str, frontend: FrontendId) -> Frontend {
    let end = End::connect(run_dir, Role::Frontend).await;
    let secret = Secret::new(secret);
    end.say(FromFrontend::Hello(FrontendHello { secret, frontend, pid: 1, waiting: Vec::new() }));
    end
}

/// A worker of the only backend that is welcome, ready and has had a look at its model.
async fn worker(run_dir: &RunDir, generation: u32) -> Worker {
    let worker = WorkerId { backend: only_backend(run_dir), generation };
    loop {
        let mut end: Worker = End::connect(run_dir, Role::Worker).await;
        let secret = Secret::new(SECRET);
        end.say(FromWorker::Hello(WorkerHello { secret, worker, pid: 2, running: Vec::new() }));
        let answer = end.hear(|message| match message {
            ToWorker::Spec(spec) => Some(Ok(spec.clone())),
            ToWorker::Refused(reason) => Some(Err(reason.clone())),
            _ => None,
        });
        // A later generation is not expected before the one before it is gone.
        let Ok(spec) = answer.await else { continue };
        assert_eq!(spec.name, "desk");
        end.say(FromWorker::Ready);
        let small = OfferedModel { id: ModelName::new("small"), created: None, owned_by: None };
        let report =
            ProbeReport { models: Ok(vec![small]), loaded: None, slots: None, max_models: None, took_us: 1 };
        end.say(FromWorker::Probed(Box::new(report)));
        return end;
    }
}

async fn ask(operator: &mut Operator, id: u32, command: Command) -> Result<Reply, Refusal> {
    operator.say(Call { id, command });
    operator
        .hear(|told| match told {
            ToOperator::Answer(Response { id: of, reply }) if *of == id => Some(reply.clone()),
            _ => None,
        })
        .await
}

async fn snapshot(operator: &mut Operator) -> Snapshot {
    match ask(operator, 1, Command::Snapshot).await {
        Ok(Reply::Snapshot(snapshot)) => *snapshot,
        other => panic!("{other:?}"),
    }
}

async fn history(operator: &mut Operator) -> Vec<RequestRecord> {
    match ask(operator, 2, Command::History(HistoryQuery::default())).await {
        Ok(Reply::History(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn admission(request: RequestId) -> FromFrontend {
    FromFrontend::Admit(Box::new(Admission {
        request,
        label: Label::of(request),
        endpoint: Endpoint::ChatCompletions,
        model: ModelName::new("small"),
        key: KeyId::ANONYMOUS,
        stream: false,
        body_bytes: 10,
        max_output_tokens: None,
        affinity: 0,
        deadline_ms: None,
        waited_ms: 0,
        class: None,
        load: dialect::load::LoadOptions::default(),
        under: None,
        only: None,
    }))
}

fn finished(grant: GrantId) -> FromWorker {
    let usage = Usage { input_tokens: Some(3), output_tokens: Some(4), ..Usage::default() };
    FromWorker::Finished(Box::new(Finished {
        grant,
        ending: Ending::Complete,
        usage,
        upstream_status: Some(200),
        first_byte_us: Some(5),
        total_us: 6,
        bytes_received: 7,
        warnings: String::new(),
    }))
}

fn closed(request: RequestId) -> FromFrontend {
    let outcome = Outcome { status: 200, failure: None, first_byte_us: Some(8), total_us: 9, bytes_sent: 10 };
    FromFrontend::Closed { request, outcome }
}

fn options(folder: &Path, announced: Arc<std::sync::Mutex<Vec<SocketAddr>>>) -> RunOptions {
    let path = folder.join("config.yaml");
    let database = folder.join("history.db");
    std::fs::write(&path, CONFIG.replace("DATABASE", database.to_str().unwrap())).unwrap();
    let config = config::load(&path, &Overrides::default()).unwrap();
    let announce = Box::new(move |address| announced.lock().unwrap().push(address));
    RunOptions {
        config,
        run_dir: run_dir(folder),
        log_level: String::new(),
        log_format: String::new(),
        announce,
    }
}

fn run_dir(folder: &Path) -> RunDir {
    RunDir::at(folder.join("run"))
}

fn only_backend(run_dir: &RunDir) -> BackendId {
    let path = run_dir.path().with_file_name("config.yaml");
    let catalog = config::load(&path, &Overrides::default()).unwrap().config.catalog();
    *catalog.backends.keys().next().unwrap()
}

/// Runs a supervisor, with children that do nothing, beside `script`, which must stop it.
async fn with_instance(script: impl AsyncFnOnce(RunDir, Arc<std::sync::Mutex<Vec<SocketAddr>>>)) {
    with_instance_in(tempfile::tempdir().unwrap().path(), script).await;
}

/// The same with its files in `folder`.
async fn with_instance_in(
    folder: &Path,
    script: impl AsyncFnOnce(RunDir, Arc<std::sync::Mutex<Vec<SocketAddr>>>),
) {
    let announced = Arc::default();
    let before = ["-c", "exec cat", "sh"].map(OsString::from).to_vec();
    let program = Program { path: "/bin/sh".into(), before, after: Vec::new() };
    let running = run_with(options(folder, Arc::clone(&announced)), program, Secret::new(SECRET));
    let (ended, ()) = tokio::join!(running, script(run_dir(folder), announced));
    ended.unwrap();
    let left = std::fs::read_dir(folder.join("run")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["lock"], "the sockets are gone");
}

/// Takes part in an orderly end.
async fn stop(operator: &mut Operator, frontend: &mut Frontend, worker: &mut Worker) {
    assert!(matches!(ask(operator, 3, Command::Stop).await, Ok(Reply::Done(_))));
    frontend.hear(|message| matches!(message, ToFrontend::Drain { .. }).then_some(())).await;
    frontend.say(FromFrontend::Drained);
    worker.hear(|message| matches!(message, ToWorker::Drain { .. }).then_some(())).await;
    worker.say(FromWorker::Drained);
}

/// A frontend that has its spec and directory and listens.
async fn serving_frontend(run_dir: &RunDir) -> Frontend {
    let mut frontend = frontend(run_dir, SECRET, FRONTEND).await;
    let spec: FrontendSpec = frontend
        .hear(|message| match message {
            ToFrontend::Spec(spec) => Some((**spec).clone()),
            _ => None,
        })
        .await;
    frontend.hear(|message| matches!(message, ToFrontend::Directory(_)).then_some(())).await;
    let Listen::Bind { address, shared } = spec.listen;
    assert!(address.port() != 0 && shared, "the port is known and held");
    frontend.say(FromFrontend::Listening(address));
    frontend
}

/// The grant of `request`, when it comes.
async fn granted(frontend: &mut Frontend, request: RequestId) -> GrantId {
    let granted = frontend.hear(|message| match message {
        ToFrontend::Granted(grant) if grant.request == request => Some(grant.grant),
        _ => None,
    });
    granted.await
}

#[tokio::test]
async fn a_request_goes_through_and_becomes_one_row() {
    with_instance(async |run_dir, announced| {
        let mut worker = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        let request = RequestId::mint();
        frontend.say(admission(request));
        let grant = granted(&mut frontend, request).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        let live = snapshot(&mut operator).await;
        assert_eq!((live.live, live.requests[0].state), (1, RequestState::Running));
        assert_eq!(live.instance.address, announced.lock().unwrap()[0].to_string());
        assert_eq!(history(&mut operator).await[0].state, RequestState::Running, "and it is in the history");

        worker.say(finished(grant));
        frontend.say(closed(request));
        while snapshot(&mut operator).await.live > 0 {}
        let rows = history(&mut operator).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].state, rows[0].output_tokens), (RequestState::Completed, Some(4)));

        let refusal =
            ask(&mut operator, 4, Command::Drain { backend: "cellar".to_owned() }).await.unwrap_err();
        assert!(refusal.hint.contains("desk"), "{refusal:?}");
        stop(&mut operator, &mut frontend, &mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn a_stranger_and_an_unexpected_child_are_refused() {
    with_instance(async |run_dir, _| {
        let refused = |message: &ToFrontend| match message {
            ToFrontend::Refused(reason) => Some(reason.clone()),
            _ => None,
        };
        let mut stranger = frontend(&run_dir, "00112233445566778899aabbccddeef0", FRONTEND).await;
        stranger.hear(refused).await;
        assert!(stranger.inbox.recv().await.unwrap().is_none(), "then the link is closed");
        let unknown = FrontendId { seat: 7, ..FRONTEND };
        frontend(&run_dir, SECRET, unknown).await.hear(refused).await;

        let mut worker = worker(&run_dir, 1).await;
        let mut first = serving_frontend(&run_dir).await;
        let reason = frontend(&run_dir, SECRET, FRONTEND).await.hear(refused).await;
        assert!(reason.contains("already"), "{reason}");
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        stop(&mut operator, &mut first, &mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn a_child_whose_link_ends_is_replaced() {
    with_instance(async |run_dir, _| {
        let first = worker(&run_dir, 1).await;
        let mut frontend = serving_frontend(&run_dir).await;
        drop(first);
        // Its process, which does not end by itself, is ended; then the next one is expected.
        let mut second = worker(&run_dir, 2).await;
        let mut operator: Operator = End::connect(&run_dir, Role::Operator).await;
        let backend = snapshot(&mut operator).await.backends.remove(0);
        assert_eq!((backend.generation, backend.worker_pid), (2, Some(2)));
        stop(&mut operator, &mut frontend, &mut second).await;
    })
    .await;
}
