//! A problem instance: servers, models and requests, as a line of JSON. Times in seconds, sizes in tokens.

use ipc_proto::control::Class;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The columns of a request, in order.
const COLUMNS: [&str; 11] = [
    "arrival",
    "model",
    "client",
    "class",
    "is_batch",
    "prompt_tokens",
    "output_tokens",
    "noise",
    "stream",
    "patience",
    "next",
];

/// Why a text is no instance.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// It is not JSON of the right shape.
    #[error("this is no instance: {0}")]
    Shape(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("the instance is inconsistent: {0}")]
    Inconsistent(String),
}

/// A world and the requests that come to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The workload it belongs to.
    pub name: String,
    /// Which of the workload's instances.
    pub seed: u64,
    /// How many models there are.
    pub models: usize,
    /// How many clients there are.
    pub clients: usize,
    /// How much a load's duration varies around [`Server::t_load`]: a coefficient of variation.
    pub load_cv: f64,
    /// Between two looks at a server's health.
    pub poll_s: f64,
    /// Attempts of one request, the first included.
    pub max_attempts: u32,
    /// The servers.
    pub servers: Vec<Server>,
    request_columns: Vec<String>,
    /// The requests, in no particular order.
    pub requests: Vec<Job>,
}

/// A server with its engine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Lower is preferred.
    pub priority: i32,
    /// Which models it can run.
    pub can: Vec<bool>,
    /// How long the load of each model takes.
    pub t_load: Vec<f64>,
    /// How long a prompt token of each model takes.
    pub s_per_prompt_token: Vec<f64>,
    /// How long a generated token of each model takes.
    pub s_per_output_token: Vec<f64>,
    /// What every request costs besides.
    pub overhead: f64,
    /// How many models it holds at once.
    pub max_models: u32,
    /// How many requests it works on at once.
    pub slots: u32,
    /// With n requests at once each proceeds at rate `1 / (1 + alpha * (n - 1))`.
    pub alpha: f64,
    /// When it is away: from, to.
    pub down: Vec<(f64, f64)>,
    /// How likely an attempt is to fail.
    pub error_rate: f64,
}

impl Server {
    /// Whether it never has to give up one model for another and no load takes time, as with a hosted service. One that
    /// loads at once but must make room is no such server: a busy model would stand in the way.
    pub fn swaps_freely(&self) -> bool {
        let able = self.can.iter().filter(|can| **can).count();
        self.t_load.iter().all(|load| *load <= 0.0) && self.max_models as usize >= able
    }

    /// What `job` takes here when it is alone: until its first token, and in all.
    pub fn service(&self, job: &Job) -> (f64, f64) {
        let prompt = self.overhead + f64::from(job.prompt_tokens) * self.s_per_prompt_token[job.model];
        let output = f64::from(job.output_tokens) * self.s_per_output_token[job.model];
        (prompt * job.noise, (prompt + output) * job.noise)
    }

    /// How fast it is with `running` requests at once, for all of them together; 1 for one.
    pub fn throughput(&self, running: u32) -> f64 {
        f64::from(running) * self.rate(running)
    }

    /// How fast each of `running` requests proceeds.
    pub(crate) fn rate(&self, running: u32) -> f64 {
        1.0 / (1.0 + self.alpha * f64::from(running.saturating_sub(1)))
    }
}

/// The row of a request, in the order of the columns.
type Row = (Option<f64>, usize, usize, u8, u8, u32, u32, f64, u8, Option<f64>, Option<(usize, f64)>);

/// A request of an instance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Job {
    /// When it comes; `None`: its predecessor says.
    pub arrival: Option<f64>,
    /// The model it is for.
    pub model: usize,
    /// Whose it is.
    pub client: usize,
    /// How much its client minds waiting, as the scheduler is told.
    pub class: Class,
    /// Whether nobody minds its waiting: for the figures.
    pub is_batch: bool,
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Tokens that will be generated; nobody knows before.
    pub output_tokens: u32,
    /// A factor on its service time; nobody knows it before.
    pub noise: f64,
    /// Whether it is a stream, which cannot be tried again after its first token.
    pub stream: bool,
    /// Its client leaves if it still waits after so long.
    pub patience: Option<f64>,
    /// The request that follows, and how long after this one's end.
    pub next: Option<(usize, f64)>,
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            arrival: row.0,
            model: row.1,
            client: row.2,
            class: if row.3 == 0 { Class::Interactive } else { Class::Batch },
            is_batch: row.4 != 0,
            prompt_tokens: row.5,
            output_tokens: row.6,
            noise: row.7,
            stream: row.8 != 0,
            patience: row.9,
            next: row.10,
        }
    }
}

impl From<Job> for Row {
    fn from(job: Job) -> Self {
        (
            job.arrival,
            job.model,
            job.client,
            u8::from(job.class == Class::Batch),
            u8::from(job.is_batch),
            job.prompt_tokens,
            job.output_tokens,
            job.noise,
            u8::from(job.stream),
            job.patience,
            job.next,
        )
    }
}

impl Instance {
    /// An instance of these parts, with the usual noise, polls and attempts.
    pub fn new(name: &str, seed: u64, servers: Vec<Server>, requests: Vec<Job>) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            models: servers.iter().map(|server| server.can.len()).max().unwrap_or(0),
            clients: requests.iter().map(|job| job.client + 1).max().unwrap_or(0),
            load_cv: 0.15,
            poll_s: 30.0,
            max_attempts: 3,
            servers,
            request_columns: COLUMNS.map(ToOwned::to_owned).to_vec(),
            requests,
        }
    }

    /// Reads one instance.
    pub fn from_json(text: &str) -> Result<Self, InstanceError> {
        let instance: Self = serde_json::from_str(text)?;
        instance.check().map_err(InstanceError::Inconsistent)?;
        Ok(instance)
    }

    /// Reads the instances of a workload: one in a line.
    pub fn from_lines(text: &str) -> Result<Vec<Self>, InstanceError> {
        text.lines().filter(|line| !line.is_empty()).map(Self::from_json).collect()
    }

    /// The instance as a line of JSON.
    ///
    /// # Panics
    /// Never: it is plain numbers and texts.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("our own types have string keys and finite numbers")
    }

    /// The servers that can run `model`, by index.
    pub fn able(&self, model: usize) -> impl Iterator<Item = usize> {
        let able = self.servers.iter().enumerate().filter(move |(_, server)| server.can[model]);
        able.map(|(index, _)| index)
    }

    fn check(&self) -> Result<(), String> {
        if self.request_columns != COLUMNS {
            return Err(format!("the columns are {}, not {COLUMNS:?}", self.request_columns.join(", ")));
        }
        for server in &self.servers {
            let lists = [&server.t_load, &server.s_per_prompt_token, &server.s_per_output_token];
            let is_whole =
                lists.iter().all(|list| list.len() == self.models) && server.can.len() == self.models;
            if !is_whole || server.slots == 0 || server.max_models == 0 {
                return Err(format!("server {} misses something", server.name));
            }
        }
        for (index, job) in self.requests.iter().enumerate() {
            let is_known = job.model < self.models
                && job.client < self.clients
                && job.next.is_none_or(|(next, _)| next < self.requests.len() && next != index);
            if !is_known || self.able(job.model).next().is_none() {
                return Err(format!("request {index} names what is not there"));
            }
        }
        Ok(())
    }
}
