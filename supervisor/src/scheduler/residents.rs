//! Which models a swapping backend holds, as far as we can tell from what was sent there and what came back.
//!
//! A dispatch makes a model a resident that loads; only an answer, or a backend that says what it has loaded, makes
//! it ready. An attempt that never reached its model leaves the residents as they were before. Nobody here decides
//! who leaves: whoever dispatches names the model that makes room.

use dialect::load::LoadOptions;
use ipc_proto::control::Ending;
use ipc_proto::failure::{FailureKind, Wait};

use super::model::ModelIx;
use crate::clock::Time;

/// What an attempt's end says about the model it asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// The model answered.
    Answered,
    /// It may have been loaded.
    Perhaps,
    /// It was not asked.
    Never,
    /// Nobody knows what the backend holds now.
    Unknown,
}

impl Reach {
    /// What `ending`, after the backend's `status` if it answered, says.
    pub(super) fn of(ending: &Ending, status: Option<u16>) -> Self {
        match ending {
            Ending::Complete => Self::Answered,
            Ending::NeverStarted => Self::Never,
            // Refused at the door. Other refusals (a prompt too long) may come from the loaded model.
            Ending::Declined if matches!(status, Some(401 | 403 | 404 | 405)) => Self::Never,
            Ending::Declined | Ending::Cancelled => Self::Perhaps,
            Ending::Failed(failure) => match failure.kind {
                FailureKind::Unreachable
                | FailureKind::Timeout(Wait::Connect)
                | FailureKind::Overloaded
                | FailureKind::GrantLapsed => Self::Never,
                FailureKind::ServerError | FailureKind::WorkerLost => Self::Unknown,
                _ => Self::Perhaps,
            },
        }
    }
}

/// How sure it is that a model is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// An attempt that makes the backend load it is on its way.
    Loading,
    /// It has answered there, or the backend has said so.
    Ready,
    /// Attempts for it still run on a backend about which nothing else is known any more.
    Doubtful,
}

/// One model on one backend.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Resident {
    pub(super) model: ModelIx,
    /// What it was loaded with, as far as we know.
    pub(super) options: LoadOptions,
    pub(super) hold: Hold,
    /// When its turn began: the end of its load, or when the backend was seen to hold it. While it loads: when the
    /// load began.
    pub(super) since: Time,
    /// When an attempt for it was sent or ended last.
    pub(super) last_used: Time,
    /// Attempts for it that have not ended, revoked ones included.
    pub(super) running: u32,
    /// Whether some attempt got far enough that the load may have happened.
    is_reached: bool,
    /// The model that made room for it: still there if the load never happens.
    evicted: Option<Box<Resident>>,
}

impl Resident {
    /// Whether requests can count on it: it is there, or on its way.
    pub(super) fn is_held(&self) -> bool {
        self.hold != Hold::Doubtful
    }

    /// Whether it could make room: nothing of it runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running == 0
    }

    fn ready(model: ModelIx, now: Time) -> Self {
        Self {
            model,
            options: LoadOptions::default(),
            hold: Hold::Ready,
            since: now,
            last_used: now,
            running: 0,
            is_reached: false,
            evicted: None,
        }
    }
}

/// The models of one backend. Few: the order is that of their arrival.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Residents {
    list: Vec<Resident>,
}

impl Residents {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Resident> {
        self.list.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The resident `model`, exactly.
    pub(super) fn get(&self, model: ModelIx) -> Option<&Resident> {
        self.list.iter().find(|resident| resident.model == model)
    }

    fn get_mut(&mut self, model: ModelIx) -> Option<&mut Resident> {
        self.list.iter_mut().find(|resident| resident.model == model)
    }

    /// The one used last.
    pub(super) fn latest(&self) -> Option<&Resident> {
        self.list.iter().filter(|resident| resident.is_held()).max_by_key(|resident| resident.last_used)
    }

    /// An attempt for `model` is sent, for which `evict` makes room. Says whether it makes the backend load.
    #[cfg(test)]
    fn dispatch(&mut self, model: ModelIx, evict: Option<ModelIx>, now: Time) -> bool {
        self.dispatch_with(model, LoadOptions::default(), evict, now)
    }

