//! A backend that does what its script says, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Body, Head, read_head};
use super::script::{Gate, Script, Step};
use super::wait::{wait_until, work};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method, path and headers.
    pub(crate) head: Head,
    /// The body, byte for byte.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The path with its query.
    pub(crate) fn path(&self) -> &str {
        self.head.word(1)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The model asked for.
    pub(crate) fn model(&self) -> String {
        self.json()["model"].as_str().unwrap_or_default().to_owned()
    }
}

/// What answers a request in place of a script; it may take its time.
type Brain = dyn Fn(&Seen) -> Option<Script> + Send + Sync;

#[derive(Default)]
struct State {
    brain: Option<Arc<Brain>>,
    next: VecDeque<Script>,
    always: Option<Script>,
    pages: BTreeMap<String, Script>,
    seen: Vec<Seen>,
    probes: Vec<Seen>,
    connections: Vec<TcpStream>,
    running: usize,
    most: usize,
    left: usize,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// The scripted backend. It answers every request with a plain good answer unless a script says otherwise.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts one that lists these models.
    pub(crate) fn start(models: &[&str]) -> Self {
        let mut upstream =
            Self { address: ([127, 0, 0, 1], 0).into(), shared: Arc::default(), listening: None };
        upstream.page("/v1/models", Script::json(&models_page(models)));
        upstream.listen();
        upstream
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this with the next inference request that has no script yet.
    pub(crate) fn next(&self, script: Script) {
        self.shared.state().next.push_back(script);
    }

    /// Does this with every inference request that has no script of its own.
    pub(crate) fn always(&self, script: Script) {
        self.shared.state().always = Some(script);
    }

    /// Does what `brain` says with every request, probes included, for which it has an answer.
    pub(crate) fn think(&self, brain: impl Fn(&Seen) -> Option<Script> + Send + Sync + 'static) {
        self.shared.state().brain = Some(Arc::new(brain));
    }

    /// Does this with every GET of `path`.
    pub(crate) fn page(&self, path: &str, script: Script) {
        self.shared.state().pages.insert(path.to_owned(), script);
    }

    /// The inference requests so far, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many inference requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.state().seen.len()
    }

    /// The models asked for so far, in order.
    pub(crate) fn models_asked(&self) -> Vec<String> {
        self.seen().iter().map(Seen::model).collect()
    }

    /// The probes so far: everything that is no inference.
    pub(crate) fn probes(&self) -> Vec<Seen> {
        self.shared.state().probes.clone()
    }

    /// How many inference requests are being answered.
    pub(crate) fn running(&self) -> usize {
        self.shared.state().running
    }

    /// The most that were ever answered at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.state().most
    }

    /// How often the other side left while it was being answered.
    pub(crate) fn left(&self) -> usize {
        self.shared.state().left
    }

    /// Returns when so many inference requests have come.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        wait_until(&format!("the upstream has seen {count} requests"), || self.count() >= count);
    }

    /// Stops listening and cuts every connection: whoever comes now is refused.
    pub(crate) fn die(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            for connection in state.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.listening.take() {
            // Wakes the thread, which then drops the listener.
            let _ = TcpStream::connect(self.address);
            let _ = thread.join();
        }
    }

    /// Listens again where it did before.
    pub(crate) fn revive(&mut self) {
        self.shared.state().closing = false;
        self.listen();
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("a port is free");
        self.address = listener.local_addr().unwrap();
        let shared = Arc::clone(&self.shared);
        self.listening = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.die();
    }
}

/// The body of a `/v1/models` page.
pub(crate) fn models_page(models: &[&str]) -> String {
    let data: Vec<_> = models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
    json!({ "object": "list", "data": data }).to_string()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        // An answer of two pieces must not wait for a delayed acknowledgement between them.
        connection.set_nodelay(true).unwrap();
        {
            let mut state = shared.state();
            if state.closing {
                return;
            }
            state.connections.push(connection.try_clone().unwrap());
        }
        let shared = Arc::clone(shared);
        // A thread per connection, small, since some tests open a thousand.
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        thread.spawn(move || serve(&connection, &shared)).unwrap();
    }
}

