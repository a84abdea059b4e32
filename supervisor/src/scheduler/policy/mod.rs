//! The seam of the strategies: a board to look at, news of what has happened, a choice to make.
//!
//! A strategy decides at which place a request waits, which request goes where, and which idle model makes room. It
//! keeps state of its own and changes nothing else; the scheduler asks it again until it says to wait. Everything
//! that no strategy may get wrong (slots, busy models, retries, health, drains) is the scheduler's.

use std::fmt::Debug;

use ipc_proto::ids::{BackendId, KeyId, RequestId};

use super::catalog::Strategy;
use super::lane::LaneKey;
use super::model::ModelIx;
use crate::clock::Time;

pub(super) use self::board::{Board, Room};
use self::pull::Pull;
use self::push::Push;

mod affinity;
mod board;
mod coverage;
mod current;
mod deferred;
mod desk;
mod expected;
mod fair_share;
mod fifo;
mod least_busy;
mod model_turns;
mod pull;
mod push;
mod random;
mod round_robin;

/// A strategy.
pub(super) trait Policy: Debug + Send {
    /// Whether batch requests yield to interactive ones within a model. If not, all compete by their place.
    fn heeds_classes(&self) -> bool {
        true
    }

    /// Where a new or retried request waits. Unless the strategy says otherwise: by arrival, bound to nobody.
    fn place(&mut self, board: &Board<'_>, newcomer: &Newcomer<'_>) -> Placement {
        let _ = board;
        Placement { at: newcomer.arrived, bound: None }
    }

    /// Something has happened; `board` shows what is true now.
    fn news(&mut self, board: &Board<'_>, news: News, now: Time) {
        let _ = (board, news, now);
    }

