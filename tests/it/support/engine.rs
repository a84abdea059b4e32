//! An upstream with a memory, as careless as engines are: it loads whatever it is asked for, and breaks off the
//! answers of the model that has to leave. It counts loads and broken answers, and tells what it holds as Ollama does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Script, Step};
use super::upstream::{Seen, Upstream, chat_answer, chat_events, embedding_answer};
use super::wait::work;

/// The context of a model that is loaded for a request which names none.
const USUAL_CONTEXT: u64 = 4096;

/// A model in memory, or one that has been.
#[derive(Debug)]
struct Model {
    name: String,
    context: u64,
    /// One for each answer that is made with it.
    holds: Vec<Arc<Hold>>,
}

impl Model {
    fn new(name: &str, context: u64) -> Self {
        Self { name: name.to_owned(), context, holds: Vec::new() }
    }
}

/// The place of one answer in the engine's memory.
#[derive(Default, Debug)]
pub(crate) struct Hold {
    is_over: AtomicBool,
    is_lost: AtomicBool,
}

impl Hold {
    /// Whether the model was taken away before the answer was complete.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst)
    }

    /// The answer is complete: whatever is loaded now breaks nothing.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Memory {
    /// The one used last is the last.
    models: VecDeque<Model>,
    loads: Vec<String>,
    kills: usize,
}

/// How long things take.
#[derive(Clone, Copy, Default)]
struct Pace {
    load: Duration,
    answer: Duration,
}

struct Inside {
    room: usize,
    pace: Mutex<Pace>,
    memory: Mutex<Memory>,
    /// One load at a time.
    loader: Mutex<()>,
}

/// The engine.
pub(crate) struct Engine {
    /// Its face: what came, how much at once.
    pub(crate) upstream: Upstream,
    inside: Arc<Inside>,
}

impl Engine {
    /// One that offers these models, holds one, and takes no time for anything.
    pub(crate) fn start(models: &[&str]) -> Self {
        Self::holding(1, models)
    }

    /// One that holds so many at once.
    pub(crate) fn holding(room: usize, models: &[&str]) -> Self {
        let inside =
            Inside { room, pace: Mutex::default(), memory: Mutex::default(), loader: Mutex::default() };
        let inside = Arc::new(inside);
        let upstream = Upstream::start(models);
        let thinking = Arc::clone(&inside);
        upstream.think(move |seen| thinking.answer(seen));
        Self { upstream, inside }
    }

    /// One that takes so long to load a model and to answer, in milliseconds.
    pub(crate) fn slowly(self, load: u64, answer: u64) -> Self {
        self.pace(load, answer);
        self
    }

    /// Takes so long to load a model and to answer, in milliseconds, from now on.
    pub(crate) fn pace(&self, load: u64, answer: u64) {
        let pace = Pace { load: Duration::from_millis(load), answer: Duration::from_millis(answer) };
        *self.inside.pace.lock().unwrap() = pace;
    }

    /// The models it loaded, in order.
    pub(crate) fn loads(&self) -> Vec<String> {
        self.inside.memory().loads.clone()
    }

    /// How many answers it broke off.
    pub(crate) fn kills(&self) -> usize {
        self.inside.memory().kills
    }

    /// Somebody else has it load this, in place of whatever it holds; none: everything is unloaded.
    pub(crate) fn meddle(&self, models: &[&str]) {
        let models = models.iter().map(|name| Model::new(name, USUAL_CONTEXT)).collect();
        self.inside.memory().models = models;
    }
}

impl Inside {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    fn answer(&self, seen: &Seen) -> Option<Script> {
        match (seen.head.word(0), seen.path()) {
            ("GET", "/api/ps") => Some(Script::json(&self.residents().to_string())),
            ("GET", _) => None,
            _ => Some(self.generate(seen)),
        }
    }

    fn residents(&self) -> Value {
        let memory = self.memory();
        let models = memory
            .models
            .iter()
            .map(|model| json!({ "name": model.name, "model": model.name, "context_length": model.context }));
        json!({ "models": models.collect::<Vec<_>>() })
    }

    fn generate(&self, seen: &Seen) -> Script {
        let body = seen.json();
        let model = seen.model();
        let context = [&body["options"]["num_ctx"], &body["num_ctx"]].into_iter().find_map(Value::as_u64);
        let hold = self.hold(&model, context.unwrap_or(USUAL_CONTEXT));
        let answer = self.pace.lock().unwrap().answer;
        let (unless, release) = (Step::Unless(Arc::clone(&hold)), Step::Release(hold));
        if body["stream"] == true {
            let events = chat_events(&model, &["Hel", "lo"]);
            let first = Script::stream_head().chunk(&events[0]).then(Step::Work(answer));
            return first.then(unless).then(release).chunk(events[1..].concat()).end();
        }
        let text =
            if seen.path() == "/v1/embeddings" { embedding_answer(&model) } else { chat_answer(&model) };
        let whole = Script::json(&text).0;
        let before = [Step::Work(answer), unless, release];
        Script(before.into_iter().chain(whole).collect())
    }

    /// Returns when the model is in memory.
    fn hold(&self, name: &str, context: u64) -> Arc<Hold> {
        let _alone = self.loader.lock().unwrap();
        let is_it = |model: &Model| model.name == name && model.context == context;
        let mut memory = self.memory();
        let place = memory.models.iter().position(is_it);
        let mut model = if let Some(place) = place {
            memory.models.remove(place).expect("it was there")
        } else {
            // Another context of the same model is another model in its place.
            if let Some(other) = memory.models.iter().position(|model| model.name == name) {
                memory.unload(other);
            }
            while memory.models.len() >= self.room {
                memory.unload(0);
            }
            drop(memory);
            let load = self.pace.lock().unwrap().load;
            work(load);
            memory = self.memory();
            memory.loads.push(name.to_owned());
            Model::new(name, context)
        };
        let hold = Arc::new(Hold::default());
        model.holds.retain(|hold| !hold.is_over.load(Ordering::SeqCst) && Arc::strong_count(hold) > 1);
        model.holds.push(Arc::clone(&hold));
        memory.models.push_back(model);
        hold
    }
}

impl Memory {
    fn unload(&mut self, place: usize) {
        let model = self.models.remove(place).expect("it was there");
        for hold in model.holds {
            // Whoever has left, or has the whole answer, loses nothing.
            if Arc::strong_count(&hold) > 1 && !hold.is_over.load(Ordering::SeqCst) {
                hold.is_lost.store(true, Ordering::SeqCst);
                self.kills += 1;
            }
        }
    }
}
