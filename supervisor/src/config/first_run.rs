//! The first run: what serves models on this machine, and the file that is written for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipc_proto::spec::BackendKind;
use serde_json::Value as Json;
use tokio::task::JoinSet;

use super::error::ConfigError;
use super::keys::FreshKeys;
use super::template::template;

/// A server that was found on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundServer {
    /// What software.
    pub kind: BackendKind,
    /// Its address.
    pub url: String,
}

impl FoundServer {
    /// A name for it that no other of `found` has: its software's, with its port where that is not enough.
    pub fn name_among(&self, found: &[Self]) -> String {
        let kind = self.kind.as_str();
        let is_only_one = found.iter().filter(|other| other.kind == self.kind).count() < 2;
        match self.url.rsplit_once(':') {
            Some((_, port)) if !is_only_one => format!("{kind}-{port}"),
            _ => kind.to_owned(),
        }
    }
}

/// The usual ports of LM Studio, Ollama, llama.cpp (two) and vLLM.
const USUAL_PORTS: [u16; 5] = [1234, 11434, 8080, 8081, 8000];
/// Somebody is waiting for the first run to come up, and a server on this machine answers at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// No answer that tells what a server is is longer.
const LONGEST_ANSWER: usize = 1 << 20;

/// Looks for servers at the usual ports of this machine, all at once, for at most half a second.
pub async fn look_for_servers() -> Vec<FoundServer> {
    look_for_servers_at(&USUAL_PORTS).await
}

/// Looks for servers at these ports of this machine; they come back in the order of `ports`.
pub async fn look_for_servers_at(ports: &[u16]) -> Vec<FoundServer> {
    // The client wants to know about TLS before it is told that there will be none. Somebody else may have said.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    let Ok(client) = client.build() else { return Vec::new() };
    let mut looks = JoinSet::new();
    for (index, port) in ports.iter().copied().enumerate() {
        let client = client.clone();
        looks.spawn(async move { (index, identify(&client, port).await) });
    }
    let mut found = Vec::new();
    let look = async {
        while let Some(looked) = looks.join_next().await {
            if let Ok((index, Some(server))) = looked {
                found.push((index, server));
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, look).await;
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, server)| server).collect()
}

/// Whether an answer has the form that one software gives it.
type Sign = fn(&Json) -> bool;

/// Paths that only one software answers, and what it answers there. Some servers answer every path with 200, so
/// the answer's form decides.
const SIGNS: [(&str, BackendKind, Sign); 5] = [
    ("/props", BackendKind::LlamaCpp, |answer| answer["default_generation_settings"].is_object()),
    ("/api/v1/models", BackendKind::LmStudio, |answer| answer["models"].is_array()),
    ("/api/v0/models", BackendKind::LmStudio, |answer| answer["data"].is_array()),
    ("/api/version", BackendKind::Ollama, |answer| answer["version"].is_string()),
    ("/version", BackendKind::Vllm, |answer| answer["version"].is_string()),
];

async fn identify(client: &reqwest::Client, port: u16) -> Option<FoundServer> {
    let url = format!("http://127.0.0.1:{port}");
    for (path, kind, is_sign) in SIGNS {
        match get(client, &format!("{url}{path}")).await {
            Ok(Some(answer)) if is_sign(&answer) => return Some(FoundServer { kind, url }),
            Ok(_) => {}
            // Nobody listens, or nobody who speaks HTTP: the other paths need not be tried.
            Err(_) => return None,
        }
    }
    None
}

/// The JSON at `url`; `None` if it is not there.
async fn get(client: &reqwest::Client, url: &str) -> Result<Option<Json>, reqwest::Error> {
    let mut response = client.get(url).send().await?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body).ok())
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stays, and nothing is written.
    Keep,
    /// It is replaced.
    Replace,
}

/// A configuration that was just written.
#[derive(Clone, PartialEq, Debug)]
pub struct FirstRun {
    /// Where.
    pub path: PathBuf,
    /// The servers it lists; if empty, it lists the usual ones.
    pub found: Vec<FoundServer>,
    /// Its keys, to be shown once.
    pub keys: FreshKeys,
}

/// Looks for servers, draws keys, and writes the configuration for them to `path`.
pub async fn begin(path: &Path, existing: Existing) -> Result<FirstRun, ConfigError> {
    let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    if !is_yaml {
        return Err(ConfigError::NotYaml { path: path.to_owned() });
    }
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(ConfigError::Exists { path: path.to_owned() });
    }
    let found = look_for_servers().await;
    let keys = FreshKeys::draw()?;
    let text = template(&found, &keys);
    match existing {
        Existing::Keep => write(path, &text)?,
        Existing::Replace => replace(path, &text)?,
    }
    Ok(FirstRun { path: path.to_owned(), found, keys })
}

/// Writes `text` to a new file at `path` that only its owner may read. Fails if there is one already.
pub fn write(path: &Path, text: &str) -> Result<(), ConfigError> {
    write_private(OpenOptions::new().create_new(true), path, text).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ConfigError::Exists { path: path.to_owned() },
        _ => ConfigError::Write { path: path.to_owned(), source },
    })
}

/// Writes `text` to the file at `path` in place of what is there, in one step; only its owner may read it.
pub fn replace(path: &Path, text: &str) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::Write { path: path.to_owned(), source };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // One that was left behind may have other permissions.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write_private(OpenOptions::new().create_new(true), &new, text).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)
}

fn write_private(options: &mut OpenOptions, path: &Path, text: &str) -> io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let mut file: File = options.write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers `path` with `answer` and everything else with 200 and an error, as LM Studio does.
    async fn server(tasks: &mut JoinSet<()>, path: &'static str, answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0_u8; 2048];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..length]).contains(&format!("GET {path} "));
                let body = if asked { answer } else { r#"{"error":"Unexpected endpoint"}"# };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn servers_are_told_apart_by_what_they_answer() {
        let mut tasks = JoinSet::new();
        let servers = [
            ("/api/v1/models", r#"{"models":[]}"#, Some(BackendKind::LmStudio)),
            ("/api/v0/models", r#"{"object":"list","data":[]}"#, Some(BackendKind::LmStudio)),
            ("/api/version", r#"{"version":"0.12.0"}"#, Some(BackendKind::Ollama)),
            ("/props", r#"{"default_generation_settings":{}}"#, Some(BackendKind::LlamaCpp)),
            ("/version", r#"{"version":"0.11.0"}"#, Some(BackendKind::Vllm)),
            ("/version", "not json", None),
        ];
        for (path, answer, kind) in servers {
            let port = server(&mut tasks, path, answer).await;
            let closed = 1;
            let found = look_for_servers_at(&[closed, port]).await;
            let expected = kind.map(|kind| FoundServer { kind, url: format!("http://127.0.0.1:{port}") });
            assert_eq!(found, Vec::from_iter(expected), "{path} {answer}");
        }
    }

    #[tokio::test]
    async fn somebody_who_never_answers_does_not_hold_up_the_others() {
        let mut tasks = JoinSet::new();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ollama = server(&mut tasks, "/api/version", r#"{"version":"1"}"#).await;
        let found = look_for_servers_at(&[silent.local_addr().unwrap().port(), ollama]).await;
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn cfg_11_the_file_is_its_owners_alone_and_never_overwritten_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        write(&path, "one").unwrap();
        assert!(matches!(write(&path, "two"), Err(ConfigError::Exists { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        replace(&path, "three").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