    /// What is to be done next. Asked again at once after everything but [`Choice::Wait`], and after every event;
    /// asked twice without an event between, it waits both times.
    fn choose(&mut self, board: &Board<'_>, now: Time) -> Choice;

    /// What the strategy thinks of backends for `model`, for operators; those it has no opinion of are left out.
    fn opinions(&self, board: &Board<'_>, model: ModelIx, now: Time) -> Vec<(BackendId, Opinion)> {
        let _ = (board, model, now);
        Vec::new()
    }

    /// What `backend` is about to do, in a few words, if that is decided: `leaving qwen for llama, waited 4:02`.
    fn next_of(&self, board: &Board<'_>, backend: BackendId, now: Time) -> Option<String> {
        let _ = (board, backend, now);
        None
    }

    /// How often a backend waited for a follow-up to the model it held and it came, and how often it did not.
    fn lingers(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// The strategy of this name, with nothing remembered; `seed` is for those that draw lots.
pub(super) fn named(strategy: Strategy, seed: u64) -> Box<dyn Policy> {
    match strategy {
        Strategy::ModelTurns => Box::<model_turns::ModelTurns>::default(),
        Strategy::DeferredModelThenCapable => Box::new(Pull::new(deferred::Deferred)),
        Strategy::PreserveModelCoverage => Box::new(Pull::new(coverage::Coverage)),
        Strategy::FairShareRoundRobin => Box::new(Pull::new(fair_share::FairShare::default())),
        Strategy::Fifo => Box::new(Pull::new(fifo::Fifo)),
        Strategy::ModelAffinityLeastBusy => Box::new(Push::new(affinity::Affinity)),
        Strategy::LeastBusy => Box::new(Push::new(least_busy::LeastBusy)),
        Strategy::RoundRobin => Box::new(Push::new(round_robin::RoundRobin::default())),
        Strategy::Random => Box::new(Push::new(random::Lottery::new(seed))),
    }
}

/// A request that asks for a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer<'a> {
    /// Whose.
    pub(super) client: KeyId,
    /// When it came first.
    pub(super) arrived: Time,
    /// What decides whom it can go to; not bound.
    pub(super) lane: LaneKey,
    /// The backends that can serve it, up or down, best first.
    pub(super) candidates: &'a [BackendId],
    /// The backend on which an attempt failed, to be avoided while there is another.
    pub(super) avoided: Option<BackendId>,
    /// Whether it has waited before: an attempt of it failed, or it was bound to a backend that cannot serve it.
    pub(super) is_retry: bool,
}

/// Where a request waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placement {
    /// The time it competes with, within its model and class.
    pub(super) at: Time,
    /// The only backend it may go to, until the strategy binds it anew ([`Choice::Rebind`]).
    pub(super) bound: Option<BackendId>,
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// A request waits, for the first time or again.
    Arrived {
        /// For this model.
        model: ModelIx,
        /// Of this client.
        client: KeyId,
        /// Whether it has waited before.
        is_retry: bool,
    },
    /// A request waits no longer, and was not dispatched.
    Left {
        /// For this model.
        model: ModelIx,
    },
    /// A request was sent.
    Dispatched {
        /// To this backend.
        backend: BackendId,
        /// The model it waited for.
        model: ModelIx,
        /// The model that runs there for it: that one, or one that serves it, too.
        resident: ModelIx,
        /// Whether the backend has to load it.
        is_load: bool,
    },
    /// A model has proved to be loaded.
    Ready {
        /// On this backend.
        backend: BackendId,
        /// The model.
        resident: ModelIx,
    },
    /// An attempt has ended, by whatever end, and its slot is free.
    Ended {
        /// On this backend.
        backend: BackendId,
        /// The model it waited for.
        model: ModelIx,
        /// The model that ran there for it.
        resident: ModelIx,
    },
    /// What a backend held is not known any more: it is down, or another one stands at its place.
    Forgotten {
        /// Which.
        backend: BackendId,
    },
    /// Some backend is up, down, drained, resting, listed or configured anew.
    Surveyed,
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// Send this request to this backend.
    Dispatch {
        /// Which.
        request: RequestId,
        /// Where.
        backend: BackendId,
        /// The idle model that makes room there; `None` where the model is held already or there is room.
        evict: Option<ModelIx>,
        /// Why there.
        reason: Reason,
    },
    /// Ask [`Policy::place`] again for a request that is bound to a backend that cannot or should not serve it.
    Rebind {
        /// Which.
        request: RequestId,
    },
    /// Nothing now.
    Wait {
        /// Ask again at this time, later than now, even if nothing happens until then.
        until: Option<Time>,
    },
}

/// Why a request was sent where it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The backend has the model, or is loading it, or need not load.
    Loaded,
    /// It loads the model because nobody has it.
    Relief,
    /// It loads the model as a further copy.
    Copy,
    /// It loads the model because it is faster than those that have it.
    Moved,
    /// It gave up its model for one that had waited too long without a backend.
    ClaimOverdue,
    /// It gave up its model, of which only the excess of a burst waited.
    ClaimBurst,
    /// Nobody else could start it in time.
    Overflow,
    /// An attempt failed elsewhere.
    Retry,
    /// It had no work for the model it held and changes to this one.
    Switch,
    /// The request was bound to it when it came.
    Bound,
    /// It was the request's turn, whatever is loaded.
    Turn,
    /// It had nothing to do, unlike the one the request was bound to.
    Idle,
}

impl Reason {
    /// The word operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Relief => "relief",
            Self::Copy => "copy",
            Self::Moved => "moved",
            Self::ClaimOverdue => "claim_overdue",
            Self::ClaimBurst => "claim_burst",
            Self::Overflow => "overflow",
            Self::Retry => "retry",
            Self::Switch => "switch",
            Self::Bound => "bound",
            Self::Turn => "turn",
            Self::Idle => "idle",
        }
    }
}

/// What a strategy thinks of a backend for a model.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Opinion {
    /// Waiting relieved per second of work, where the strategy counts so.
    pub(super) score: Option<f64>,
    /// What speaks against it beyond what everybody can see; empty if nothing.
    pub(super) objection: String,
}
