//! An instance made from a record: the requests that came, on servers as fast as the recorded ones were.
//!
//! Speeds and loads are estimated from the recorded attempts; a pair of backend and model that never ran is taken from what
//! others showed. Requests come when they came, also those that a client would only have sent after an earlier answer.
//! Failures and outages are not made again.

use std::collections::BTreeMap;
use std::time::Duration;

use ipc_proto::control::{Class, Ending};
use ipc_proto::ids::{BackendId, GrantId, KeyId, ModelName, RequestId};

use super::engine::seconds;
use super::figures::{mean, number, percentile};
use super::instance::{Instance, Job, Server};
use crate::clock::Time;
use crate::record::{Decision, Entry, Record};
use crate::scheduler::Event;
use crate::scheduler::catalog::Backend;

/// A prompt token costs so much of a generated one, where nothing else is known.
const PROMPT_PART: f64 = 1.0 / 25.0;
/// Tokens of prompt and answer of a request that nobody counted.
const USUAL_TOKENS: (u32, u32) = (300, 150);
/// The load of a model that nobody has seen loaded, in seconds.
const USUAL_LOAD_S: f64 = 10.0;
/// The shortest load, in seconds: a server whose loads cost nothing at all would count as one that swaps freely.
const SHORTEST_LOAD_S: f64 = 0.001;
/// The time of a weighted token that nobody has seen made, in seconds.
const USUAL_TOKEN_S: f64 = 0.03;

/// A request as the record tells it.
struct Seen {
    at: Time,
    model: ModelName,
    client: KeyId,
    class: Class,
    stream: bool,
    tokens: Option<(u32, u32)>,
    left_after: Option<u64>,
}

/// A completed attempt.
struct Attempt {
    backend: BackendId,
    model: ModelName,
    weight: f64,
    seconds: f64,
    swap: bool,
}

/// What a record holds that an instance needs.
#[derive(Default)]
struct Evidence {
    order: Vec<RequestId>,
    requests: BTreeMap<RequestId, Seen>,
    attempts: Vec<Attempt>,
}

impl Instance {
    /// The instance of `record`; `None` if no request came in it.
    pub fn recorded(record: &Record) -> Option<Self> {
        let evidence = Evidence::of(record);
        let first = evidence.requests.get(evidence.order.first()?)?.at;
        let mut models: Vec<&ModelName> = evidence.requests.values().map(|seen| &seen.model).collect();
        models.sort_unstable();
        models.dedup();
        let mut clients: Vec<KeyId> = evidence.requests.values().map(|seen| seen.client).collect();
        clients.sort_unstable();
        clients.dedup();
        let backends = &record.header.catalog.backends;
        let servers: Vec<Server> =
            backends.iter().map(|(id, backend)| evidence.server(*id, backend, &models)).collect();
        let is_able = |model: usize| servers.iter().any(|server| server.can[model]);
        let jobs = evidence.order.iter().filter_map(|id| {
            let seen = evidence.requests.get(id)?;
            let model = models.binary_search(&&seen.model).ok()?;
            let client = clients.binary_search(&seen.client).ok()?;
            is_able(model).then(|| job(seen, first, model, client))
        });
        let mut instance = Self::new("recorded", record.header.seed, servers.clone(), jobs.collect());
        instance.max_attempts = record.header.catalog.retry.max_attempts;
        Some(instance)
    }
}

fn job(seen: &Seen, first: Time, model: usize, client: usize) -> Job {
    let (prompt_tokens, output_tokens) = seen.tokens.unwrap_or(USUAL_TOKENS);
    Job {
        arrival: Some(seconds(seen.at.since(first))),
        model,
        client,
        class: seen.class,
        is_batch: seen.class == Class::Batch,
        prompt_tokens,
        output_tokens,
        noise: 1.0,
        stream: seen.stream,
        patience: seen.left_after.map(seconds),
        next: None,
    }
}

impl Evidence {
    fn of(record: &Record) -> Self {
        let mut evidence = Self::default();
        let mut sent: BTreeMap<GrantId, &Decision> = BTreeMap::new();
        for entry in &record.entries {
            match entry {
                Entry::Sent(decision) => {
                    sent.insert(decision.grant, decision);
                }
                Entry::Told { at, event } => evidence.take(*at, event, record, &sent),
                Entry::Began { .. } | Entry::Lost { .. } => {}
            }
        }
        evidence
    }

