//! The configuration of somebody's first run, with comments.

use std::fmt::Write as _;

use ipc_proto::spec::BackendKind;

use super::first_run::FoundServer;
use super::keys::FreshKeys;

/// A commented configuration in YAML that serves the servers in `found` to this machine, with `keys`.
///
/// If none was found it lists LM Studio and Ollama at their usual addresses: they show as down until one is started.
pub fn template(found: &[FoundServer], keys: &FreshKeys) -> String {
    let usual = [
        FoundServer { kind: BackendKind::LmStudio, url: "http://127.0.0.1:1234".to_owned() },
        FoundServer { kind: BackendKind::Ollama, url: "http://127.0.0.1:11434".to_owned() },
    ];
    let (note, servers) = match found {
        [] => (
            "No server was found at the first run; these are the usual ones, and count as down until they are started.",
            &usual[..],
        ),
        found => ("These servers were found at the first run.", found),
    };
    // llama.cpp's usual port is ours as well.
    let is_taken = |port: u16| servers.iter().any(|server| server.url.ends_with(&format!(":{port}")));
    let port = [8080, 8090].into_iter().find(|port| !is_taken(*port)).unwrap_or(8091);
    let mut backends = String::new();
    for server in servers {
        let (name, url, kind) = (server.name_among(servers), &server.url, server.kind.as_str());
        let _ = write!(backends, "  - name: {name}\n    url: {url}\n    type: {kind}\n");
    }
    TEMPLATE
        .replace("{port}", &port.to_string())
        .replace("{client}", keys.client.expose())
        .replace("{admin}", keys.admin.expose())
        .replace("{note}", note)
        .replace("{backends}", &backends)
}

const TEMPLATE: &str = r"# The configuration of proxylm. `proxylm config validate` checks it, `proxylm config show` prints every key
# with its value, `proxylm config schema` prints a JSON Schema for editors.
#
# A value may refer to the environment, or to a file named .env beside this one: ${NAME}, ${NAME:-default},
# or env:NAME as a whole value. A dollar sign itself is written $$.

proxy:
  host: 127.0.0.1         # this machine only; 0.0.0.0 for every interface
  port: {port}
  log_level: info         # debug, info, warning, error
  shutdown_grace_seconds: 30

auth:
  api_keys:               # one per client; its name stands in logs and history
    - name: default
      key: {client}
    # - name: nightly
    #   key: ${NIGHTLY_KEY}
    #   class: batch        # nobody waits for its answers: they yield to the others
  admin_key: {admin}

routing:
  strategy: model_turns   # all that waits for the loaded model, then the model that relieves most waiting
  # models:               # other names for models
  #   coder: { model: qwen3-coder-30b }

scheduler:
  max_wait: 240           # seconds until a model that nobody has loaded may claim a server; off: never
  max_queue: 4096         # one more waiting request is refused with 429
  queue_timeout_seconds: 0   # 0: a request waits until its client leaves

retry:
  max_attempts: 3         # over all backends, the first included
  initial_backoff_ms: 500
  max_backoff_ms: 8000

discovery:
  interval_seconds: 30    # between two looks at what a backend offers
  unhealthy_after_failed_polls: 3

storage:
  database_path: ./proxylm.db   # starts at the folder of the program
  history_retention_days: 30    # 0: for ever

# {note}
# type is one of lmstudio, ollama, llamacpp, vllm, openai (anything that speaks its API), anthropic.
# slots (requests at once) and max_models (models at once) are asked of the server; write them to decide yourself.
backends:
{backends}
  # - name: cloud
  #   url: https://api.openai.com
  #   type: openai
  #   api_key: ${OPENAI_API_KEY}
  #   priority: 900         # the lower number is preferred; 100 where nothing is said
  #   overflow_after: 20    # only for requests that have waited so long, in seconds
";

#[cfg(test)]
mod tests {
    use super::super::load::{Overrides, load};
    use super::*;

    fn load_template(found: &[FoundServer]) -> super::super::load::Loaded {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        super::super::first_run::write(&path, &template(found, &FreshKeys::draw().unwrap())).unwrap();
        load(&path, &Overrides::default()).unwrap()
    }

    #[test]
    fn it_can_be_loaded_and_nothing_is_odd_about_it() {
        let server = |kind, port| FoundServer { kind, url: format!("http://127.0.0.1:{port}") };
        let found = [
            server(BackendKind::LlamaCpp, 8080),
            server(BackendKind::LlamaCpp, 8081),
            server(BackendKind::Vllm, 8000),
        ];
        let loaded = load_template(&found);
        assert_eq!(loaded.warnings, []);
        assert_eq!((loaded.config.host.as_str(), loaded.config.port), ("127.0.0.1", 8090));
        let names: Vec<_> =
            loaded.config.catalog().backends.into_values().map(|backend| backend.name).collect();
        assert_eq!(names, ["llamacpp-8080", "llamacpp-8081", "vllm"]);
        assert_eq!(loaded.config.key_count(), 1);
    }

    #[test]
    fn without_servers_it_lists_the_usual_ones() {
        let loaded = load_template(&[]);
        assert_eq!((loaded.config.backend_count(), loaded.config.port), (2, 8080));
    }
}
