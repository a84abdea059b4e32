//! What clients may know: which models there are, and whether the instance is ready. Published when it changes.

use std::collections::BTreeMap;

use dialect::Dialect;
use ipc_proto::control::{Directory, ModelEntry};
use ipc_proto::ids::ModelName;
use ipc_proto::spec::BackendKind;

use super::backend::{Backend, Health, Service};
use super::catalog;
use super::laws::Laws;
use super::timer::Timer;
use super::{Effect, Phase, Scheduler, Turn};
use crate::clock::Time;

/// How long the doors stay shut at the start while backends are looked at, in milliseconds: a dead one must not keep
/// the others from serving.
pub(super) const DOORS_MS: u64 = 2000;
/// Who owns a model whose backend does not say.
const NOBODY_IN_PARTICULAR: &str = "proxylm";

/// What has been published.
#[derive(Default, Debug)]
pub(super) struct Publication {
    latest: Option<Directory>,
    /// When each model was first offered, in seconds since 1970.
    first_seen: BTreeMap<ModelName, i64>,
}

impl<L: Laws> Scheduler<L> {
    /// Opens the doors if every backend has been looked at.
    pub(super) fn open_doors_if_known(&mut self, turn: &mut Turn<'_>) {
        let is_known = self.in_use().all(|backend| backend.health != Health::Unknown);
        if self.phase == Phase::Starting && is_known {
            self.open_doors(turn);
        }
    }

    /// The instance begins to serve.
    pub(super) fn open_doors(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Starting {
            self.timers.disarm(&Timer::Doors);
            self.enter(turn, Phase::Running);
        }
    }

    /// Publishes the directory if it has changed.
    pub(super) fn publish(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Starting {
            return;
        }
        let directory = self.compile_directory(turn.now);
        if self.directory.latest.as_ref() != Some(&directory) {
            self.directory.latest = Some(directory.clone());
            turn.effects.push(Effect::Publish(Box::new(directory)));
        }
    }

    fn compile_directory(&mut self, now: Time) -> Directory {
        let seconds = self.unix_us(now) / 1_000_000;
        let mut models: Vec<ModelEntry> = Vec::new();
        let mut places: BTreeMap<ModelName, usize> = BTreeMap::new();
        for backend in self.ranking.iter().filter_map(|id| self.backends.get(id)) {
            if !backend.is_up() || backend.service == Service::Retired {
                continue;
            }
            for model in backend.models_in_order() {
                let place = *places.entry(model.clone()).or_insert_with(|| {
                    let first_seen = *self.directory.first_seen.entry(model.clone()).or_insert(seconds);
                    models.push(entry(backend, &model, first_seen));
                    models.len() - 1
                });
                models[place].served_by.push(backend.spec.name.clone());
                count_in(&mut models[place].counted_in, &backend.spec);
            }
        }
        for (alias, target) in &self.catalog.aliases {
            let Some(place) = places.get(&target.model) else { continue };
            let only = target.backend.and_then(|only| self.backends.get(&only)).map(|only| &only.spec.name);
            let mut named = ModelEntry { id: alias.clone(), ..models[*place].clone() };
            named.served_by.retain(|name| target.backend.is_none() || only == Some(name));
            if !named.served_by.is_empty() && !places.contains_key(alias) {
                models.push(named);
            }
        }
        let in_use: Vec<&Backend> = self.in_use().collect();
        let up = in_use.iter().filter(|backend| backend.is_up()).count();
        let usable = in_use.iter().any(|backend| backend.is_up() && backend.service == Service::Open);
        let (ready, reason) = match self.phase {
            Phase::Draining(_) | Phase::Stopped => (false, "the instance is stopping"),
            _ if usable => (true, ""),
            _ if in_use.is_empty() => (false, "no backend is configured"),
            _ if up > 0 => (false, "every backend that is up is being drained"),
            _ => (false, "no backend is up"),
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Directory {
            models,
            ready,
            reason: reason.to_owned(),
            backends_up: count(up),
            backends: count(in_use.len()),
        }
    }

    /// The backends that the configuration knows.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Backend> {
        self.backends.values().filter(|backend| backend.service != Service::Retired)
    }
}

fn entry(backend: &Backend, model: &ModelName, first_seen: i64) -> ModelEntry {
    let offer = backend.offered.iter().flatten().find(|offer| offer.id == *model);
    ModelEntry {
        id: model.clone(),
        created: offer.and_then(|offer| offer.created).unwrap_or(first_seen),
        owned_by: offer
            .and_then(|offer| offer.owned_by.clone())
            .unwrap_or_else(|| NOBODY_IN_PARTICULAR.to_owned()),
        served_by: Vec::new(),
        counted_in: Vec::new(),
    }
}

/// Adds the dialects in which the backend counts tokens itself. An engine that speaks Anthropic's or Google's dialect beside
/// its own need not have all of it.
fn count_in(counted_in: &mut Vec<Dialect>, spec: &catalog::Backend) {
    let dialect = match spec.kind {
        BackendKind::Anthropic => Dialect::Anthropic,
        BackendKind::Gemini => Dialect::Gemini,
        _ => return,
    };
    if spec.dialects.contains(&dialect) && !counted_in.contains(&dialect) {
        counted_in.push(dialect);
    }
}
