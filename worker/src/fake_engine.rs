//! The memory of the fake engine: one model at a time, loaded with its options.
//!
//! It is as careless as engines are: whoever asks for another model gets it, and answers of the one before it break
//! off. So it shows whether those who share it take care. Where loading takes no time there is no reason to unload
//! anything, and nothing breaks off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dialect::load::LoadOptions;
use ipc_proto::control::LoadedModel;
use ipc_proto::ids::ModelName;
use tokio::sync::{Mutex, watch};

/// The context of a model that is loaded for a request which names none.
const USUAL_CONTEXT: u64 = 4096;

/// A model with what it is loaded with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    model: ModelName,
    load: LoadOptions,
}

impl Wanted {
    /// `model` as a request with these options wants it.
    pub(crate) fn new(model: &ModelName, mut load: LoadOptions) -> Self {
        load.context.get_or_insert(USUAL_CONTEXT);
        Self { model: model.clone(), load }
    }
}

/// What is in memory.
#[derive(Clone)]
struct Memory {
    resident: Option<Wanted>,
    /// Changes when what was in memory is gone; whoever generates from it holds it, too.
    lease: Arc<()>,
}

/// The engine.
pub(crate) struct Engine {
    load: Duration,
    memory: watch::Sender<Memory>,
    /// One load at a time, in the order of asking.
    loader: Mutex<()>,
    loads: AtomicU64,
    kills: AtomicU64,
}

impl Engine {
    /// An engine with nothing in memory, which takes `load` to load a model.
    pub(crate) fn new(load: Duration) -> Self {
        let memory = watch::Sender::new(Memory { resident: None, lease: Arc::default() });
        let (loads, kills) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { load, memory, loader: Mutex::new(()), loads, kills }
    }

    /// The model in memory; `None` while it loads one.
    pub(crate) fn loaded(&self) -> Option<LoadedModel> {
        let memory = self.memory.borrow();
        let resident = memory.resident.as_ref()?;
        Some(LoadedModel { id: resident.model.clone(), context: resident.load.context })
    }

    /// How many models it has loaded, and how many answers broke off because it loaded another one.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.loads.load(Ordering::Relaxed), self.kills.load(Ordering::Relaxed))
    }

    /// Returns when `wanted` is in memory. Safe to cancel: a load that nobody waits for stops.
    pub(crate) async fn hold(&self, wanted: &Wanted) -> Hold {
        let _alone = self.loader.lock().await;
        let is_resident = self.memory.borrow().resident.as_ref() == Some(wanted);
        if !is_resident {
            if !self.load.is_zero() {
                self.unload();
                tokio::time::sleep(self.load).await;
            }
            self.memory.send_modify(|memory| memory.resident = Some(wanted.clone()));
            self.loads.fetch_add(1, Ordering::Relaxed);
        }
        let memory = self.memory.subscribe();
        let lease = Some(Arc::clone(&memory.borrow().lease));
        Hold { memory, lease }
    }

    fn unload(&self) {
        self.memory.send_modify(|memory| {
            // All but our own are answers that have not ended.
            let running = Arc::strong_count(&memory.lease).saturating_sub(1);
            self.kills.fetch_add(u64::try_from(running).unwrap_or(u64::MAX), Ordering::Relaxed);
            *memory = Memory { resident: None, lease: Arc::default() };
        });
    }
}

/// A place in the engine's memory, for as long as one answer takes.
pub(crate) struct Hold {
    memory: watch::Receiver<Memory>,
    lease: Option<Arc<()>>,
}

impl Hold {
    /// The answer is complete: whatever is loaded now breaks nothing.
    pub(crate) fn end(&mut self) {
        self.lease = None;
    }

    /// Returns when the model has been unloaded under the answer. Safe to cancel.
    pub(crate) async fn lost(&mut self) {
        let Some(lease) = &self.lease else { return std::future::pending().await };
        let is_gone = self.memory.wait_for(|memory| !Arc::ptr_eq(&memory.lease, lease)).await.is_ok();
        if !is_gone {
            // The engine itself is gone: a new spec took its place, and what runs may end.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(model: &str, context: Option<u64>) -> Wanted {
        Wanted::new(&ModelName::new(model), LoadOptions { context, ..LoadOptions::default() })
    }

    async fn is_lost(hold: &mut Hold) -> bool {
        tokio::time::timeout(Duration::ZERO, hold.lost()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn many_first_requests_are_one_load_and_other_options_are_another() {
        let engine = Engine::new(Duration::from_secs(2));
        let small = wanted("m", None);
        let (mut one, mut two) = tokio::join!(engine.hold(&small), engine.hold(&small));
        assert_eq!((engine.counts(), engine.loaded().unwrap().context), ((1, 0), Some(4096)));
        engine.hold(&wanted("m", Some(4096))).await;
        assert_eq!(engine.counts().0, 1, "the usual context, said aloud");
        assert!(!is_lost(&mut one).await);
        two.end();
        engine.hold(&wanted("m", Some(8192))).await;
        assert_eq!((engine.counts(), engine.loaded().unwrap().context), ((2, 1), Some(8192)));
        assert!(is_lost(&mut one).await && !is_lost(&mut two).await, "who has ended loses nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_nobody_waits_for_stops_and_leaves_nothing() {
        let engine = Engine::new(Duration::from_secs(2));
        let early = tokio::time::timeout(Duration::from_secs(1), engine.hold(&wanted("m", None))).await;
        assert!(early.is_err() && engine.loaded().is_none());
        assert_eq!(engine.counts(), (0, 0));
        engine.hold(&wanted("n", None)).await;
        assert_eq!(engine.loaded().unwrap().id.as_str(), "n");
    }

    #[tokio::test]
    async fn where_loading_takes_no_time_nothing_breaks_off() {
        let engine = Engine::new(Duration::ZERO);
        let mut one = engine.hold(&wanted("m", None)).await;
        engine.hold(&wanted("n", None)).await;
        assert!(!is_lost(&mut one).await);
        assert_eq!((engine.counts(), engine.loaded().unwrap().id.as_str()), ((2, 0), "n"));
    }
}
