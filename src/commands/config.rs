//! `proxylm config init`, `validate`, `show` and `schema`: what they do and what they say. Printing is the caller's.

use std::fmt::Write as _;
use std::path::PathBuf;

use supervisor::config::first_run::{self, Existing, FirstRun};
use supervisor::config::{self, ConfigError, Loaded, Overrides};

use crate::report::FAILED;

/// Why a configuration command did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ConfigCommandError(#[from] ConfigError);

impl ConfigCommandError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        self.0.hint()
    }

    /// How the process is to end: a wrong file is the result of these commands, not a wrong use of them.
    #[expect(clippy::unused_self, reason = "the same for every error so far, and asked for like a failure's")]
    pub(crate) fn exit_code(&self) -> u8 {
        FAILED
    }
}

/// Looks for LLM servers on this machine and writes a configuration for them to `path`; beside the program if none is
/// named. A file that is there already is replaced only with `force`. What is returned shows the keys, this one time.
pub(crate) async fn init(path: Option<PathBuf>, force: bool) -> Result<String, ConfigCommandError> {
    let path = path.unwrap_or_else(config::default_path);
    let existing = if force { Existing::Replace } else { Existing::Keep };
    Ok(init_text(&first_run::begin(&path, existing).await?))
}

fn init_text(written: &FirstRun) -> String {
    let mut text = format!("wrote {} (only you can read it)\n\n", written.path.display());
    if written.found.is_empty() {
        text.push_str(
            "No LLM server was found on this machine. The file lists LM Studio and Ollama at their usual addresses:\n\
             start one of them, put another server's address there, or try `proxylm serve --demo`.\n",
        );
    } else {
        text.push_str("found on this machine:\n");
        for server in &written.found {
            let _ = writeln!(text, "  {:<10} {}", server.kind.as_str(), server.url);
        }
    }
    let (client, admin) = (written.keys.client.expose(), written.keys.admin.expose());
    let _ =
        write!(text, "\nkeys, shown this once (the file has them):\n  client  {client}\n  admin   {admin}\n");
    text
}

/// Checks the configuration at `path`, or beside the program, and sums it up in one line; what is odd follows.
pub(crate) fn validate(path: Option<PathBuf>) -> Result<String, ConfigCommandError> {
    let Loaded { config, path, warnings, .. } = load(path)?;
    let mut text = format!(
        "OK: {} (backends={}, api_keys={}, strategy={})\n",
        path.display(),
        config.backend_count(),
        config.key_count(),
        config.strategy()
    );
    for warning in &warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    Ok(text)
}

/// The configuration at `path`, or beside the program, as it is in force: defaults filled in, keys masked.
pub(crate) fn show(path: Option<PathBuf>) -> Result<String, ConfigCommandError> {
    Ok(config::show(&load(path)?.config))
}

/// The JSON Schema of the configuration.
#[expect(clippy::unnecessary_wraps, reason = "called like the other commands")]
pub(crate) fn schema() -> Result<String, ConfigCommandError> {
    let mut text = format!("{:#}", config::schema());
    text.push('\n');
    Ok(text)
}

fn load(path: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    config::load(&path.unwrap_or_else(config::default_path), &Overrides::default())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use supervisor::config::FreshKeys;

    use super::*;

    #[test]
    fn what_init_says_names_the_file_the_servers_and_both_keys() {
        let keys = FreshKeys::draw().unwrap();
        let mut written = FirstRun { path: PathBuf::from("/x/config.yaml"), found: Vec::new(), keys };
        let text = init_text(&written);
        assert!(text.starts_with("wrote /x/config.yaml") && text.contains("serve --demo"), "{text}");
        for key in [&written.keys.client, &written.keys.admin] {
            assert!(text.contains(key.expose()), "{text}");
        }
        let kind = ipc_proto::spec::BackendKind::Ollama;
        written.found.push(config::FoundServer { kind, url: "http://127.0.0.1:11434".to_owned() });
        let text = init_text(&written);
        assert!(text.contains("  ollama     http://127.0.0.1:11434\n") && !text.contains("--demo"), "{text}");
    }

    #[test]
    fn cli_01_02_validate_sums_up_or_complains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        first_run::write(&path, "proxy: {host: localhost}\nbackends: [{name: b, url: http://h}]\n").unwrap();
        let said = validate(Some(path.clone())).unwrap();
        let strategy = "model_turns";
        assert_eq!(said, format!("OK: {} (backends=1, api_keys=0, strategy={strategy})\n", path.display()));
        let missing = validate(Some(folder.path().join("none.yaml"))).unwrap_err();
        assert_eq!(missing.exit_code(), 1);
        assert!(missing.hint().is_some() && missing.source().is_some(), "{missing}");
    }
}