    fn take(&mut self, at: Time, event: &Event, record: &Record, sent: &BTreeMap<GrantId, &Decision>) {
        let catalog = &record.header.catalog;
        match event {
            Event::Admit { admission, .. } => {
                let alias = catalog.aliases.get(&admission.model);
                let class = admission
                    .class
                    .or(catalog.clients.get(&admission.key).map(|client| client.class))
                    .unwrap_or_default();
                let seen = Seen {
                    at,
                    model: alias.map_or_else(|| admission.model.clone(), |alias| alias.model.clone()),
                    client: admission.key,
                    class,
                    stream: admission.stream,
                    tokens: None,
                    left_after: None,
                };
                if self.requests.insert(admission.request, seen).is_none() {
                    self.order.push(admission.request);
                }
            }
            Event::Withdraw { request, .. } => {
                let was_sent = sent.values().any(|decision| decision.request == *request);
                if let Some(seen) = self.requests.get_mut(request).filter(|_| !was_sent) {
                    seen.left_after = Some(at.since(seen.at));
                }
            }
            Event::Finished { finished, .. } if finished.ending == Ending::Complete => {
                let Some(decision) = sent.get(&finished.grant) else { return };
                let Some(seen) = self.requests.get_mut(&decision.request) else { return };
                let count = |tokens: Option<u64>| tokens.and_then(|tokens| u32::try_from(tokens).ok());
                let usage = &finished.usage;
                let tokens = count(usage.input_tokens).zip(count(usage.output_tokens).or(Some(0)));
                seen.tokens = tokens.or(seen.tokens);
                if let Some((input, output)) = tokens {
                    self.attempts.push(Attempt {
                        backend: decision.backend,
                        model: seen.model.clone(),
                        weight: f64::from(input) * PROMPT_PART + f64::from(output) + 1.0,
                        seconds: seconds(finished.total_us),
                        swap: decision.swap,
                    });
                }
            }
            _ => {}
        }
    }

    /// Seconds per weighted token among the warm attempts that fit; `None` without any.
    fn token_s(&self, fits: impl Fn(&Attempt) -> bool) -> Option<f64> {
        let warm = self.attempts.iter().filter(|attempt| !attempt.swap && fits(attempt));
        let (seconds, weight) = warm.fold((0.0, 0.0), |(seconds, weight), attempt| {
            (seconds + attempt.seconds, weight + attempt.weight)
        });
        (weight > 0.0).then(|| seconds / weight)
    }

    fn server(&self, id: BackendId, backend: &Backend, models: &[&ModelName]) -> Server {
        let is_free = !backend.swaps_at_first();
        let token_s: Vec<f64> = models
            .iter()
            .map(|model| {
                let own = self.token_s(|it| it.backend == id && it.model == **model);
                let elsewhere = || self.token_s(|it| it.model == **model);
                own.or_else(elsewhere).or_else(|| self.token_s(|_| true)).unwrap_or(USUAL_TOKEN_S)
            })
            .collect();
        let loads = models
            .iter()
            .zip(&token_s)
            .map(|(model, token_s)| if is_free { 0.0 } else { self.load_s(id, model, *token_s) });
        let can = |model: &&ModelName| match &backend.models {
            Some(listed) => listed.contains(*model),
            None => true,
        };
        let holds_all = u32::try_from(models.len()).unwrap_or(u32::MAX).max(1);
        Server {
            name: backend.name.clone(),
            priority: backend.priority,
            can: models.iter().map(can).collect(),
            t_load: loads.collect(),
            s_per_prompt_token: token_s.iter().map(|token_s| token_s * PROMPT_PART).collect(),
            s_per_output_token: token_s.clone(),
            overhead: mean(&token_s),
            max_models: if is_free { holds_all } else { backend.max_models.unwrap_or(1) },
            slots: backend.slots_at_first(),
            // What was measured had the slowdown of the usual company in it.
            alpha: 0.0,
            down: Vec::new(),
            error_rate: 0.0,
        }
    }

    /// The median load of a model on a backend, else of any model there, else of all.
    fn load_s(&self, id: BackendId, model: &ModelName, token_s: f64) -> f64 {
        let median = |fits: &dyn Fn(&Attempt) -> bool| {
            let loads = self.attempts.iter().filter(|attempt| attempt.swap && fits(attempt));
            let mut loads: Vec<f64> = loads.map(|it| (it.seconds - it.weight * token_s).max(0.0)).collect();
            loads.sort_unstable_by(f64::total_cmp);
            (number(loads.len()) > 0.0).then(|| percentile(&loads, 0.5))
        };
        median(&|it| it.backend == id && it.model == *model)
            .or_else(|| median(&|it| it.backend == id))
            .or_else(|| median(&|_| true))
            .unwrap_or(USUAL_LOAD_S)
            .clamp(SHORTEST_LOAD_S, Duration::from_hours(1).as_secs_f64())
    }
}
