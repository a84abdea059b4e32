//! Which model a swapping backend holds, as far as we can tell from what was sent there and what came back.
//!
//! A dispatch makes the belief tentative; only an answer, or a backend that says what it has loaded, makes it firm.
//! An attempt that never reached the model leaves the belief as it was before.

use ipc_proto::control::Ending;
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::ids::ModelName;

/// The belief about one backend.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Belief {
    current: Option<ModelName>,
    load: Option<Load>,
}

/// A change of model that nobody has confirmed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Load {
    previous: Option<ModelName>,
    /// Whether some attempt got far enough that the load may have happened.
    reached: bool,
}

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

impl Belief {
    /// The model that is there, or on its way.
    pub(super) fn current(&self) -> Option<&ModelName> {
        self.current.as_ref()
    }

    /// Whether that model has still to prove that it is there.
    pub(super) fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// An attempt for `model` is sent. Says whether that makes the backend change its model.
    pub(super) fn sent(&mut self, model: &ModelName) -> bool {
        if self.current.as_ref() == Some(model) {
            return false;
        }
        let previous = if self.is_loading() { None } else { self.current.take() };
        self.current = Some(model.clone());
        self.load = Some(Load { previous, reached: false });
        true
    }

    /// `model` has answered. Says whether a change of model has become true by it.
    pub(super) fn answered(&mut self, model: &ModelName) -> bool {
        let was_loading = self.load.take().is_some();
        let is_news = self.current.as_ref() != Some(model);
        if is_news {
            self.current = Some(model.clone());
        }
        was_loading && !is_news
    }

    /// An attempt for `model` is over; `is_last` if none is left on the backend. Says, like [`Self::answered`],
    /// whether a change of model has become true.
    pub(super) fn over(&mut self, model: &ModelName, reach: Reach, is_last: bool) -> bool {
        if reach == Reach::Answered {
            return self.answered(model);
        }
        let Some(load) = &mut self.load else { return false };
        if reach == Reach::Unknown {
            load.previous = None;
        }
        load.reached |= reach == Reach::Perhaps;
        if !is_last {
            return false;
        }
        let (reached, previous) = (load.reached, load.previous.take());
        self.load = None;
        if !reached {
            self.current = previous;
        }
        reached
    }

    /// The backend, on which nothing runs, says what it has loaded; `offers` tells which names it knows.
    pub(super) fn told(&mut self, loaded: &[ModelName], offers: impl Fn(&ModelName) -> bool) {
        if self.current.as_ref().is_some_and(|current| loaded.contains(current)) {
            return;
        }
        self.load = None;
        self.current = match loaded {
            [only] if offers(only) => Some(only.clone()),
            _ => None,
        };
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ModelName {
        ModelName::new(name)
    }

    #[test]
    fn an_attempt_that_never_reached_its_model_changes_nothing() {
        let mut belief = Belief::default();
        assert!(belief.sent(&named("a")));
        assert!(belief.is_loading());
        assert!(belief.answered(&named("a")), "the load has come true");
        assert!(!belief.sent(&named("a")), "a second attempt loads nothing");
        assert!(belief.sent(&named("b")));
        assert!(!belief.over(&named("b"), Reach::Never, true));
        assert_eq!((belief.current(), belief.is_loading()), (Some(&named("a")), false));
    }

    #[test]
    fn a_load_whose_client_left_is_taken_as_done_and_a_failed_one_as_unknown() {
        let mut belief = Belief::default();
        belief.sent(&named("a"));
        assert!(!belief.over(&named("a"), Reach::Perhaps, false));
        assert!(belief.over(&named("a"), Reach::Never, true));
        assert_eq!(belief.current(), Some(&named("a")));
        belief.sent(&named("b"));
        assert!(!belief.over(&named("b"), Reach::Unknown, true));
        assert_eq!(belief.current(), None);
    }

    #[test]
    fn what_the_backend_says_overrules() {
        let mut belief = Belief::default();
        belief.told(&[named("a")], |_| true);
        assert_eq!(belief.current(), Some(&named("a")));
        belief.told(&[named("b"), named("a")], |_| true);
        assert_eq!(belief.current(), Some(&named("a")), "still there");
        belief.told(&[named("b"), named("c")], |_| true);
        assert_eq!(belief.current(), None, "two strangers tell nothing");
        belief.told(&[named("x")], |_| false);
        assert_eq!(belief.current(), None, "a name it does not offer");
    }
}
