//! What the backends that could serve a lane amount to, and from it why a request is refused at once: for the true
//! reason, and with the time after which to come again.

use dialect::Endpoint;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::ModelName;

use super::admission::{SHORTEST_RETRY_AFTER_MS, can_do, has};
use super::backend::{Health, Service};
use super::lane::LaneKey;
use super::laws::Laws;
use super::{Phase, Scheduler, Turn};
use crate::clock::Time;

/// What the backends that could serve a lane amount to.
#[derive(Default)]
struct Prospects {
    is_listed: bool,
    is_spoken: bool,
    is_anything_read: bool,
    next_probe: Option<Time>,
    end_of_rest: Option<Time>,
}

impl<L: Laws> Scheduler<L> {
    /// Why requests of `lane` need not wait; `None` if they may.
    pub(super) fn refusal(
        &self,
        turn: &Turn<'_>,
        name: &ModelName,
        lane: &LaneKey,
        endpoint: Endpoint,
    ) -> Option<Failure> {
        match self.phase {
            Phase::Starting => return None,
            Phase::Running => {}
            Phase::Draining(_) | Phase::Stopped => return Some(draining("the instance is stopping")),
        }
        let prospects = self.prospects(name, lane)?;
        let model = name.as_str();
        let until = |time: Time| Some((time.since(turn.now) / 1000).max(SHORTEST_RETRY_AFTER_MS));
        Some(if !prospects.is_listed && prospects.is_anything_read {
            Failure::new(FailureKind::UnknownModel, format!("no backend offers the model {model}"))
        } else if !prospects.is_listed {
            Failure::new(FailureKind::NoBackend, "no backend could be asked for its models yet")
                .with_retry_after_ms(Some(SHORTEST_RETRY_AFTER_MS))
        } else if !prospects.is_spoken {
            let word = endpoint.as_str();
            let told = format!(
                "no backend that offers `{model}` can answer {word} requests, and none can be translated for it"
            );
            Failure::new(
                FailureKind::Untranslatable,
                format!("no backend that offers {model} answers {word}"),
            )
            .telling(told, None)
        } else if let Some(next_probe) = prospects.next_probe {
            Failure::new(FailureKind::NoBackend, format!("every backend that offers {model} is down"))
                .with_retry_after_ms(until(next_probe))
        } else if let Some(end_of_rest) = prospects.end_of_rest {
            Failure::new(
                FailureKind::Overloaded,
                format!("every backend that offers {model} has too much to do"),
            )
            .with_retry_after_ms(until(end_of_rest))
        } else {
            draining(&format!("every backend that offers {model} is being drained"))
        })
    }

    /// What the backends amount to for `lane`; `None` if one of them can serve it, now or in a moment.
    fn prospects(&self, name: &ModelName, lane: &LaneKey) -> Option<Prospects> {
        let mut prospects = Prospects::default();
        for backend in self.backends.values() {
            prospects.is_anything_read |= backend.is_read();
            let is_allowed = lane.only.is_none_or(|only| only == backend.id);
            if is_allowed && can_do(&backend.spec, lane) && backend.may_list_more() {
                return None;
            }
            if !is_allowed || !has(backend, lane, name) {
                continue;
            }
            prospects.is_listed = true;
            if !can_do(&backend.spec, lane) {
                continue;
            }
            prospects.is_spoken = true;
            match (&backend.health, backend.service) {
                (_, Service::Drained | Service::Retired) => {}
                (Health::Down { next_probe, .. }, Service::Open) => {
                    let next = prospects.next_probe.map_or(*next_probe, |soonest| soonest.min(*next_probe));
                    prospects.next_probe = Some(next);
                }
                _ => match backend.rest.filter(|rest| rest.is_long) {
                    Some(rest) => {
                        let end = prospects.end_of_rest.map_or(rest.until, |soonest| soonest.min(rest.until));
                        prospects.end_of_rest = Some(end);
                    }
                    None => return None,
                },
            }
        }
        Some(prospects)
    }
}

fn draining(detail: &str) -> Failure {
    Failure::new(FailureKind::Draining, detail).with_retry_after_ms(Some(SHORTEST_RETRY_AFTER_MS))
}