    /// An attempt for `model` is sent, for which `evict` makes room; if the backend has to load it, it does so with
    /// `options`. Says whether it has to.
    pub(super) fn dispatch_with(
        &mut self,
        model: ModelIx,
        options: LoadOptions,
        evict: Option<ModelIx>,
        now: Time,
    ) -> bool {
        let evicted = evict.and_then(|evict| self.list.iter().position(|resident| resident.model == evict));
        let evicted = evicted.map(|place| self.list.remove(place));
        let is_load = self.get(model).is_none();
        if is_load {
            let previous = evicted.filter(|resident| resident.hold == Hold::Ready).map(Box::new);
            let hold = Hold::Loading;
            self.list.push(Resident { options, hold, evicted: previous, ..Resident::ready(model, now) });
        }
        if let Some(resident) = self.get_mut(model) {
            resident.running += 1;
            resident.last_used = now;
        }
        is_load
    }

    /// `model` has answered. Says whether a load has come true by it.
    pub(super) fn answered(&mut self, model: ModelIx, now: Time) -> bool {
        let Some(resident) = self.get_mut(model) else { return false };
        let was = std::mem::replace(&mut resident.hold, Hold::Ready);
        if was != Hold::Ready {
            resident.since = now;
            resident.evicted = None;
        }
        was == Hold::Loading
    }

    /// An attempt for `model` is over. Says, like [`Self::answered`], whether a load has come true.
    pub(super) fn over(&mut self, model: ModelIx, reach: Reach, now: Time) -> bool {
        let Some(resident) = self.get_mut(model) else { return false };
        resident.running = resident.running.saturating_sub(1);
        resident.last_used = now;
        if reach == Reach::Answered {
            return self.answered(model, now);
        }
        if resident.hold == Hold::Ready {
            return false;
        }
        if reach == Reach::Unknown {
            resident.evicted = None;
        }
        resident.is_reached |= reach == Reach::Perhaps;
        if !resident.is_idle() {
            return false;
        }
        if resident.hold == Hold::Loading && resident.is_reached {
            return self.answered(model, now);
        }
        let evicted = resident.evicted.take();
        self.list.retain(|resident| resident.model != model);
        if let Some(back) = evicted.filter(|back| self.get(back.model).is_none()) {
            self.list.push(*back);
        }
        false
    }

    /// The backend, on which nothing runs, says what it has loaded, and with which options as far as it says.
    /// `is_same` says whether a resident is one of the loaded. Residents that vanished are dropped; strangers are added with a turn
    /// that starts now, as far as all of them fit `limit`: else there is no telling which of them will stay.
    pub(super) fn told(
        &mut self,
        loaded: &[(ModelIx, LoadOptions)],
        limit: usize,
        now: Time,
        is_same: impl Fn(ModelIx, ModelIx) -> bool,
    ) {
        self.list.retain_mut(|resident| {
            // What it was loaded with, if we had it loaded, we know better: engines count contexts in several ways.
            loaded.iter().any(|(told, _)| is_same(resident.model, *told))
        });
        let is_stranger =
            |(told, _): &&(ModelIx, LoadOptions)| !self.list.iter().any(|known| is_same(known.model, *told));
        let strangers: Vec<_> = loaded.iter().filter(is_stranger).cloned().collect();
        if self.list.len() + strangers.len() <= limit {
            let ready = |(model, options)| Resident { options, ..Resident::ready(model, now) };
            self.list.extend(strangers.into_iter().map(ready));
        }
    }

    /// Nothing is known any more but which attempts run.
    pub(super) fn forget(&mut self) {
        self.list.retain_mut(|resident| {
            resident.hold = Hold::Doubtful;
            resident.evicted = None;
            !resident.is_idle()
        });
    }

    /// Forgets everything, and takes in what runs: `running` is a model per attempt.
    pub(super) fn recount(&mut self, running: impl Iterator<Item = ModelIx>, now: Time) {
        self.list.clear();
        for model in running {
            if self.get(model).is_none() {
                self.list.push(Resident { hold: Hold::Doubtful, ..Resident::ready(model, now) });
            }
            if let Some(resident) = self.get_mut(model) {
                resident.running += 1;
            }
        }
    }

