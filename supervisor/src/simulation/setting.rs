//! How an instance is run: by which rules, with which numbers, on how many slots. And the catalog that follows.

use std::collections::BTreeMap;

use ipc_proto::ids::{BackendId, KeyId, ModelName};
use ipc_proto::spec::BackendKind;

use super::figures::mean;
use super::instance::{Instance, Server};
use crate::scheduler::catalog::{
    Backend, Catalog, Client, HealthPolicy, Knobs, LoadPolicy, Overflow, QueueLimits, RetryPolicy, Strategy,
};

/// The pause before a second attempt, in milliseconds, and the longest one: the configuration's defaults.
const PAUSES_MS: (u64, u64) = (500, 8000);
/// More than waits in any instance.
const MAX_WAITING: u64 = 1_000_000;

/// How an instance is run.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// The rules.
    pub strategy: Strategy,
    /// The numbers in them.
    pub knobs: Knobs,
    /// Whether every server is used for one request at a time only, whatever it could do.
    pub one_slot: bool,
    /// Whether a server's weight under [`Strategy::Random`] is in proportion to its speed; else all weigh the same.
    pub weighs_by_speed: bool,
    /// Names the world's chance: with another number loads take other times and other attempts fail.
    pub luck: u64,
    /// Whether the invariants are looked after at every step; a broken one ends the run.
    pub is_audited: bool,
}

impl Setting {
    /// `strategy` with its usual numbers, on all slots, audited.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            knobs: Knobs::default(),
            one_slot: false,
            weighs_by_speed: false,
            luck: 0,
            is_audited: true,
        }
    }

    /// The same with one request at a time per server.
    #[must_use]
    pub fn with_one_slot(mut self) -> Self {
        self.one_slot = true;
        self
    }

    /// The same with weights in proportion to the servers' speeds.
    #[must_use]
    pub fn with_weights_by_speed(mut self) -> Self {
        self.weighs_by_speed = true;
        self
    }

    /// The same, `fair_share_round_robin` giving others their turn after so many requests.
    #[must_use]
    pub fn with_most_in_a_row(mut self, requests: u32) -> Self {
        self.knobs.max_consecutive_per_model = requests;
        self
    }

    /// The same in a world with another chance.
    #[must_use]
    pub fn with_luck(mut self, luck: u64) -> Self {
        self.luck = luck;
        self
    }

    /// The same without looking after the invariants: for measuring speed.
    #[must_use]
    pub fn unaudited(mut self) -> Self {
        self.is_audited = false;
        self
    }

    /// How many requests `server` is used for at once.
    pub fn slots(&self, server: &Server) -> u32 {
        if self.one_slot { 1 } else { server.slots }
    }

    /// The configuration that describes `instance` to the scheduler.
    pub fn catalog(&self, instance: &Instance) -> Catalog {
        let backends = (0_u32..).zip(&instance.servers);
        let clients = (0_u32..)
            .take(instance.clients)
            .map(|client| (KeyId(client), Client { name: format!("client-{client}"), ..Client::default() }));
        let interval = std::time::Duration::from_secs_f64(instance.poll_s.max(1.0)).as_millis();
        Catalog {
            backends: backends.map(|(id, server)| (BackendId(id), self.backend(instance, server))).collect(),
            aliases: BTreeMap::new(),
            clients: clients.collect(),
            strategy: self.strategy,
            knobs: self.knobs,
            load_options: LoadPolicy::default(),
            queue: QueueLimits {
                max_waiting: MAX_WAITING,
                max_waiting_per_model: None,
                max_waiting_per_client: None,
                timeout_ms: None,
            },
            retry: RetryPolicy {
                max_attempts: instance.max_attempts,
                initial_backoff_ms: PAUSES_MS.0,
                max_backoff_ms: PAUSES_MS.1,
            },
            health: HealthPolicy {
                unhealthy_after_failed_probes: 1,
                probe_interval_ms: u64::try_from(interval).ok(),
            },
            frontends: 1,
            shutdown_grace_ms: 30_000,
        }
    }

    fn backend(&self, instance: &Instance, server: &Server) -> Backend {
        let is_free = server.swaps_freely();
        let models = (0..server.can.len()).filter(|model| server.can[*model]).map(model_name);
        Backend {
            name: server.name.clone(),
            kind: BackendKind::LmStudio,
            dialects: BackendKind::LmStudio.dialects().to_vec(),
            url: format!("http://{}", server.name),
            priority: server.priority,
            slots: Some(self.slots(server)),
            max_models: Some(server.max_models),
            serialize_by_model: Some(!is_free),
            is_hosted: is_free,
            overflow: Overflow::Auto,
            weight: if self.weighs_by_speed { weight(instance, server) } else { 1 },
            models: Some(models.collect()),
        }
    }
}

