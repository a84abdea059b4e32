//! Made-up state for tests.

use dialect::Endpoint;
use ipc_proto::control::Class;
use ipc_proto::operator::{
    BackendView, Counters, InstanceView, LearnedView, RequestRecord, RequestState, Snapshot, TurnView,
};
use ipc_proto::spec::BackendKind;

/// The instance's time in samples.
pub(crate) const NOW_US: i64 = 1_800_000_000_000_000;

/// A healthy backend that holds `qwen2.5:14b`.
pub(crate) fn backend(name: &str, priority: i32) -> BackendView {
    BackendView {
        name: name.to_owned(),
        kind: BackendKind::Ollama,
        url: format!("http://{name}.lan:11434"),
        priority,
        health: "up".to_owned(),
        reason: String::new(),
        draining: false,
        worker_pid: Some(4711),
        generation: 1,
        worker: "ready".to_owned(),
        slots_used: 1,
        lent: 0,
        slots: 4,
        max_models: Some(1),
        current_model: "qwen2.5:14b".to_owned(),
        loading: false,
        turns: vec![TurnView {
            model: "qwen2.5:14b".to_owned(),
            since_unix_us: Some(NOW_US - 83_000_000),
            running: 1,
            waiting: 2,
            context: Some(8192),
        }],
        next: String::new(),
        loaded_models: Some(vec!["qwen2.5:14b".to_owned()]),
        models: vec!["llama3.1:8b".to_owned(), "qwen2.5:14b".to_owned()],
        queued: 2,
        failures: 0,
        swaps: 3,
    }
}

/// A request for `qwen2.5:14b` in this state.
pub(crate) fn request(id: &str, state: RequestState) -> RequestRecord {
    let began = state != RequestState::Queued;
    RequestRecord {
        id: id.to_owned(),
        exchange: id.to_owned(),
        client: "tester".to_owned(),
        model: "qwen2.5:14b".to_owned(),
        endpoint: Endpoint::ChatCompletions,
        stream: true,
        state,
        backend: if began { "local-a".to_owned() } else { String::new() },
        attempts: u32::from(began),
        swap: false,
        last_failed_backend: String::new(),
        http_status: None,
        upstream_status: None,
        error_code: String::new(),
        error: String::new(),
        warnings: String::new(),
        arrived_unix_us: NOW_US - 20_000_000,
        started_unix_us: began.then_some(NOW_US - 15_200_000),
        ended_unix_us: state.is_final().then_some(NOW_US - 1_000_000),
        queue_us: None,
        class: Class::Interactive,
        reason: if began { "loaded".to_owned() } else { String::new() },
        waiting: None,
        load_us: None,
        first_byte_us: None,
        total_us: None,
        input_tokens: began.then_some(812),
        output_tokens: state.is_final().then_some(145),
        cached_tokens: None,
        reasoning_tokens: None,
        request_bytes: 4000,
        response_bytes: 900,
    }
}

/// What has been learned of `qwen2.5:14b` on a backend.
pub(crate) fn learned(backend: &str) -> LearnedView {
    LearnedView {
        backend: backend.to_owned(),
        model: "qwen2.5:14b".to_owned(),
        endpoint: Endpoint::ChatCompletions,
        samples: 12,
        loads: 2,
        fitted: true,
        load_ms: 1400.0,
        input_per_second: 812.5,
        output_per_second: 38.5,
        confidence: None,
        r_squared: 0.94,
        quality: "good".to_owned(),
        slow: false,
        service_ms: 900.0,
        expected_load_ms: 1400.0,
    }
}

/// An instance with the backends `local-a` and `rack` and one request in each state.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        instance: InstanceView {
            version: "0.1.0".to_owned(),
            pid: 1,
            address: "127.0.0.1:8080".to_owned(),
            phase: "running".to_owned(),
            strategy: "model_turns".to_owned(),
            config: String::new(),
            database: "/tmp/history.db".to_owned(),
            started_unix_us: NOW_US - 60_000_000,
            now_unix_us: NOW_US,
            queued: 1,
            queue_limit: 1000,
        },
        frontends: Vec::new(),
        backends: vec![backend("local-a", 100), backend("rack", 200)],
        requests: vec![request("1", RequestState::Running), request("2", RequestState::Queued)],
        live: 2,
        learned: vec![learned("local-a"), learned("rack")],
        counters: Counters { admitted: 9, completed: 5, failed: 1, cancelled: 1, ..Counters::default() },
    }
}