    /// Drops idle residents, the least recently used first, until `limit` are left.
    pub(super) fn trim(&mut self, limit: usize) {
        while self.list.len() > limit {
            let idle = self.list.iter().filter(|resident| resident.is_idle());
            let Some(least) = idle.min_by_key(|resident| resident.last_used).map(|idle| idle.model) else {
                return;
            };
            self.list.retain(|resident| resident.model != least);
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::ModelName;

    use super::*;
    use crate::scheduler::learner::Learner;
    use crate::scheduler::model::{LoadNeed, Models};

    fn three() -> [ModelIx; 3] {
        let (mut models, mut learner) = (Models::default(), Learner::default());
        ["a", "b", "c"].map(|name| models.intern(&ModelName::new(name), &LoadNeed::Any, &mut learner))
    }

    fn held(residents: &Residents) -> Vec<(ModelIx, Hold)> {
        residents.iter().map(|resident| (resident.model, resident.hold)).collect()
    }

    #[test]
    fn an_attempt_that_never_reached_its_model_changes_nothing() {
        let ([a, b, _], mut residents) = (three(), Residents::default());
        assert!(residents.dispatch(a, None, Time(1)));
        assert!(residents.answered(a, Time(5)), "the load has come true");
        assert_eq!(residents.get(a).unwrap().since, Time(5), "the turn begins when the load ends");
        assert!(!residents.dispatch(a, None, Time(6)), "a second attempt loads nothing");
        residents.over(a, Reach::Answered, Time(7));
        residents.over(a, Reach::Answered, Time(7));
        let before = residents.clone();
        assert!(residents.dispatch(b, Some(a), Time(8)));
        assert_eq!(held(&residents), [(b, Hold::Loading)]);
        assert!(!residents.over(b, Reach::Never, Time(9)));
        assert_eq!(residents, before);
    }

    #[test]
    fn a_load_whose_client_left_is_taken_as_done_and_a_failed_one_as_unknown() {
        let ([a, b, _], mut residents) = (three(), Residents::default());
        residents.dispatch(a, None, Time(1));
        residents.dispatch(a, None, Time(1));
        assert!(!residents.over(a, Reach::Perhaps, Time(2)));
        assert!(residents.over(a, Reach::Never, Time(3)));
        assert_eq!(held(&residents), [(a, Hold::Ready)]);
        residents.dispatch(b, Some(a), Time(4));
        assert!(!residents.over(b, Reach::Unknown, Time(5)));
        assert_eq!(held(&residents), []);
    }

    #[test]
    fn two_models_load_side_by_side_and_end_apart() {
        let ([a, b, c], mut residents) = (three(), Residents::default());
        residents.dispatch(a, None, Time(1));
        residents.dispatch(b, None, Time(1));
        residents.over(a, Reach::Answered, Time(2));
        residents.dispatch(c, Some(a), Time(3));
        assert!(residents.over(b, Reach::Answered, Time(4)));
        assert_eq!(held(&residents), [(b, Hold::Ready), (c, Hold::Loading)]);
        residents.over(c, Reach::Never, Time(5));
        assert_eq!(held(&residents), [(b, Hold::Ready), (a, Hold::Ready)]);
    }

    #[test]
    fn what_the_backend_says_overrules() {
        let ([a, b, c], mut residents) = (three(), Residents::default());
        let mut told = |loaded: &[ModelIx], limit, now| {
            let loaded: Vec<_> = loaded.iter().map(|model| (*model, LoadOptions::default())).collect();
            residents.told(&loaded, limit, Time(now), |one, other| one == other);
            residents.iter().map(|resident| (resident.model, resident.since.0)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[a], 1, 1), [(a, 1)]);
        assert_eq!(told(&[b, a], 1, 2), [(a, 1)], "still there, and no room for another");
        assert_eq!(told(&[b, a], 2, 3), [(a, 1), (b, 3)], "a stranger's turn starts now");
        assert_eq!(told(&[b, c], 1, 4), [(b, 3)]);
        assert_eq!(told(&[a, c], 1, 5), [], "two strangers tell nothing");
    }

    #[test]
    fn what_runs_on_a_forgotten_backend_keeps_its_room_until_it_ends() {
        let ([a, b, _], mut residents) = (three(), Residents::default());
        residents.dispatch(a, None, Time(1));
        residents.answered(a, Time(2));
        residents.dispatch(b, None, Time(2));
        residents.over(b, Reach::Answered, Time(3));
        residents.forget();
        assert_eq!(held(&residents), [(a, Hold::Doubtful)]);
        let mut answered = residents.clone();
        assert!(!answered.answered(a, Time(4)), "no load has come true");
        assert_eq!(held(&answered), [(a, Hold::Ready)]);
        residents.over(a, Reach::Perhaps, Time(4));
        assert_eq!(residents.len(), 0);
    }

    #[test]
    fn fewer_fit_after_a_word_of_the_operator() {
        let ([a, b, c], mut residents) = (three(), Residents::default());
        residents.recount([a, b, a].into_iter(), Time(1));
        assert_eq!(residents.get(a).unwrap().running, 2);
        residents.dispatch(c, None, Time(2));
        residents.over(c, Reach::Answered, Time(3));
        residents.trim(1);
        assert_eq!(held(&residents), [(a, Hold::Doubtful), (b, Hold::Doubtful)], "running ones stay");
    }
}