/// The speed of `server`, in percent of the fastest server for each model: the mean over the models that it can run.
fn weight(instance: &Instance, server: &Server) -> u32 {
    let token_s = |server: &Server, model: usize| {
        let output_s = server.s_per_output_token[model];
        // A model of embeddings makes no tokens.
        if output_s > 0.0 { output_s } else { server.s_per_prompt_token[model] }
    };
    let speed = |model: usize| {
        let able = instance.able(model).map(|other| token_s(&instance.servers[other], model));
        let (fastest, own) = (able.fold(f64::INFINITY, f64::min), token_s(server, model));
        if own > 0.0 { fastest / own } else { 1.0 }
    };
    let speeds: Vec<f64> = (0..server.can.len()).filter(|model| server.can[*model]).map(speed).collect();
    let percent = (1..=100).take_while(|percent| f64::from(*percent) <= 100.0 * mean(&speeds) + 0.5);
    percent.last().unwrap_or(1)
}

/// What the scheduler calls model `number`.
pub(crate) fn model_name(number: usize) -> ModelName {
    ModelName::new(&format!("model-{number}"))
}

/// The number of the model that the scheduler calls `name`.
pub(crate) fn model_number(name: &str) -> Option<usize> {
    name.strip_prefix("model-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::draw::Flavour;
    use super::*;

    fn catalog(change: impl FnOnce(&mut Instance), setting: &Setting) -> Catalog {
        let mut instance = Instance::random(1, Flavour::Plain);
        let mut half = instance.servers[0].clone();
        half.s_per_output_token.iter_mut().for_each(|token_s| *token_s *= 2.0);
        instance.servers = vec![instance.servers[0].clone(), half];
        instance.servers.iter_mut().for_each(|server| server.can.fill(true));
        change(&mut instance);
        setting.catalog(&instance)
    }

    #[test]
    fn weights_are_speeds_where_that_is_wanted() {
        let weights = |setting: &Setting| {
            let catalog = catalog(|_| {}, setting);
            catalog.backends.values().map(|backend| backend.weight).collect::<Vec<_>>()
        };
        let plain = Setting::new(Strategy::Random);
        assert_eq!(weights(&plain), [1, 1]);
        assert_eq!(weights(&plain.with_weights_by_speed()), [100, 50]);
    }

    #[test]
    fn a_server_is_free_only_if_it_holds_everything_without_loads() {
        let swaps = |load_s: f64, max_models: u32| {
            let at_first = |instance: &mut Instance| {
                assert!(instance.models > 1, "one model never needs room");
                instance.servers[0].t_load.fill(load_s);
                instance.servers[0].max_models = max_models;
            };
            let catalog = catalog(at_first, &Setting::new(Strategy::Fifo));
            catalog.backends[&BackendId(0)].serialize_by_model
        };
        assert_eq!(swaps(0.0, 99), Some(false));
        assert_eq!(swaps(0.0, 1), Some(true), "it must make room");
        assert_eq!(swaps(5.0, 99), Some(true));
    }
}