fn serve(connection: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(connection);
    while let Ok(Some(head)) = read_head(&mut reader) {
        let (body, complete) = Body::of_request(&head).read_all(&mut reader);
        if !complete {
            return;
        }
        let seen = Seen { head, body };
        let goes_on = if seen.head.word(0) == "GET" {
            let thought = shared.thought(&seen);
            let script = shared.probed(seen);
            let script = thought.unwrap_or(script);
            perform(&script, connection, shared) == After::GoesOn
        } else {
            let script = shared.asked(seen.clone());
            let script = shared.thought(&seen).unwrap_or(script);
            let after = perform(&script, connection, shared);
            shared.answered(after);
            after == After::GoesOn
        };
        if !goes_on {
            let _ = connection.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Shared {
    fn thought(&self, seen: &Seen) -> Option<Script> {
        let brain = self.state().brain.clone()?;
        brain(seen)
    }

    fn probed(&self, seen: Seen) -> Script {
        let mut state = self.state();
        let path = seen.path().split('?').next().unwrap_or_default().to_owned();
        let exact = state.pages.get(seen.path()).or_else(|| state.pages.get(&path)).cloned();
        state.probes.push(seen);
        exact.unwrap_or_else(|| Script::status(404))
    }

    fn asked(&self, seen: Seen) -> Script {
        let mut state = self.state();
        let script = state.next.pop_front().or_else(|| state.always.clone());
        let script = script.unwrap_or_else(|| good_answer(&seen));
        state.seen.push(seen);
        state.running += 1;
        state.most = state.most.max(state.running);
        script
    }

    fn answered(&self, after: After) {
        let mut state = self.state();
        state.running -= 1;
        if after == After::PeerLeft {
            state.left += 1;
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// How a script ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    GoesOn,
    Closed,
    PeerLeft,
}

fn perform(script: &Script, connection: &TcpStream, shared: &Shared) -> After {
    let is_left = || shared.state().closing || has_left(connection);
    for step in &script.0 {
        match step {
            Step::Write(bytes) => {
                if (&*connection).write_all(bytes).is_err() {
                    return After::PeerLeft;
                }
            }
            Step::Wait(gate) => {
                if !gate.pass(is_left) {
                    return After::PeerLeft;
                }
            }
            Step::Stall => {
                Gate::default().pass(is_left);
                return After::PeerLeft;
            }
            Step::Reset => {
                reset(connection);
                return After::Closed;
            }
            Step::Close => return After::Closed,
            Step::Unless(hold) => {
                if hold.is_lost() {
                    reset(connection);
                    return After::Closed;
                }
            }
            Step::Release(hold) => hold.end(),
            Step::Work(time) => work(*time),
        }
    }
    After::GoesOn
}

/// Whether the other side has closed its end.
fn has_left(connection: &TcpStream) -> bool {
    let timeout = connection.read_timeout().unwrap();
    // A peek that must not wait: one thread reads this connection, and it is the one that asks.
    connection.set_read_timeout(Some(Duration::from_micros(1))).unwrap();
    let peeked = connection.peek(&mut [0]);
    connection.set_read_timeout(timeout).unwrap();
    match peeked {
        Ok(length) => length == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Makes the close that follows a reset.
fn reset(connection: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt::Linger};

    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(connection, Linger, &at_once).unwrap();
}

fn good_answer(seen: &Seen) -> Script {
    let (model, stream) = (seen.model(), seen.json()["stream"] == true);
    match (seen.path().split('?').next().unwrap_or_default(), stream) {
        ("/v1/chat/completions", true) => Script::stream(&chat_events(&model, &["Hel", "lo"])),
        ("/v1/messages", true) => Script::stream(&message_events(&model, &["Hel", "lo"])),
        ("/v1/messages", false) => Script::json(&message_answer(&model)),
        ("/v1/embeddings", _) => Script::json(&embedding_answer(&model)),
        ("/v1/completions", _) => Script::json(&completion_answer(&model)),
        _ => Script::json(&chat_answer(&model)),
    }
}

/// A whole chat completion.
pub(crate) fn chat_answer(model: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Hello" } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 }
    })
    .to_string()
}

/// A whole text completion.
pub(crate) fn completion_answer(model: &str) -> String {
    json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": model,
        "choices": [{ "index": 0, "finish_reason": "stop", "text": "Hello" }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 }
    })
    .to_string()
}

/// A whole answer with one embedding.
pub(crate) fn embedding_answer(model: &str) -> String {
    json!({
        "object": "list", "model": model,
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.5, -0.25] }],
        "usage": { "prompt_tokens": 5, "total_tokens": 5 }
    })
    .to_string()
}

/// A whole Anthropic message.
pub(crate) fn message_answer(model: &str) -> String {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "stop_sequence": null, "content": [{ "type": "text", "text": "Hello" }],
        "usage": { "input_tokens": 5, "output_tokens": 2 }
    })
    .to_string()
}

/// The events of a streamed chat completion that says these words, ends well and tells no usage.
pub(crate) fn chat_events(model: &str, words: &[&str]) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]
        });
        format!("data: {chunk}\n\n")
    };
    let mut events: Vec<_> =
        words.iter().map(|word| chunk(json!({ "content": word }), Value::Null)).collect();
    events.push(chunk(json!({}), json!("stop")));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The events of a streamed Anthropic message that says these words and ends well.
pub(crate) fn message_events(model: &str, words: &[&str]) -> Vec<String> {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": { "input_tokens": 5, "output_tokens": 1 }
    });
    let block = json!({ "type": "text", "text": "" });
    let mut events = vec![
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    ];
    for word in words {
        let delta = json!({ "type": "text_delta", "text": word });
        events.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    }
    let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 2 } }));
    events.push(json!({ "type": "message_stop" }));
    let text =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    events.iter().map(text).collect()
}
